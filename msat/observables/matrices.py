"""The one way to read matrices over training points from a result of the theory, which may hold some of them only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from msat.errors import InputError
from msat.types import Array, flat

if TYPE_CHECKING:
    import xarray as xr


def read_matrix(theory: xr.Dataset, name: str, level: str, chi: float) -> Array:
    """Return one of `msat.observables.variables.MATRICES` of a level at a scale, from a result of the theory.

    (P, P); of m > 1 outputs the covariance is (P m, P m), entry a m + c the output c of sample a.

    Args:
        chi: Taken to six digits, as file names have it.

    Raises:
        InputError: If the result does not have it.
    """
    at: Any = theory.get(name)
    if at is not None:
        levels, scales = (theory[dimension].to_numpy() for dimension in at.dims[:2])
        row, column = np.flatnonzero(levels == level), np.flatnonzero(np.isclose(scales, chi, rtol=1e-5, atol=0))
        if len(row) and len(column):
            return flat(np.asarray(at[int(row[0]), int(column[0])].to_numpy()))
    raise InputError(
        f"{name} of level {level} at chi = {chi:g}: not in the theory result; --matrices {level},{chi:g} keeps it"
    )
