"""The workflow's configuration: what config.yaml may hold, with defaults, ranges and meanings.

Each stage defines the settings that are its own; this module only composes them. The JSON schema in
workflow/schemas is generated from here (``msat schema``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from msat.activations import ActivationName
from msat.errors import InputError
from msat.langevin.settings import LangevinSettings
from msat.network import Network
from msat.tasks.ising import IsingSettings
from msat.tasks.mnist import FOLDER, MnistSettings
from msat.tasks.mnist_files import FILES
from msat.tasks.table import TableSettings
from msat.tasks.teacher_student import TeacherStudentSettings
from msat.validation import validated

ExperimentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
LevelName = Literal["nngp", "rescaling", "tree_level", "one_loop", "laplace", "exact"]
FigureFormat = Literal["pdf", "png", "svg"]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Gamma = Annotated[float, Field(ge=-1, le=2)]
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A part of the configuration: unknown keys and silently converted types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class IsingTask(IsingSettings):
    """The linearly separable Ising task."""

    name: Literal["ising"] = Field(description="Which task.")


class TeacherStudentTask(TeacherStudentSettings):
    """Gaussian inputs with labels from a teacher: a Hermite series of one direction, linear, or a network."""

    name: Literal["teacher_student"] = Field(description="Which task.")


class MnistTask(MnistSettings):
    """Two digits of MNIST."""

    name: Literal["mnist"] = Field(description="Which task.")


class TableTask(TableSettings):
    """A table of the user's."""

    name: Literal["table"] = Field(description="Which task.")


Task = IsingTask | TeacherStudentTask | MnistTask | TableTask


class Sizes(NamedTuple):
    """What a job's memory and time depend on."""

    n_train: int
    n_test: int
    dimension: int


# what a table's job asks for where the config does not say: the file is not read for it
_UNSTATED = 1000


class NetworkSection(Section):
    """A two-layer network but for its scale."""

    width: int = Field(100, ge=1, description="Number of hidden neurons N.")
    activation: ActivationName = Field("linear", description="Activation function phi.")
    g_w: float = Field(0.5, gt=0, description="Readout prior: w_i has variance g_w / (chi N).")
    g_v: float = Field(0.5, gt=0, description="First-layer prior: V_ij has variance g_v / D.")
    kappa_0: float = Field(1.0, gt=0, description="Label-noise variance at chi = 1; it is kappa_0 / chi.")


class Scales(Section):
    """The scales of a sweep, given either as chi or as gamma."""

    chi: list[Positive] | None = Field(
        None, min_length=1, description="Scales chi: 1 is standard scaling, N is mean-field scaling."
    )
    gamma: list[Gamma] | None = Field(
        None, min_length=1, description="Exponents gamma of chi = N^gamma: 0 is standard, 1 mean-field."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Scales:
        if self.chi is not None and self.gamma is not None:
            raise ValueError("give the scales either as chi or as gamma, not both")
        values = self.chi if self.chi is not None else self.gamma
        if values is not None and len({f"{value:g}" for value in values}) < len(values):
            raise ValueError("a scale is named twice (to six digits)")
        return self

    def values(self, width: int) -> list[float]:
        """Return the scales as values of chi, rounded to the six digits that file names carry."""
        if self.chi is not None:
            values = self.chi
        elif self.gamma is not None:
            values = [math.exp(gamma * math.log(width)) for gamma in self.gamma]
        else:
            raise InputError("scales: give a list under chi or under gamma")
        rounded = [float(f"{value:g}") for value in values]
        if len(set(rounded)) < len(rounded):
            raise InputError(f"scales: chi = {rounded}: a scale is named twice")
        return rounded


class Theory(Section):
    """What the theory computes."""

    levels: list[LevelName] = Field(
        ["nngp", "rescaling", "tree_level", "one_loop", "laplace", "exact"],
        min_length=1,
        description="Levels of theory, in the order of docs/theory.md.",
    )


class Checks(Section):
    """When theory and training are said to disagree."""

    alpha: float = Field(
        1e-4, gt=0, lt=1, description="The run fails if exact and Langevin disagree at this level (Bonferroni)."
    )


class LoopMap(Section):
    """A map of where one_loop exists: linear networks on the Ising task, theory only."""

    widths: list[Annotated[int, Field(ge=1)]] = Field(
        [10, 14, 20, 28, 40, 57, 80, 113, 160], min_length=1, description="Widths N."
    )
    n_train: list[Annotated[int, Field(ge=1)]] = Field(
        [20, 40, 80], min_length=1, description="Numbers of samples P."
    )
    gamma: list[Gamma] = Field([0.0, 0.5, 1.0], min_length=1, description="Scales, chi = N^gamma.")
    dimension: int = Field(200, ge=1, description="Input dimension D.")
    delta_p: float = Field(0.1, ge=-0.5, le=0.5, description="Bias of the Ising task.")
    g_w: float = Field(0.5, gt=0, description="Readout prior.")
    g_v: float = Field(0.5, gt=0, description="First-layer prior.")
    kappa_0: float = Field(1.0, gt=0, description="Label-noise variance at chi = 1.")
    seed: Seed = Field(0, description="Seed of the data.")


class Mnist(Section):
    """Where the files of MNIST are, and where they come from."""

    folder: str = Field(
        FOLDER, pattern=r"^[A-Za-z0-9_./-]+$", description="Folder of the four IDX files; no spaces."
    )
    sources: list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./~-]+$")]] = Field(
        ["https", "npm"],
        min_length=1,
        description="Where to get them, in this order: https, npm, or a folder that has them, raw or .gz.",
    )
    required: bool = Field(
        False,
        description="Whether a run gets missing files; if not, experiments on MNIST are left out.",
    )


class FiniteWidth(Section):
    """How the levels' errors fall with the width: linear networks on the Ising task, theory only."""

    widths: list[Annotated[int, Field(ge=1)]] = Field(
        [20, 28, 40, 57, 80, 113, 160, 226], min_length=2, description="Widths N."
    )
    n_train: int = Field(20, ge=1, description="Samples P of the panels at fixed P.")
    samples_per_neuron: float = Field(0.8, gt=0, description="P/N of the panels at fixed ratio.")
    inputs_per_sample: float = Field(2.5, gt=0, description="D/P.")
    gamma: list[Gamma] = Field([0.0, 1.0], min_length=1, description="Scales, chi = N^gamma.")
    delta_p: float = Field(0.1, ge=-0.5, le=0.5, description="Bias of the Ising task.")
    g_w: float = Field(0.5, gt=0, description="Readout prior.")
    g_v: float = Field(0.5, gt=0, description="First-layer prior.")
    kappa_0: float = Field(1.0, gt=0, description="Label-noise variance at chi = 1.")
    seeds: list[Seed] = Field([0, 1, 2, 3, 4], min_length=1, description="Seeds of the data.")


class Saving(Section):
    """How trainings are saved beside their results; it changes no result."""

    checkpoint_every: float = Field(
        60.0, ge=0, description="Seconds between two checkpoints of a running training; it saves on SIGTERM too."
    )
    keep_state: bool = Field(
        True,
        description="Keep the final state of every training and a second name of its result, so that a smaller "
        "target_error or more steps go on from there. One state takes 1 to 2 KB times chains times "
        "(2 n_train + n_test), in states/ under results.",
    )


class Figures(Section):
    """How figures are written."""

    formats: list[FigureFormat] = Field(["pdf", "png"], min_length=1, description="File formats.")

    @model_validator(mode="after")
    def _no_repetition(self) -> Figures:
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("a format is named twice")
        return self


class Experiment(Section):
    """A named combination of a task and a network; scales and seeds may differ from the common ones."""

    title: str = Field("", description="Title in figures and report.")
    task: Annotated[Task, Field(discriminator="name")] = Field(description="Data.")
    network: NetworkSection = Field(description="Network.")
    scales: Scales | None = Field(None, description="Scales of this experiment; null for the common ones.")
    seeds: list[Seed] | None = Field(None, min_length=1, description="Seeds; null for the common ones.")
    levels: list[LevelName] | None = Field(
        None, min_length=1, description="Levels of theory; null for the common ones."
    )


class Config(Section):
    """The whole configuration of the workflow."""

    results: str = Field(
        "results",
        pattern=r"^[A-Za-z0-9_./-]+$",
        description="Folder for everything that the workflow writes; no spaces.",
    )
    experiments: dict[ExperimentName, Experiment] = Field(min_length=1, description="Experiments by name.")
    select: list[ExperimentName] | None = Field(
        None, min_length=1, description="Experiments to run; null for all. Overlays use it: maps merge."
    )
    scales: Scales = Field(Scales(), description="Scales of every experiment that names none.")
    seeds: list[Seed] = Field([0, 1, 2], min_length=1, description="Seeds of data and chains.")
    theory: Theory = Field(Theory(), description="Theory.")
    langevin: LangevinSettings = Field(LangevinSettings(), description="Langevin training.")
    saving: Saving = Field(Saving(), description="Checkpoints and final states of trainings.")
    checks: Checks = Field(Checks(), description="Comparison of theory and training.")
    loop_map: LoopMap = Field(LoopMap(), description="Map of where one_loop exists.")
    finite_width: FiniteWidth = Field(FiniteWidth(), description="Errors of the levels against the width.")
    figures: Figures = Field(Figures(), description="Figures.")
    mnist: Mnist = Field(Mnist(), description="Files of MNIST.")

    def chi(self, experiment: str) -> list[float]:
        """Return the scales of one experiment."""
        chosen = self.experiments[experiment]
        return (chosen.scales or self.scales).values(chosen.network.width)

    def seeds_of(self, experiment: str) -> list[int]:
        """Return the seeds of one experiment."""
        return self.experiments[experiment].seeds or self.seeds

    def levels_of(self, experiment: str) -> list[str]:
        """Return the levels of theory of one experiment."""
        return list(self.experiments[experiment].levels or self.theory.levels)

    def single_index(self, experiment: str) -> bool:
        """Return whether the labels of one experiment depend on one direction of the inputs, which is known."""
        task = self.experiments[experiment].task
        return isinstance(task, TeacherStudentTask) and task.single_index

    def sizes(self, experiment: str) -> Sizes:
        """Return the sizes of one experiment; of a table those that the config states, 1000 otherwise."""
        task = self.experiments[experiment].task
        if isinstance(task, TableTask):
            n_test = _UNSTATED if task.n_test is None else task.n_test
            return Sizes(task.n_train or _UNSTATED, n_test, len(task.features or ()) or _UNSTATED)
        return Sizes(task.n_train, task.n_test, task.dimension)

    def task_files(self, experiment: str) -> list[str]:
        """Return the files that the data set of one experiment is made from."""
        task = self.experiments[experiment].task
        if isinstance(task, TableTask):
            return [task.file]
        return self.mnist_files() if isinstance(task, MnistTask) else []

    def task_options(self, experiment: str) -> dict[str, Any]:
        """Return the options of ``msat task`` for one experiment."""
        task = self.experiments[experiment].task
        options = task.model_dump(exclude={"name"})
        return options | {"images": self.mnist.folder} if isinstance(task, MnistTask) else options

    def mnist_files(self) -> list[str]:
        """Return the paths of MNIST's four files."""
        return [f"{self.mnist.folder}/{name}" for name in FILES]


def parse_config(values: Mapping[str, Any]) -> Config:
    """Return the configuration in a mapping, checked in full, with the selected experiments only.

    Raises
    ------
    InputError
        With the first problem in one line.
    """
    config = validated(Config, values, where="config: ")
    if config.select is not None:
        for name in config.select:
            if name not in config.experiments:
                known = ", ".join(config.experiments)
                raise InputError(f"config: select = {name!r}: no such experiment; known are {known}")
        chosen = {name: config.experiments[name] for name in config.select}
        config = config.model_copy(update={"experiments": chosen})
    for name, experiment in config.experiments.items():
        try:
            for chi in config.chi(name):
                Network(**experiment.network.model_dump(), chi=chi)
        except InputError as error:
            raise InputError(f"config: experiments.{name}: {error}") from None
        if experiment.network.activation != "linear" and "exact" in config.levels_of(name):
            raise InputError(
                f"config: experiments.{name}: level exact needs activation linear; give the experiment its levels"
            )
        if len(set(config.levels_of(name))) < len(config.levels_of(name)):
            raise InputError(
                f"config: experiments.{name}: levels = {config.levels_of(name)}: a level is named twice"
            )
        seeds = config.seeds_of(name)
        if len(set(seeds)) < len(seeds):
            raise InputError(f"config: experiments.{name}: seeds = {seeds}: a seed is named twice")
    return config


def with_files(config: Config) -> tuple[Config, str]:
    """Return the configuration without experiments whose files are not there, and a line that says so, or "".

    Only experiments on MNIST can be left out, and only if the config does not require the files.

    Raises
    ------
    InputError
        If a table is missing, or nothing is left to run.
    """
    for name, experiment in config.experiments.items():
        if isinstance(experiment.task, TableTask) and not Path(experiment.task.file).is_file():
            raise InputError(f"config: experiments.{name}.task.file = {experiment.task.file!r}: no such file")
    if config.mnist.required or all(Path(path).is_file() for path in config.mnist_files()):
        return config, ""
    kept = {name: at for name, at in config.experiments.items() if not isinstance(at.task, MnistTask)}
    left_out = [name for name in config.experiments if name not in kept]
    if not left_out:
        return config, ""
    line = (
        f"MNIST is not in {config.mnist.folder}: left out {', '.join(left_out)}; `snakemake mnist` gets the files"
    )
    if not kept:
        raise InputError(f"config: no experiment is left to run. {line}")
    return config.model_copy(update={"experiments": kept}), line


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
