"""What the sections of config.yaml may hold. Each stage and task defines the settings that are its own."""

from __future__ import annotations

import math
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import (
    Field,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic.fields import FieldInfo

from msat import tasks
from msat.errors import InputError
from msat.langevin.samplers import SamplerName
from msat.langevin.settings import LangevinSettings
from msat.network import NetworkSettings
from msat.settings import Seed, Settings
from msat.stages.maps import Gamma
from msat.stages.phase_map import PhaseMapSettings
from msat.tasks import nested
from msat.tasks.base import TaskSettings
from msat.theory.settings import MATRICES, Levels, Matrices

ExperimentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Seeds = Annotated[list[Seed], Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]


def _named(task: str) -> type[TaskSettings]:
    """Return the settings of a task with its name, as an experiment's section ``task`` holds them.

    Of a task that has it, n_train may be a list as well, and n_drawn is beside it.
    """
    settings: Any = tasks.get(task).Settings
    title = "".join(part.title() for part in task.split("_")) + "Task"
    fields: Any = {"name": (Literal[task], Field(description="Which task."))}
    if "n_train" in settings.model_fields:
        n_train, n_drawn = settings.model_fields["n_train"], nested.DrawSettings.model_fields["n_drawn"]
        fields["n_train"] = _or_several(n_train)
        fields["n_drawn"] = (n_drawn.annotation, n_drawn)
    model: Any = create_model(title, __base__=settings, __doc__=settings.__doc__, **fields)
    return cast("type[TaskSettings]", model)


def _or_several(number: FieldInfo) -> tuple[Any, Any]:
    """Return a field of one number as a field that may be a list of different ones too."""

    def validate(value: Any, one: ValidatorFunctionWrapHandler) -> Any:
        if not isinstance(value, list):
            return one(value)
        if not value:
            raise ValueError("must be a number, or a list of at least one")
        for item in value:
            if one(item) is None:
                raise ValueError("a list must hold numbers only")
        if len(set(value)) < len(value):
            raise ValueError("a number is named twice")
        return value

    def several(schema: dict[str, Any]) -> None:
        kept = ("default", "title", "description")
        allowed = {key: schema.pop(key) for key in list(schema) if key not in kept}
        one = allowed.pop("anyOf", [allowed])
        numbers = next(item for item in one if item["type"] == "integer")
        schema["anyOf"] = [*one, {"type": "array", "items": numbers, "minItems": 1, "uniqueItems": True}]

    kind: Any = Annotated[(number.annotation, *number.metadata, WrapValidator(validate))]
    text = f"{number.description} A list of several is an axis of the runs; their data are nested (see n_drawn)."
    return kind, Field(number.default, description=text, json_schema_extra=several)


if TYPE_CHECKING:

    class Task(TaskSettings):
        """Settings of any task."""

        name: str
        n_drawn: int | None

else:
    Task = Annotated[reduce(or_, map(_named, tasks.NAMES)), Field(discriminator="name")]


class Scales(Settings):
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
        if values is not None and len(set(map(scale_name, values))) < len(values):
            raise ValueError("a scale is named twice (to six digits)")
        return self

    def names(self, width: int) -> list[str]:
        """Return the scales as values of chi, as file names have them."""
        if self.chi is not None:
            values = self.chi
        elif self.gamma is not None:
            values = [math.exp(gamma * math.log(width)) for gamma in self.gamma]
        else:
            raise InputError("scales: give a list under chi or under gamma")
        names = [scale_name(value) for value in values]
        if len(set(names)) < len(names):
            raise InputError(f"scales: chi = [{', '.join(names)}]: a scale is named twice")
        return names


def scale_name(chi: float) -> str:
    """Return a scale as file names, plan and command lines have it, rounded to six digits: made here only."""
    return f"{chi:g}"


class Theory(Settings):
    """What the theory computes."""

    levels: Levels | None = Field(None, description="Levels of theory; null for all that an activation has.")
    matrices: Matrices | None = MATRICES


class Reference(LangevinSettings):
    """Trainings by another sampler, with which Langevin and every level are compared."""

    experiments: list[ExperimentName] | None = Field(
        None,
        description="Experiments that have them, [] for none; null for all whose networks are not linear, but those "
        "with a list of n_train.",
    )
    seeds: Seeds | None = Field(None, description="Seeds that have them; null for the first of each experiment.")
    sampler: SamplerName = Field("hmc", description="Sampler: hmc, which has no bias from its step, or underdamped.")
    max_steps: int = Field(4000, ge=64, description="Most steps kept per chain (of hmc: trajectories).")


class Checks(Settings):
    """When theory and training are said to disagree."""

    alpha: float = Field(
        1e-4,
        gt=0,
        lt=1,
        description="The run fails if exact, or a reference, and training disagree at this level (Bonferroni).",
    )


class Figures(Settings):
    """How figures are written."""

    formats: list[Literal["pdf", "png", "svg"]] = Field(["pdf", "png"], min_length=1, description="File formats.")

    @model_validator(mode="after")
    def _no_repetition(self) -> Figures:
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("a format is named twice")
        return self


class Experiment(Settings):
    """A named combination of a task and a network; scales and seeds may differ from the common ones."""

    title: str = Field("", description="Title in figures and report.")
    task: Task = Field(description="Data.")
    network: NetworkSettings = Field(description="Network.")
    scales: Scales | None = Field(None, description="Scales of this experiment; null for the common ones.")
    seeds: Seeds | None = Field(None, description="Seeds; null for the common ones.")
    levels: Levels | None = Field(None, description="Levels of theory; null for the common ones.")

    @property
    def samples(self) -> list[int] | None:
        """The numbers of training samples, ascending, where they are an axis of the runs; else None."""
        n_train = getattr(self.task, "n_train", None)
        return sorted(n_train) if isinstance(n_train, list) else None

    def task_at(self, n_train: int | None) -> Task:
        """Return the task with one number of samples out of `samples`; None where that is no axis."""
        if self.samples is None:
            return self.task
        drawn = self.task.n_drawn or self.samples[-1]
        return self.task.model_copy(update={"n_train": n_train, "n_drawn": drawn})

    def check_samples(self) -> None:
        """Raise InputError unless the data of the numbers of samples can be nested."""
        nested.check(self.task, getattr(self.task, "n_train", None), getattr(self.task, "n_drawn", None))


def _default_task() -> Any:
    return _named("ising").model_validate({"name": "ising"})


class PhaseMap(PhaseMapSettings):
    """A named map of the theory over two parameters."""

    title: str = Field("", description="Title in the figure.")
    task: Task = Field(default_factory=_default_task, description="Data; by default ising.")
    network: NetworkSettings = Field(NetworkSettings(), description="Network, but for the axes.")
