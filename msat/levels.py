"""The registry of theory levels: what everything but their solvers needs to know of them.

A level is one row here and one module ``msat.theory.<name>`` with its formula. Config, command line, tables, checks
and figures read this registry; no other module spells a level's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msat.activations import get_activation
from msat.errors import InputError
from msat.settings import OneOf, check_known

Line = str | tuple[float, tuple[float, ...]]


@dataclass(frozen=True)
class Level:
    """One level of theory.

    Attributes:
        name, label: Its name in files and options, and in figures.
        method: "kernel": follows from the spectrum of the prior kernel, by ``predict(geometry, network)`` of its
            module. "action": expands about a conjugate field, by ``solve(saddle)`` and
            ``again(solution, action)`` of its module (`msat.theory.action`).
        color, line: How figures draw it: index in seaborn's palette "colorblind" (None: black), and matplotlib's line
            style.
        marker: Its marker where levels are drawn as points.
        linear_only: Whether it is defined for linear networks only.
        several_linear_only: Whether it is, where there are several outputs.
        wide_enough: Whether it needs, of several outputs, a width of at least their number.
        exact: Whether it has no approximation: the run fails where training disagrees with it.
        may_have_no_solution: Whether not to converge is a result and no failure.
        derivative: Whether its mean and covariance are derivatives of one log evidence, eq. (2) of docs/theory.md.
        deep: For which networks with several hidden layers it is defined, by a module ``msat.theory.deep.<name>``.
        why_not_deep: Why not for others.
    """

    name: str
    label: str
    method: Literal["kernel", "action"]
    color: int | None
    line: Line
    marker: str
    linear_only: bool = False
    several_linear_only: bool = False
    wide_enough: bool = False
    exact: bool = False
    may_have_no_solution: bool = False
    derivative: bool = True
    deep: Literal["none", "linear", "all"] = "none"
    why_not_deep: str = "not derived"


_OPEN = "the loop over kernels is open"
_NO_FIELD = "E exp(ft.f) diverges, and with it the action S(ft) whose loop equation it solves"

NNGP = Level("nngp", "NNGP", "kernel", 7, (0, (1, 1)), "x", deep="all")
RESCALING = Level("rescaling", "rescaling", "kernel", 1, (0, (4, 1.5)), "s", derivative=False, deep="all")
TREE_LEVEL = Level(
    "tree_level", "tree level", "action", 4, (0, (4, 1.5, 1, 1.5)), "^", deep="linear", why_not_deep=_OPEN
)
ONE_LOOP = Level(
    *("one_loop", "one loop", "action", 2, (0, (6, 1, 1, 1, 1, 1)), "D"),
    several_linear_only=True,
    may_have_no_solution=True,
    why_not_deep=_NO_FIELD,
)
LAPLACE = Level("laplace", "Laplace", "action", 0, (0, (7, 2)), "o", deep="linear", why_not_deep=_OPEN)
EXACT = Level(
    *("exact", "exact", "kernel", None, "solid", "*"), linear_only=True, wide_enough=True, exact=True, deep="linear"
)

LEVELS = {level.name: level for level in (NNGP, RESCALING, TREE_LEVEL, ONE_LOOP, LAPLACE, EXACT)}
NAMES = tuple(LEVELS)
LevelName = Annotated[str, OneOf(NAMES)]  # in settings
EXACT_NAMES = tuple(level.name for level in LEVELS.values() if level.exact)
_REFERENCES = (EXACT, LAPLACE)  # what others are measured against, the first that there is


def reference(names: Iterable[str]) -> Level | None:
    """Return the level of a set that others are measured against; None if it has none."""
    known = set(names)
    return next((level for level in _REFERENCES if level.name in known), None)


def quoted(names: Iterable[str]) -> Level | None:
    """Return the level of a set whose log evidence is to be quoted; None if it has none.

    exact, else rescaling: the latter for linear networks only (docs/theory.md, section 12).
    """
    known = set(names)
    return next((level for level in (EXACT, RESCALING) if level.name in known), None)


def why_undefined(level: Level, activation: str, outputs: int = 1, width: int | None = None, depth: int = 1) -> str:
    """Return why a level is not defined for networks with an activation, empty if it is.

    Args:
        outputs, width, depth: Their numbers of outputs and of hidden layers, and their width where it counts.
    """
    if level.linear_only and activation != "linear":
        return f"{level.name} needs activation = 'linear'"
    if outputs > 1 and level.several_linear_only and activation != "linear":
        return (
            f"{level.name} of several outputs needs activation = 'linear', since from draws its curvature takes "
            "cumulants of three and four outputs of all samples at once"
        )
    if outputs > 1 and level.wide_enough and width is not None and width < outputs:
        return (
            f"width = {width}: must be at least the number of outputs, {outputs}, or the readout matrix has no density"
        )
    if level.method == "action" and not get_activation(activation).linear_growth:
        return (
            "not defined, since the activation grows faster than linearly and E exp(ft.z) diverges; must be "
            "one of " + ", ".join(defined_levels(activation, depth))
        )
    if depth > 1 and not _defined_deep(level, activation):
        return f"not defined for {depth} hidden layers: {level.why_not_deep}"
    return ""


def _defined_deep(level: Level, activation: str) -> bool:
    return level.deep == "all" or (level.deep == "linear" and activation == "linear")


def defined_levels(activation: str, outputs: int = 1, width: int | None = None, depth: int = 1) -> list[str]:
    """Return the names of the levels that are defined for networks with an activation; see `why_undefined`."""
    linear, growth = activation == "linear", get_activation(activation).linear_growth
    return [
        level.name
        for level in LEVELS.values()
        if (linear or not (level.linear_only or (outputs > 1 and level.several_linear_only)))
        and (growth or level.method == "kernel")
        and (width is None or width >= outputs or not level.wide_enough)
        and (depth == 1 or _defined_deep(level, activation))
    ]


def check_levels(
    names: Sequence[str], activation: str, outputs: int = 1, width: int | None = None, depth: int = 1
) -> None:
    """Raise InputError if a level is unknown, named twice, or not defined for these networks (`why_undefined`).

    Of several outputs with several hidden layers none is.
    """
    get_activation(activation)
    if outputs > 1 and depth > 1:
        raise InputError(
            f"{outputs} outputs and {depth} hidden layers: several outputs with several hidden layers are not derived; "
            "give one width"
        )
    if not names:
        raise InputError(f"levels is empty: must name at least one of {', '.join(NAMES)}")
    several = f" and {outputs} outputs" if outputs > 1 else ""
    for name in names:
        check_known("level", name, NAMES)
        reason = why_undefined(LEVELS[name], activation, outputs, width, depth)
        if reason:
            raise InputError(f"level = {name!r} with activation = {activation!r}{several}: {reason}")
    if len(set(names)) < len(names):
        raise InputError(f"levels = {','.join(names)}: a level is named twice")


def ordered(names: Iterable[Any]) -> list[Level]:
    """Return the levels of a set in the order of the registry."""
    known = {str(name) for name in names}
    return [level for level in LEVELS.values() if level.name in known]
