"""A data set as every later stage sees it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from msat.errors import InputError
from msat.types import Array

_LARGEST = 1e15  # of an entry: squares and their sums stay within single precision


@dataclass(frozen=True, eq=False)
class Task:
    """Training and test data, checked and in float64.

    Parameters
    ----------
    x_train, y_train
        Inputs (P, D) and labels (P,), P at least 1.
    x_test, y_test
        Inputs (Q, D) and labels (Q,); Q may be 0.
    provenance
        Where the data come from: plain numbers and strings.

    Raises
    ------
    InputError
        If shapes disagree, a value is NaN or infinite, the training inputs are all zero or all the
        same, or the training labels are all zero (then no target direction exists).
    """

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("x_train", "x_test"):
            object.__setattr__(self, name, _checked(name, getattr(self, name), ndim=2, shape="(rows, D)"))
        for name in ("y_train", "y_test"):
            object.__setattr__(self, name, _checked(name, getattr(self, name), ndim=1, shape="(rows,)"))
        rows, dimension = self.x_train.shape
        if rows == 0:
            raise InputError("x_train has 0 rows: at least 1 training sample is needed")
        if dimension == 0:
            raise InputError("x_train has 0 columns: at least 1 input dimension is needed")
        for part in ("train", "test"):
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            if len(x) != len(y):
                raise InputError(f"y_{part} has {len(y)} entries but x_{part} has {len(x)} rows: must be equal")
        if self.x_test.shape[1] != dimension:
            raise InputError(
                f"x_test has {self.x_test.shape[1]} columns but x_train has {dimension}: must be equal"
            )
        for name in ("x_train", "y_train", "x_test", "y_test"):
            largest = float(np.abs(getattr(self, name)).max(initial=0.0))
            if largest > _LARGEST:
                raise InputError(f"{name} has an entry of size {largest:.3g}: must be at most {_LARGEST:g}")
        if not np.any(self.x_train):
            raise InputError("x_train is all zero: the inputs must carry information")
        if rows > 1 and np.all(self.x_train == self.x_train[0]):
            raise InputError("x_train is constant (all rows are the same): the inputs must carry information")
        if not np.any(self.y_train):
            raise InputError("y_train is all zero: the target direction is not defined")

    @property
    def dimension(self) -> int:
        """Input dimension D."""
        return int(self.x_train.shape[1])

    @property
    def n_train(self) -> int:
        """Number of training samples P."""
        return len(self.y_train)

    @property
    def n_test(self) -> int:
        """Number of test samples Q."""
        return len(self.y_test)

    @property
    def direction(self) -> Array | None:
        """Direction u of a single-index teacher, (D,), from the provenance; None where there is none."""
        return (
            np.asarray(self.provenance["direction"], dtype=np.float64) if "direction" in self.provenance else None
        )

    def digest(self) -> str:
        """Return a hash of the numbers (not of the provenance), 16 hexadecimal digits."""
        sha = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            sha.update(json.dumps(array.shape).encode())
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()[:16]


def _checked(name: str, value: ArrayLike, ndim: int, shape: str) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} has dtype {array.dtype}: must be real numbers")
    if array.ndim != ndim:
        raise InputError(f"{name} has shape {array.shape}: must be {shape}")
    array = np.ascontiguousarray(array, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name}{list(first)} is {array[first]}: must be finite")
    array.setflags(write=False)
    return array
