"""The workflow's configuration: what config.yaml may hold, and the grid of runs that follows from it.

The JSON schema in workflow/schemas is generated from here (``msat schema``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from msat import figures, levels
from msat.config.runs import Run
from msat.config.sections import Checks, Experiment, ExperimentName, Figures, Reference, Scales, Seeds, Theory
from msat.errors import InputError
from msat.keys import digest, file_digest
from msat.langevin.settings import STOPPING_RULE, LangevinSettings, Saving
from msat.network import Network
from msat.settings import Settings
from msat.stages.maps import FiniteWidthSettings, LoopMapSettings
from msat.tasks.mnist_sources import SourceSettings
from msat.theory.kept import with_drawn
from msat.validation import validated

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
        network = chosen.network
        return chosen.levels or self.theory.levels or levels.defined_levels(network.activation, network.depth)

    def figures_of(self, experiment: str) -> list[str]:
        """Return the figures that one experiment has, by its levels and its task."""
        return figures.figures_of(self.levels_of(experiment), self.experiments[experiment].task.has_direction)

    def figure_files(self) -> list[str]:
        """Return every figure of every experiment in every format, and the figures that stand alone."""
        stems = [f"{experiment}/{figure}" for experiment in self.experiments for figure in self.figures_of(experiment)]
        stems += self.maps()
        return [f"{self.results}/figures/{stem}.{suffix}" for stem in stems for suffix in self.figures.formats]

    def maps(self) -> list[str]:
        """Return the figures that stand alone."""
        return [name for name in figures.NAMES if figures.declaration(name).kind == "map"]

    def figure_input(self, figure: str, experiment: str = "") -> list[str]:
        """Return the files that a figure reads; of kind runs: the first seed's theory, trainings at both ends."""
        needs = figures.declaration(figure)
        if needs.kind != "runs":
            return [f"{self.results}/tables/{table}.parquet" for table in needs.tables]
        scales, seed = sorted(self.scale_names(experiment), key=float), self.seeds_of(experiment)[0]
        runs = [self.run_of(experiment, seed, chi) for chi in dict.fromkeys((scales[0], scales[-1]))]
        return [runs[0].theory, *(run.langevin for run in runs)]

    def figures_input(self, experiment: str) -> list[str]:
        """Return the files that the figures of an experiment read."""
        read = (self.figure_input(figure, experiment) for figure in self.figures_of(experiment))
        return list(dict.fromkeys(path for paths in read for path in paths))

    def figures_options(self, experiment: str) -> dict[str, Any]:
        """Return the options of ``msat figures`` for one experiment, but for the folder."""
        formats = {"formats": list(self.figures.formats), "title": self.experiments[experiment].title}
        options = formats | {"tables": f"{self.results}/tables", "experiment": experiment}
        for figure in self.figures_of(experiment):
            if figures.declaration(figure).kind == "runs":  # which all read the same runs
                theory, *langevin = self.figure_input(figure, experiment)
                options |= {"theory": theory, "langevin": tuple(langevin)}
        return options

    def runs(self) -> list[Run]:
        """Return the grid: one run for each experiment, seed and scale."""
        return [
            Run(self.results, experiment, seed, chi)
            for experiment in self.experiments
            for seed in self.seeds_of(experiment)
            for chi in self.scale_names(experiment)
        ]

    def has_reference(self, run: Run) -> bool:
        """Return whether a run of the grid is trained by another sampler too."""
        chosen, seeds = self.reference.experiments, self.reference.seeds
        if chosen is None:
            named = self.experiments[run.experiment].network.activation != "linear"
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

    def run_of(self, experiment: str, seed: str | int, chi: str = "") -> Run:
        """Return the run with the values of a file name's wildcards."""
        return Run(self.results, experiment, int(seed), chi)

    def wildcards(self) -> dict[str, str]:
        """Return the patterns of file names' wildcards: what is in the grid and nothing else."""
        scales = "|".join(sorted({re.escape(run.chi) for run in self.runs()}))
        return {"experiment": "|".join(self.experiments), "seed": r"\d+", "chi": scales}

    def plan(self) -> str:
        """Return the list of all runs and their files as CSV; no name in it can hold a comma."""
        runs = [(run, run.reference if self.has_reference(run) else "") for run in self.runs()]
        rows = [f"{run.experiment},{run.seed},{run.chi},{run.theory},{run.langevin},{other}" for run, other in runs]
        return "\n".join(["experiment,seed,chi,theory,langevin,reference", *rows, ""])

    def task_options(self, experiment: str) -> dict[str, Any]:
        """Return the options of ``msat task`` for one experiment."""
        return {key: value for key, value in self.experiments[experiment].task if key != "name"}

    def theory_of(self, experiment: str) -> dict[str, Any]:
        """Return all that determines the theory of one experiment beside code, data and seed."""
        chosen: dict[str, Any] = {"chi": self.scale_names(experiment), "levels": self.levels_of(experiment)}
        chosen["matrices"] = self.matrices_of(experiment)
        return self.experiments[experiment].network.parameters() | chosen

    def matrices_of(self, experiment: str) -> list[str] | None:
        """Return the option ``--matrices`` of one experiment's theory, with what its figures draw."""
        needs = [figures.declaration(name) for name in self.figures_of(experiment)]
        drawn = [level for need in needs if need.kind == "runs" for level in need.levels]
        n_train = self.experiments[experiment].task.sizes().n_train
        names = self.levels_of(experiment), self.scale_names(experiment)
        return with_drawn(self.theory.matrices, *names, n_train, drawn)

    def settings_of(self, kind: TrainingKind) -> dict[str, Any]:
        """Return the settings of trainings (``langevin``) or of references (``reference``)."""
        settings: LangevinSettings = getattr(self, kind)
        return settings.model_dump(include=set(LangevinSettings.model_fields))

    def training_of(self, experiment: str, kind: TrainingKind) -> dict[str, Any]:
        """Return all that determines the trainings of one experiment beside code, data, scale and seed."""
        return self.experiments[experiment].network.parameters() | self.settings_of(kind)

    def trajectory(self, experiment: str, kind: TrainingKind, code: str) -> str:
        """Return a digest of what determines an experiment's trajectories: code, task and all but their ends."""
        task = self.experiments[experiment].task
        key = {name: value for name, value in self.training_of(experiment, kind).items() if name not in STOPPING_RULE}
        files = [] if task.fetched else list(map(file_digest, task.files()))
        return digest(key | {"code": code, "task": task.model_dump(), "files": files})


def parse_config(values: Mapping[str, Any]) -> Config:
    """Return the configuration in a mapping, checked in full, with the selected experiments only.

    Raises:
        InputError: With the first problem in one line.
    """
    config = validated(Config, values, where="config: ")
    for name in config.select or ():
        if name not in config.experiments:
            known = ", ".join(config.experiments)
            raise InputError(f"config: select = {name!r}: no such experiment; known are {known}")
    for name in config.reference.experiments or ():
        if name not in config.experiments:
            known = ", ".join(config.experiments)
            raise InputError(f"config: reference.experiments = {name!r}: no such experiment; known are {known}")
    chosen = {}
    for name in config.select or config.experiments:
        experiment = config.experiments[name]
        try:
            _check(config, name)
        except InputError as error:
            raise InputError(f"config: experiments.{name}: {error}") from None
        chosen[name] = experiment.model_copy(update={"task": experiment.task.located(config.mnist.folder)})
    return config.model_copy(update={"experiments": chosen})


def _check(config: Config, name: str) -> None:
    """Raise InputError if the parts of one experiment do not fit together."""
    network = config.experiments[name].network
    for chi in config.scale_names(name):
        Network(**network.model_dump(), chi=float(chi))
    levels.check_levels(config.levels_of(name), network.activation, network.depth)
    seeds = config.seeds_of(name)
    if len(set(seeds)) < len(seeds):
        raise InputError(f"seeds = {seeds}: a seed is named twice")


def with_files(config: Config) -> tuple[Config, str]:
    """Return the configuration without experiments whose files are not there, and a line that says so, or "".

    Only experiments on files that the workflow can get are left out, and only if the config does not require them.

    Raises:
        InputError: If another file is missing, or nothing is left to run.
    """
    left_out = []
    for name, experiment in config.experiments.items():
        task = experiment.task
        missing = [path for path in task.files() if not Path(path).is_file()]
        if missing and not task.fetched:
            key = next((key for key, value in task if value == missing[0]), "files")
            raise InputError(f"config: experiments.{name}.task.{key} = {missing[0]!r}: no such file")
        if missing and not config.mnist.required:
            left_out.append(name)
    if not left_out:
        return config, ""
    kept = {name: at for name, at in config.experiments.items() if name not in left_out}
    names = ", ".join(left_out)
    line = f"MNIST is not in {config.mnist.folder}: left out {names}; `snakemake mnist` gets the files"
    if not kept:
        raise InputError(f"config: no experiment is left to run. {line}")
    return config.model_copy(update={"experiments": kept}), line


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
