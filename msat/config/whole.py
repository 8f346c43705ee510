"""The whole configuration: experiments, the grid of runs that follows from them, and the options of each job."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from msat import figures, levels
from msat.config.map_figures import MapFigure
from msat.config.runs import Run, samples_part
from msat.config.sections import (
    Checks,
    Experiment,
    ExperimentName,
    Figures,
    PhaseMap,
    Reference,
    Scales,
    Seeds,
    Task,
    Theory,
)
from msat.errors import InputError
from msat.keys import digest
from msat.langevin.settings import STOPPING_RULE, LangevinSettings, Saving
from msat.settings import Settings
from msat.stages import phase_map
from msat.stages.maps import MAPS, FiniteWidthSettings, LoopMapSettings
from msat.store import attributes
from msat.tasks.base import TaskSettings
from msat.tasks.mnist_sources import SourceSettings
from msat.tasks.storage import file_digests
from msat.theory import cost as theory_cost
from msat.theory.kept import with_drawn

TrainingKind = Literal["langevin", "reference"]


class Config(Settings):
    """The whole configuration of the workflow."""

    results: str = Field("results", pattern=r"^[A-Za-z0-9_./-]+$", description="Folder of all results; no spaces.")
    experiments: dict[ExperimentName, Experiment] = Field(min_length=1, description="Experiments by name.")
    select: list[ExperimentName] | None = Field(
        None, min_length=1, description="Experiments to run; null for all. Overlays use it: maps merge."
    )
    scales: Scales = Field(Scales(), description="Scales of every experiment that names none.")
    seeds: Seeds = Field([0, 1, 2], description="Seeds of data and chains.")
    theory: Theory = Field(Theory(), description="Theory.")
    langevin: LangevinSettings = Field(LangevinSettings(), description="Training.")
    reference: Reference = Field(Reference(), description="Trainings by another sampler, to compare with.")
    theory_starts: bool = Field(
        False,
        description="Whether a quarter of the chains starts from neurons of the theory, where it has some (networks "
        "that are not linear). Trainings then run again whenever the theory does.",
    )
    saving: Saving = Field(Saving(), description="Checkpoints and final states of trainings.")
    checks: Checks = Field(Checks(), description="Comparison of theory and training.")
    loop_map: LoopMapSettings = Field(LoopMapSettings(), description="Map of where the loop equation has a solution.")
    finite_width: FiniteWidthSettings = Field(
        FiniteWidthSettings(), description="Errors of the levels against the width."
    )
    maps: dict[ExperimentName, PhaseMap] = Field({}, description="Maps of the theory over two parameters, by name.")
    figures: Figures = Field(Figures(), description="Figures.")
    mnist: SourceSettings = Field(SourceSettings(), description="Files of MNIST.")

    def scale_names(self, experiment: str) -> list[str]:
        """Return the scales of one experiment."""
        chosen = self.experiments[experiment]
        return (chosen.scales or self.scales).names(chosen.network.widths[-1])

    def seeds_of(self, experiment: str) -> list[int]:
        """Return the seeds of one experiment."""
        return self.experiments[experiment].seeds or self.seeds

    def levels_of(self, experiment: str) -> list[str]:
        """Return the levels of theory of one experiment."""
        chosen = self.experiments[experiment]
        return chosen.levels or self.theory.levels or levels.defined_levels(*shape_of(chosen))

    def figures_of(self, experiment: str) -> list[str]:
        """Return the figures that one experiment has, by its levels and its task."""
        chosen = self.experiments[experiment]
        several = chosen.samples is not None and len(chosen.samples) > 1
        return figures.figures_of(self.levels_of(experiment), chosen.task.has_direction, several)

    def shows_one_of_several(self, figure: str, experiment: str) -> bool:
        """Return whether a figure shows an experiment at the largest of several numbers of samples."""
        chosen = self.experiments.get(experiment)  # a map is of none
        return chosen is not None and bool(chosen.samples) and not figures.declaration(figure).against_samples

    def figure_files(self) -> list[str]:
        """Return every figure of every experiment in every format, and the figures that stand alone."""
        folder = f"{self.results}/figures"
        stems = [f"{folder}/{name}/{figure}" for name in self.experiments for figure in self.figures_of(name)]
        stems += [f"{drawn.folder}/{drawn.figure}" for drawn in self.map_figures()]
        return [f"{stem}.{suffix}" for stem in stems for suffix in self.figures.formats]

    def map_figures(self) -> list[MapFigure]:
        """Return the figures that stand alone."""
        alone = [name for name in figures.NAMES if figures.declaration(name).kind == "map"]
        own = [MapFigure(name, name, f"{self.results}/tables", f"{self.results}/figures") for name in alone]
        return own + [
            MapFigure(
                f"map_{name}",
                phase_map.TABLE,
                f"{self.results}/maps/{name}",
                f"{self.results}/figures/maps/{name}",
                named.title,
            )
            for name, named in self.maps.items()
        ]

    def map_mb(self, name: str) -> int:
        """Return the memory in MB that the job of a named map takes, at its largest data set."""
        chosen = self.maps[name]
        sizes = chosen.task.sizes()
        n_train = max([sizes.n_train, *(chosen.values_of("n_train") if "n_train" in (chosen.x, chosen.y) else ())])
        scales = chosen.values_of(chosen.scale_axis) if chosen.scale_axis else [1.0]
        network, outputs = chosen.network, sizes.n_outputs
        solved, linear = chosen.levels_of(network, outputs), network.activation == "linear"
        held = 0 if linear else len(solved) * len(scales)
        solved = [*solved, *([levels.EXACT.name] if linear else [])]  # with which the others are compared
        about = network.depth, solved, network.activation
        return theory_cost.theory_mb(int(n_train), 0, sizes.dimension, outputs, held, *about)

    def map_options(self, name: str) -> dict[str, Any]:
        """Return the options of ``msat map`` for one named map, but for the folder."""
        chosen = self.maps[name]
        settings = chosen.model_dump(include=set(phase_map.PhaseMapSettings.model_fields))
        return settings | chosen.network.model_dump() | _options(chosen.task)

    def figure_input(self, figure: str, experiment: str = "") -> list[str]:
        """Return the files that a figure reads; of kind runs: the first seed's theory, trainings at both ends.

        With several numbers of samples the largest.
        """
        needs = figures.declaration(figure)
        if needs.kind != "runs":
            return [f"{self.results}/tables/{table}.parquet" for table in needs.tables]
        scales, seed = sorted(self.scale_names(experiment), key=float), self.seeds_of(experiment)[0]
        place = self.results, experiment, seed
        runs = [Run(*place, chi, self.samples_of(experiment)[-1]) for chi in dict.fromkeys((scales[0], scales[-1]))]
        return [runs[0].theory, *(run.langevin for run in runs)]

    def figures_input(self, experiment: str) -> list[str]:
        """Return the files that the figures of an experiment read."""
        read = (self.figure_input(figure, experiment) for figure in self.figures_of(experiment))
        return list(dict.fromkeys(path for paths in read for path in paths))

    def figures_options(self, experiment: str) -> dict[str, Any]:
        """Return the options of ``msat figures`` for one experiment, but for the folder."""
        formats: dict[str, Any] = {"formats": list(self.figures.formats), "title": self.experiments[experiment].title}
        options = formats | {"tables": f"{self.results}/tables", "experiment": experiment}
        if self.experiments[experiment].samples:
            options["n_train"] = self.samples_of(experiment)[-1]
        for figure in self.figures_of(experiment):
            if figures.declaration(figure).kind == "runs":  # which all read the same runs
                theory, *langevin = self.figure_input(figure, experiment)
                options |= {"theory": theory, "langevin": tuple(langevin)}
        return options

    def runs(self) -> list[Run]:
        """Return the grid: one run for each experiment, number of samples where that is an axis, seed and scale."""
        return [
            Run(self.results, experiment, seed, chi, n_train)
            for experiment in self.experiments
            for n_train in self.samples_of(experiment)
            for seed in self.seeds_of(experiment)
            for chi in self.scale_names(experiment)
        ]

    def samples_of(self, experiment: str) -> Sequence[int | None]:
        """Return the numbers of samples of one experiment, ascending; None alone where they are no axis."""
        return self.experiments[experiment].samples or [None]

    def has_reference(self, run: Run) -> bool:
        """Return whether a run of the grid is trained by another sampler too."""
        chosen, seeds = self.reference.experiments, self.reference.seeds
        if chosen is None:
            named = self.experiments[run.experiment].network.activation != "linear" and run.n_train is None
        else:
            named = run.experiment in chosen
        return named and run.seed in (seeds or self.seeds_of(run.experiment)[:1])

    def references(self) -> list[Run]:
        """Return the runs of the grid that have a reference."""
        return [run for run in self.runs() if self.has_reference(run)]

    def starts(self, experiment: str) -> bool:
        """Return whether trainings of an experiment start from neurons of its theory, which then has some."""
        sampled = self.experiments[experiment].network.activation != "linear"
        action = any(levels.LEVELS[name].method == "action" for name in self.levels_of(experiment))
        return self.theory_starts and sampled and action  # which no network with several hidden layers has both

    def run_of(self, experiment: str, seed: str | int, chi: str = "", samples: str = "") -> Run:
        """Return the run with the values of a file name's wildcards.

        Raises:
            InputError: If its number of samples is none of the experiment's.
        """
        for n_train in self.samples_of(experiment):
            if samples_part(n_train) == samples:
                return Run(self.results, experiment, int(seed), chi, n_train)
        raise InputError(f"{self.results}/{experiment}{samples}/seed{seed}: not in the grid of runs")

    def wildcards(self) -> dict[str, str]:
        """Return the patterns of file names' wildcards: what is in the grid and nothing else."""
        scales = "|".join(sorted({re.escape(run.chi) for run in self.runs()}))
        own = {name: "|".join(map(samples_part, self.samples_of(name))) for name in self.experiments}
        samples = "|".join(f"(?<=/{name})(?:{parts})" for name, parts in own.items())
        return {"experiment": "|".join(own), "samples": samples, "seed": r"\d+", "chi": scales}

    def plan(self) -> str:
        """Return the list of all runs and their files as CSV; no name in it can hold a comma.

        There is a column n_train if that is an axis of some experiment's runs.
        """
        runs = self.runs()
        columns = ["experiment", "seed", "chi", "theory", "langevin", "reference"]
        columns += ["n_train"] * any(run.n_train is not None for run in runs)
        known = ({"reference": run.reference if self.has_reference(run) else ""} for run in runs)
        cells = ([own.get(name, getattr(run, name)) for name in columns] for run, own in zip(runs, known, strict=True))
        rows = (",".join("" if cell is None else str(cell) for cell in row) for row in cells)
        return "\n".join([",".join(columns), *rows, ""])

    def keys(self) -> dict[str, Any]:
        """Return what the results of each experiment, at each number of samples, must be: plain, and by kind.

        That is what their files say of themselves, but for the experiment's name, seed and scale, which the plan has.
        """
        places = dict.fromkeys((run.experiment, run.n_train) for run in self.runs())
        return {f"{name}{samples_part(n_train)}": self._keys_at(name, n_train) for name, n_train in places}

    def keys_text(self) -> str:
        """Return the keys as ``plan.json`` has them."""
        return json.dumps(self.keys(), indent=1)

    def map_keys(self) -> dict[str, dict[str, Any]]:
        """Return what each map of the theory must be, as its table says of itself: plain."""
        keys: dict[str, Any] = {name: getattr(self, name).model_dump() for name in MAPS}
        for name, at in self.maps.items():
            keys[name] = phase_map.key_of(at, at.network, at.task.name, at.task)
        plain: dict[str, dict[str, Any]] = json.loads(json.dumps(keys))
        return plain

    def _keys_at(self, experiment: str, n_train: int | None) -> dict[str, Any]:
        files = file_digests(self.experiments[experiment].task)
        levels, chi = self.levels_of(experiment), list(map(float, self.scale_names(experiment)))
        keys: dict[str, Any] = {
            "data": {**self.task_values(experiment, n_train), "files": files},
            "theory": {**self.experiments[experiment].network.parameters(), "chi": chi, "levels": levels},
        }
        kinds: tuple[TrainingKind, ...] = ("langevin", "reference")
        for kind in kinds:
            values = self.training_of(experiment, kind) | {"theory_starts": self.starts(experiment)}
            del values["device"]  # the one asked for; a file has the one that was there
            keys[kind] = attributes(values)
        plain: dict[str, Any] = json.loads(json.dumps(keys))
        return plain

    def task_of(self, experiment: str, n_train: int | None = None) -> Task:
        """Return the task of one experiment, at one number of samples where that is an axis of its runs."""
        return self.experiments[experiment].task_at(n_train)

    def task_values(self, experiment: str, n_train: int | None = None) -> dict[str, Any]:
        """Return all that determines the data of one experiment beside code, files and seed."""
        return self.task_of(experiment, n_train).key()

    def task_options(self, experiment: str, n_train: int | None = None) -> dict[str, Any]:
        """Return the options of ``msat task`` for one experiment."""
        return _options(self.task_of(experiment, n_train))

    def theory_of(self, experiment: str, n_train: int | None = None) -> dict[str, Any]:
        """Return all that determines the theory of one experiment beside code, data and seed."""
        chosen: dict[str, Any] = {"chi": self.scale_names(experiment), "levels": self.levels_of(experiment)}
        chosen["matrices"] = self.matrices_of(experiment, n_train)
        return self.experiments[experiment].network.parameters() | chosen

    def matrices_of(self, experiment: str, n_train: int | None = None) -> list[str] | None:
        """Return the option ``--matrices`` of one experiment's theory, with what its figures draw."""
        needs = [figures.declaration(name) for name in self.figures_of(experiment)]
        drawn = [level for need in needs if need.kind == "runs" for level in need.levels]
        sizes = self.task_of(experiment, n_train).sizes()
        names = self.levels_of(experiment), self.scale_names(experiment)
        return with_drawn(self.theory.matrices, *names, sizes.n_train * sizes.n_outputs, drawn)

    def settings_of(self, kind: TrainingKind) -> dict[str, Any]:
        """Return the settings of trainings (``langevin``) or of references (``reference``)."""
        settings: LangevinSettings = getattr(self, kind)
        return settings.model_dump(include=set(LangevinSettings.model_fields))

    def training_of(self, experiment: str, kind: TrainingKind) -> dict[str, Any]:
        """Return all that determines the trainings of one experiment beside code, data, scale and seed."""
        return self.experiments[experiment].network.parameters() | self.settings_of(kind)

    def trajectory(self, experiment: str, kind: TrainingKind, code: str, n_train: int | None = None) -> str:
        """Return a digest of what determines an experiment's trajectories: code, task and all but their ends."""
        values = self.task_values(experiment, n_train)
        key = {name: value for name, value in self.training_of(experiment, kind).items() if name not in STOPPING_RULE}
        files = file_digests(self.experiments[experiment].task)
        return digest(key | {"code": code, "task": values, "files": files})


def _options(task: TaskSettings) -> dict[str, Any]:
    """Return the options of a task on the command line."""
    return {key: value for key, value in task if key != "name"}


def shape_of(experiment: Experiment) -> tuple[str, int, int, int]:
    """Return activation, number of outputs, width and depth: what the levels that there are depend on."""
    network = experiment.network
    return network.activation, experiment.task.n_outputs, network.widths[-1], network.depth
