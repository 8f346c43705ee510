"""Which levels and scales a result keeps the matrices of: what ``--matrices`` means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from msat.errors import InputError
from msat.levels import NAMES
from msat.observables.variables import MATRICES

ALL, NONE = "all", "none"
LARGEST = 500_000_000  # bytes of all matrices of a result beyond which only those asked for are kept

Choice = Sequence[str | float] | None


class Kept(NamedTuple):
    """Levels and scales, all combinations of which have their matrices in a result."""

    levels: list[str]
    scales: list[float]

    @property
    def pairs(self) -> int:
        """Number of pairs of level and scale."""
        return len(self.levels) * len(self.scales)


def parsed(choice: Any) -> Any:
    """Return a choice with scales as numbers; ValueError for what is neither level nor scale.

    What is no list of strings and numbers is returned as it is, for its type to be refused.
    """
    if not isinstance(choice, list | tuple) or any(type(item) not in (str, int, float) for item in choice):
        return choice
    words, items = (*NAMES, ALL, NONE), list(choice)
    result: list[str | float] = []
    for item in items:
        value = item if item in words else _scale(item)
        if value is None:
            shown = repr(item) if item == "" else item
            raise ValueError(f"{shown}: must be a scale, above 0 and finite, or one of {', '.join(words)}")
        result.append(value)
    if len(items) > 1 and (ALL in items or NONE in items):
        raise ValueError(f"{ALL} and {NONE} stand alone")
    return result


def _scale(item: str | float) -> float | None:
    """Return a scale as a number; None for what is none."""
    try:
        value = float(item)
    except (ValueError, OverflowError):
        return None
    return value if 0 < value < math.inf else None


def kept(choice: Choice, levels: Sequence[str], scales: Sequence[float], n_labels: int) -> Kept:
    """Return the levels and scales of a result whose matrices it keeps.

    Args:
        choice: Names of levels and scales: those levels, or all if none is named, at those scales, or at all if none
            is given. ``all``; ``none``; None for all up to `LARGEST` in total, and none beyond.
        n_labels: Training points times outputs.

    Raises:
        InputError: If a level or a scale is not among those of the result.
    """
    everything = Kept(list(levels), list(scales))
    if choice is None:
        return everything if size(everything.pairs, n_labels) <= LARGEST else Kept([], [])
    if NONE in choice:
        return Kept([], [])
    names = [item for item in choice if isinstance(item, str) and item != ALL]
    chosen = [item for item in choice if not isinstance(item, str)]
    for name in names:
        if name not in levels:
            raise InputError(f"matrices = {name}: not a level that is solved; these are {', '.join(levels)}")
    for chi in chosen:
        if not _among(chi, scales):
            known = ", ".join(f"{scale:g}" for scale in scales)
            raise InputError(f"matrices = {chi:g}: not a scale that is solved; these are {known}")
    return Kept(
        [level for level in levels if not names or level in names],
        [chi for chi in scales if not chosen or _among(chi, chosen)],
    )


def with_drawn(
    choice: Choice, levels: Sequence[str], scales: Sequence[str], n_labels: int, drawn: Sequence[str]
) -> list[str] | None:
    """Return the choice for one experiment of a config, in full; None for all that a result keeps by itself.

    Of a choice that is made for all experiments, what this one has; and what its figures draw: the matrices of some
    levels at the lowest and at the highest scale.

    Args:
        scales: As file names have them.
        drawn: The levels.
    """
    values = [float(scale) for scale in scales]
    if choice is None and size(len(levels) * len(scales), n_labels) <= LARGEST:
        return None
    choice = [NONE] if choice is None else choice
    names = [item for item in choice if isinstance(item, str) and item not in (ALL, NONE)]
    chosen = [item for item in choice if not isinstance(item, str)]
    here = {name for name in levels if not names or name in names}
    at = {scale for scale, value in zip(scales, values, strict=True) if not chosen or _among(value, chosen)}
    if NONE in choice or not here or not at:
        here, at = set(), set()
    if drawn:
        ends = sorted(scales, key=float)
        here, at = here | set(drawn), at | {ends[0], ends[-1]}
    if not here:
        return [NONE]
    return [*(name for name in levels if name in here), *(scale for scale in scales if scale in at)]


def size(pairs: int, n_labels: int) -> int:
    """Return the bytes of the matrices of so many pairs of level and scale; of several outputs, at most."""
    return len(MATRICES) * pairs * 8 * n_labels**2


def left_out(levels: int, scales: int, n_labels: int) -> str:
    """Return a line on matrices that a result leaves out for their size."""
    total = size(levels * scales, n_labels) / 1e9
    return (
        f"{' and '.join(MATRICES)} of all levels and scales would take {total:.1f} GB and are left out; "
        "--matrices LEVELS,SCALES keeps those named, --matrices all keeps every one"
    )


def _among(chi: float, scales: Sequence[float]) -> bool:
    # to the six digits of file names
    return any(math.isclose(chi, scale, rel_tol=1e-5) for scale in scales)
