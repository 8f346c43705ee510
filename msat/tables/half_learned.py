"""How many samples it takes to learn half of the teacher's higher components (docs/theory.md, Learning curves)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from msat.types import Array

DEGREES = (2, 3)  # of the Hermite polynomials: quadratic and cubic component
SHARE = 0.5
_PLACE = ["experiment", "seed", "chi", "gamma", "source", "degree"]
_FOUND = ["n_half", "n_half_error", "n_below", "n_above", "share", "share_error"]
HALF_LEARNED = [*_PLACE, *_FOUND, "teacher", "dimension", "mixed", "note"]
_NONE = 1e-9  # a component of the teacher below it is none


def half_learned_table(
    components: pd.DataFrame, langevin: pd.DataFrame, dimensions: Mapping[str, float]
) -> pd.DataFrame:
    """Return the table `half_learned` (docs/formats.md): a row for each seed, scale, source and degree with several P.

    ``n_half`` is the number of samples at which the component is half of the teacher's for the first time, linear in
    ln P between the two numbers around it, ``n_below`` and ``n_above``, whose errors it propagates; NaN, with a note,
    where half is not reached or is there at the smallest P. ``share`` is the component over the teacher's at the
    largest P, and ``mixed`` whether the training runs used have mixed: the two around, or all.

    Args:
        components, langevin: The tables of these names.
        dimensions: Input dimension D by experiment, where it is known.
    """
    return pd.DataFrame(_rows(components, langevin, dimensions), columns=HALF_LEARNED)


def _rows(
    components: pd.DataFrame, langevin: pd.DataFrame, dimensions: Mapping[str, float]
) -> Iterator[dict[str, Any]]:
    if not len(components):
        return
    shown = components[components["degree"].isin(DEGREES)]
    of_teacher = shown.groupby(["experiment", "seed", "degree"])["teacher"]
    teachers = dict(of_teacher.first())  # that is there: levels' rows have it
    for place, group in shown.groupby(_PLACE, sort=False):
        at = group.sort_values("n_train").set_index("n_train")
        if len(at) < 2:
            continue
        experiment, seed, chi, _, source, degree = place
        teacher = float(teachers[experiment, seed, degree])
        row: dict[str, Any] = dict(zip(_PLACE, place, strict=True)) | dict.fromkeys(_FOUND, math.nan)
        row |= {"teacher": teacher, "dimension": dimensions.get(str(experiment), math.nan), "mixed": True}
        if abs(teacher) < _NONE:
            yield row | {"note": "the teacher has no such component"}
            continue
        known = at[np.isfinite(at["strength"])]
        share, error = known["strength"] / teacher, known["error"] / abs(teacher)
        row |= half_learned(known.index.to_numpy(), share.to_numpy(), error.to_numpy())
        if source == "langevin":
            around = [row[name] for name in ("n_below", "n_above") if not math.isnan(row[name])] or list(at.index)
            here = langevin["n_train"].isin(around)
            for name, value in {"experiment": experiment, "seed": seed, "chi": chi}.items():
                here &= langevin[name] == value
            row["mixed"] = bool(langevin.loc[here, "mixed"].all())
        yield row


def half_learned(samples: Array, share: Array, error: Array) -> dict[str, Any]:
    """Return `_FOUND` and ``note`` of shares learned with so many samples, ascending, with their errors; all (n,)."""
    found: dict[str, Any] = dict.fromkeys(_FOUND, math.nan) | {"note": "no solution"}
    if not len(samples):
        return found
    found |= {"share": float(share[-1]), "share_error": float(error[-1])}
    reached = np.flatnonzero(share >= SHARE)
    if not len(reached):
        return found | {"note": "not reached"}
    above = int(reached[0])
    if above == 0:
        return found | {"n_above": float(samples[0]), "note": "at the smallest P already"}
    below = above - 1
    rise, step = float(share[above] - share[below]), math.log(samples[above] / samples[below])
    n_half = float(samples[below]) * math.exp(step * (SHARE - float(share[below])) / rise)
    # how the place between the two moves with the value below and with the value above
    slopes = (float(share[above]) - SHARE) / rise**2, (SHARE - float(share[below])) / rise**2
    relative = step * math.hypot(slopes[0] * float(error[below]), slopes[1] * float(error[above]))
    again = samples[above:][share[above:] < SHARE]
    found |= {"n_half": n_half, "n_half_error": n_half * relative}
    found |= {"n_below": float(samples[below]), "n_above": float(samples[above])}
    return found | {"note": f"below half again at P = {again[0]}" if len(again) else ""}
