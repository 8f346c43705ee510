"""Stage `map`: what the theory says over any two parameters, on any task (docs/theory.md, section 11)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from msat.errors import InputError
from msat.levels import LAPLACE, LEVELS, NAMES, LevelName, check_levels, defined_levels, why_undefined
from msat.network import Network, NetworkSettings, Positive
from msat.settings import OneOf, Seed, Settings
from msat.tasks.base import TaskSettings

if TYPE_CHECKING:  # settings are read by config and command line, which must start at once
    import pandas as pd

    from msat.stages.columns import Column
    from msat.tasks.base import Task

TABLE = "phase_map"
SCALE = ("chi", "gamma")
AXES = (*SCALE, "width", "n_train", "kappa_0", "g_w", "g_v")
_COUNTS = ("width", "n_train")
_GAMMA = (-1.0, 2.0)
_RANGE, _STEPS = (0.1, 1000.0), 3  # where the preferred scale is looked for, and scales in a decade
AxisName = Annotated[str, OneOf(AXES)]


class PhaseMapSettings(Settings):
    """A map of the theory over two parameters; what is no axis is as the task and the network have it."""

    x: AxisName = Field(description=f"Parameter along the horizontal axis: {', '.join(AXES)}.")
    x_values: list[float] = Field(description="Its values, ascending, separated by commas.")
    y: AxisName = Field(description="Parameter along the vertical axis, another one of these.")
    y_values: list[float] = Field(description="Its values, ascending, separated by commas.")
    chi: Positive | None = Field(None, gt=0, description="Scale where it is no axis; by default 1.")
    gamma: float | None = Field(None, ge=_GAMMA[0], le=_GAMMA[1], description="Instead of chi: chi = N^gamma.")
    levels: list[LevelName] | None = Field(
        None,
        min_length=1,
        description=f"Levels of theory, separated by commas, out of {', '.join(NAMES)}; by default all of a linear "
        f"network, and {LAPLACE.name} of others.",
    )
    chi_range: list[Positive] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="Lowest and highest scale between which the preferred scale is looked for; by default "
        f"{_RANGE[0]:g},{_RANGE[1]:g} for linear networks, for others the range of the axis chi or gamma.",
    )
    seed: Seed = Field(0, description="Seed of the data, and of the sampling of non-linear levels.")

    @model_validator(mode="after")
    def _axes_make_a_map(self) -> PhaseMapSettings:
        if self.x == self.y or {self.x, self.y} == set(SCALE):
            raise ValueError(f"x = {self.x}, y = {self.y}: must be two different parameters")
        for axis, name in (("x", self.x), ("y", self.y)):
            _check_values(f"{axis}_values", name, getattr(self, f"{axis}_values"))
        given = [name for name in SCALE if getattr(self, name) is not None]
        if len(given) == 2 or (given and self.scale_axis):
            other = self.scale_axis or "chi"
            raise ValueError(f"{given[-1]} = {getattr(self, given[-1]):g}: the scale is given by {other} already")
        if self.chi_range and not self.chi_range[0] < self.chi_range[1]:
            low, high = self.chi_range
            raise ValueError(f"chi_range = {low:g},{high:g}: the first must be less than the second")
        return self

    @property
    def scale_axis(self) -> str:
        """The axis along which the scale runs, chi or gamma; empty if it is none."""
        return next((name for name in (self.x, self.y) if name in SCALE), "")

    def values_of(self, axis: str) -> list[float]:
        """Return the values of an axis, whole numbers as such."""
        values = self.x_values if axis == self.x else self.y_values
        return [int(value) for value in values] if axis in _COUNTS else list(values)

    def shape_of(self, network: NetworkSettings, outputs: int) -> tuple[str, int, int, int]:
        """Return activation, number of outputs, smallest width and depth: what the levels that there are depend on."""
        widths = self.values_of("width") if "width" in (self.x, self.y) else network.widths[-1:]
        return network.activation, outputs, int(min(widths)), network.depth

    def levels_of(self, network: NetworkSettings, outputs: int = 1) -> list[str]:
        """Return the levels of a map of such networks, in the order given."""
        shape = self.shape_of(network, outputs)
        if self.levels or network.activation == "linear" or why_undefined(LAPLACE, *shape):
            return self.levels or defined_levels(*shape)
        return [LAPLACE.name]


def key_of(settings: PhaseMapSettings, network: NetworkSettings, name: str, task: TaskSettings) -> dict[str, Any]:
    """Return what determines a map, on data of the task of this name, beside code and files."""
    own = settings.model_dump(include=set(PhaseMapSettings.model_fields))
    of_task = {key: value for key, value in task.key().items() if key != "name"}
    return {**own, **network.model_dump(), **of_task, "task": name}


def _check_values(key: str, name: str, values: Sequence[float]) -> None:
    shown = f"{key} = {','.join(f'{value:g}' for value in values)}"
    if len(values) < 2:
        raise ValueError(f"{shown}: an axis must have at least two values")
    if any(later <= earlier for earlier, later in pairwise(values)):
        raise ValueError(f"{shown}: must be ascending, each value once")
    if name in _COUNTS and not all(value >= 1 and float(value).is_integer() for value in values):
        raise ValueError(f"{shown}: {name} must be whole numbers, at least 1")
    if name == "gamma" and not all(_GAMMA[0] <= value <= _GAMMA[1] for value in values):
        raise ValueError(f"{shown}: gamma must be from {_GAMMA[0]:g} to {_GAMMA[1]:g}")
    if name not in ("gamma", *_COUNTS) and values[0] <= 0:
        raise ValueError(f"{shown}: {name} must be greater than 0")


def check(settings: PhaseMapSettings, network: NetworkSettings, task: TaskSettings) -> None:
    """Raise InputError if a map cannot be made of a network and a task: before any work."""
    if network.depth > 1 and "width" in (settings.x, settings.y):
        shown = ",".join(map(str, network.widths))
        raise InputError(f"width = {shown}: where the width is an axis there must be one hidden layer")
    levels = settings.levels_of(network, task.n_outputs)
    check_levels(levels, *settings.shape_of(network, task.n_outputs))
    for place in _places(settings):
        _data(task, place)
        for at in _cells(settings, place):
            _network(network, at)


def phase_map(
    settings: PhaseMapSettings,
    network: NetworkSettings,
    make: Callable[[Any, int], Task],
    task: TaskSettings,
    report: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Return the table `phase_map` (docs/formats.md): a row for each cell and level; first the columns of the axes.

    Args:
        network: The network but for the axes.
        make: Of the task: makes the data from settings and seed.
        task: Settings of the task but for n_train where that is an axis.
        report: Is told of every column that is solved.

    Raises:
        InputError: If the parts do not fit together.
    """
    import pandas as pd

    from msat.stages.columns import column

    check(settings, network, task)
    levels, data = settings.levels_of(network, task.n_outputs), {}
    places, found = _places(settings), {}
    for index, place in enumerate(places):
        told = ", ".join(f"{name} = {value:g}" for name, value in place.items())
        report(f"column {index + 1} of {len(places)}: {told}")
        key = place.get("n_train")
        if key not in data:
            made = make(_data(task, place), settings.seed)
            data[key] = replace(made, x_test=made.x_test[:0], y_test=made.y_test[:0])  # a map has no test points
        cells = _cells(settings, place)
        scales = [_network(network, at).chi for at in cells]
        searched = _searched(settings, network.activation, scales)
        solved = column(data[key], _network(network, cells[0]), scales, levels, settings.seed, searched)
        for at, chi in zip(cells, scales, strict=True):
            about = {"n_train": data[key].n_train, **_network(network, at).parameters()}
            found[at[settings.x], at[settings.y]] = list(_rows(about | at, solved, chi, levels))
    ordered = product(settings.values_of(settings.y), settings.values_of(settings.x))
    table = pd.DataFrame([row for y, x in ordered for row in found[x, y]])
    return table[[settings.x, settings.y, *(name for name in table if name not in (settings.x, settings.y))]]


def warnings(table: pd.DataFrame) -> list[str]:
    """Return a line for each thing that a reader of the table must know: transitions, and what did not converge."""
    lines = []
    x, y = table.columns[:2]
    marked = table[table["transition"]]
    if len(marked):
        first = marked.iloc[0]
        lines.append(
            f"upward and downward anneals differ in {len(marked)} rows, as at a first-order transition; the first at "
            f"{x} = {first[x]:g}, {y} = {first[y]:g}, level {first['level']}: {first['note']}"
        )
    for name, rows in table[~table["transition"]].groupby("level", sort=False):
        missing = int((~rows["converged"]).sum())
        if missing and not LEVELS[str(name)].may_have_no_solution:
            lines.append(f"not converged: {name} in {missing} of {len(rows)} cells")
    return lines


def run(
    settings: PhaseMapSettings,
    network: NetworkSettings,
    make: Callable[[Any, int], Task],
    task: TaskSettings,
    out: Path,
    report: Callable[[str], None] = lambda line: None,
    made: Mapping[str, Any] | None = None,
) -> list[str]:
    """Make a map and write it into a folder, as ``phase_map.csv`` and ``phase_map.parquet``; return warnings.

    Args:
        settings, network, make, task, report: See `phase_map`.
        made: What the files say of its making.
    """
    from msat.store import check_writable
    from msat.tables.files import write_table

    check_writable(out / f"{TABLE}.csv")
    table = phase_map(settings, network, make, task, report)
    write_table(table, out / TABLE, made)
    return warnings(table)


def _places(settings: PhaseMapSettings) -> list[dict[str, float]]:
    """Return what differs between columns: along the axis of scales one anneal has all."""
    names = [name for name in (settings.y, settings.x) if name not in SCALE]
    return [dict(zip(names, values, strict=True)) for values in product(*map(settings.values_of, names))]


def _cells(settings: PhaseMapSettings, place: Mapping[str, float]) -> list[dict[str, float]]:
    """Return the values of axes and scale, by name, of the cells of a column."""
    axis = settings.scale_axis
    if axis:
        return [{**place, axis: value} for value in settings.values_of(axis)]
    scale = {"gamma": settings.gamma} if settings.gamma is not None else {"chi": settings.chi or 1.0}
    return [{**place, **scale}]


def _network(network: NetworkSettings, at: Mapping[str, float]) -> Network:
    values = network.model_dump() | {name: value for name, value in at.items() if name not in ("n_train", "gamma")}
    if "gamma" in at:
        values["chi"] = float(values["width"]) ** at["gamma"]
    return Network(**values)


def _data(task: TaskSettings, place: Mapping[str, float]) -> TaskSettings:
    """Return the settings of a column's data."""
    from msat.validation import validated

    if "n_train" not in place:
        return task
    if "n_train" not in type(task).model_fields:
        raise InputError("n_train: the task has no n_train, which cannot be an axis")
    values = {name: getattr(task, name) for name in type(task).model_fields}
    return validated(type(task), values | {"n_train": place["n_train"]})


def _searched(settings: PhaseMapSettings, activation: str, scales: Sequence[float]) -> list[float]:
    """Return the scales between which the preferred one is looked for: of a sampled column its own, if not stated."""
    if settings.chi_range is None and activation != "linear":
        return sorted(set(scales)) if len(set(scales)) > 1 else []
    low, high = settings.chi_range or _RANGE
    steps = max(2, math.ceil(_STEPS * math.log10(high / low) - 1e-9))
    return [low * (high / low) ** (index / steps) for index in range(steps)] + [high]


def _rows(about: Mapping[str, Any], solved: Column, chi: float, levels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one cell."""
    for level in levels:
        cell = asdict(solved.cells[chi, level])
        note = cell.pop("note")
        best = solved.preferred.get(level)
        star, reason = best or (float("nan"), "not looked for: neither chi nor gamma is an axis, and no chi_range")
        yield {**about, "chi": chi, "level": level, **cell, "chi_star": star, "chi_star_note": reason, "note": note}
