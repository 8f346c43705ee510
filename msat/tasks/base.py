"""A data set as every later stage sees it, and what the settings of every task can say of theirs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from msat.errors import InputError
from msat.settings import Seed, Settings
from msat.types import Array, Indices

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_LARGEST = 1e15  # of an entry: squares and their sums stay within single precision
_UNSTATED = 1000  # what a job asks for where the settings leave a size open: no file is read for it


class Sizes(NamedTuple):
    """What a job's memory and time depend on."""

    n_train: int
    n_test: int
    dimension: int
    n_outputs: int = 1


class SeedSettings(Settings):
    """The seed, which is an option of every task and a wildcard of the workflow."""

    seed: Seed = Field(0, description="Seed of the data.")


class TaskSettings(Settings):
    """The options of a task, and what the workflow must know of its data before they are made.

    A field with ``exclude=True`` says where something is and not what the data are: it is an option, and no part
    of the provenance.
    """

    # whether `files` are got by the workflow, and never change
    fetched: ClassVar[bool] = False

    @property
    def n_outputs(self) -> int:
        """Number of outputs m, as far as the settings say."""
        return 1

    @property
    def has_direction(self) -> bool:
        """Whether the labels depend on x through one direction u only, which the provenance holds."""
        return False

    @property
    def draws_samples(self) -> bool:
        """Whether so many training samples are drawn as n_train says, so that data sets of several can be nested."""
        return "n_train" in type(self).model_fields

    def files(self) -> list[str]:
        """Return the files that the data are made from."""
        return []

    def key(self, **drawn: Any) -> dict[str, Any]:
        """Return what determines the data beside code and files: the settings, and the values of how they are drawn."""
        values = {**self.model_dump(), **drawn}
        return {name: value for name, value in values.items() if name != "n_drawn" or value is not None}

    def activations(self) -> list[str]:
        """Return the activations that make the data, which are found by name: their code counts."""
        return []

    def located(self, folder: str) -> Self:
        """Return the settings with the folder of files that the workflow gets; of other tasks as they are."""
        return self

    def sizes(self) -> Sizes:
        """Return the sizes that the settings state, and 1000 for those that they leave open; outputs are never open."""
        stated = (getattr(self, name, None) for name in Sizes._fields)
        return Sizes(*(_UNSTATED if value is None else value for value in stated))


@dataclass(frozen=True, eq=False)
class Task:
    """Training and test data, checked and in float64.

    Args:
        x_train, y_train: Inputs (P, D), P at least 1, and labels: (P,) of one output, (P, m) of m > 1.
        x_test, y_test: Inputs (Q, D) and labels, (Q,) or (Q, m); Q may be 0.
        provenance: Where the data come from: plain numbers and strings.

    Raises:
        InputError: If shapes disagree, a value is NaN or infinite, the training inputs are all zero or all the same, or
            the training labels are all zero (then no target direction exists).

    Examples:
        >>> import numpy as np
        >>> task = Task(np.eye(2), np.array([1.0, -1.0]), np.ones((1, 2)), np.ones(1))
        >>> task.n_train, task.n_test, task.dimension
        (2, 1, 2)
    """

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ARRAYS:
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        (rows, columns), test_columns = self.x_train.shape, self.x_test.shape[1]
        problems = (
            (rows == 0, "x_train has 0 rows: at least 1 training sample is needed"),
            (columns == 0, "x_train has 0 columns: at least 1 input dimension is needed"),
            *(
                (len(x) != len(y), f"y_{part} has {len(y)} entries but x_{part} has {len(x)} rows: must be equal")
                for part, x, y in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test))
            ),
            (test_columns != columns, f"x_test has {test_columns} columns but x_train has {columns}: must be equal"),
            (
                self.y_test.shape[1:] != self.y_train.shape[1:],
                f"y_test has {_outputs(self.y_test)} outputs but y_train has {_outputs(self.y_train)}: must be equal",
            ),
            (not self.x_train.any(), "x_train is all zero: the inputs must carry information"),
            (
                rows > 1 and np.all(self.x_train == self.x_train[0]),
                "x_train is constant (all rows are the same): the inputs must carry information",
            ),
            (not self.y_train.any(), "y_train is all zero: the target direction is not defined"),
        )
        for wrong, message in problems:
            if wrong:
                raise InputError(message)

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
    def n_outputs(self) -> int:
        """Number of outputs m; labels are (P,) where it is 1, else (P, m)."""
        return _outputs(self.y_train)

    @property
    def direction(self) -> Array | None:
        """Direction u of a single-index teacher, (D,), from the provenance; None where there is none.

        Several outputs have none in common.
        """
        if "direction" not in self.provenance or self.n_outputs > 1:
            return None
        return np.asarray(self.provenance["direction"], dtype=np.float64)

    def digest(self) -> str:
        """Return a hash of the numbers (not of the provenance), 16 hexadecimal digits."""
        sha = hashlib.sha256()
        for array in (getattr(self, name) for name in ARRAYS):
            sha.update(json.dumps(array.shape).encode())
            sha.update(array.tobytes())
        return sha.hexdigest()[:16]


def _outputs(y: Array) -> int:
    return int(y.shape[1]) if y.ndim == 2 else 1


def _checked(name: str, value: ArrayLike) -> Array:
    """Return an array in float64 that cannot be written to, if its shape and entries are sound."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} has dtype {array.dtype}: must be real numbers")
    if name.startswith("x") and array.ndim != 2:
        raise InputError(f"{name} has shape {array.shape}: must be (rows, D)")
    # one output has one shape everywhere: as (rows, 1) it would broadcast against (rows,) without a word
    if name.startswith("y") and not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] > 1)):
        raise InputError(f"{name} has shape {array.shape}: must be (rows,), or (rows, m) of m > 1 outputs")
    array = np.ascontiguousarray(array, dtype=np.float64)
    infinite = np.argwhere(~np.isfinite(array)).tolist()
    if infinite:
        raise InputError(f"{name}{infinite[0]} is {array[tuple(infinite[0])]}: must be finite")
    largest = np.abs(array).max(initial=0.0)
    if largest > _LARGEST:
        raise InputError(f"{name} has an entry of size {largest:.3g}: must be at most {_LARGEST:g}")
    array.setflags(write=False)
    return array


def generators(seed: int, count: int) -> list[np.random.Generator]:
    """Return independent generators of one seed: one for each part of a data set that is drawn."""
    return np.random.Generator(np.random.PCG64(seed)).spawn(count)


def balanced_classes(rows: int, classes: int, rng: np.random.Generator) -> Indices:
    """Return classes 0, 1, ... in equal numbers and random order; which have one more than others is random."""
    extra = rng.permutation(classes)[: rows % classes]
    return rng.permutation(np.concatenate([np.arange(rows - rows % classes) % classes, extra]))


def balanced_labels(rows: int, first: float, rng: np.random.Generator) -> Array:
    """Return labels +-1 in equal numbers and random order; of an odd number the last is random."""
    y = np.where(np.arange(rows) % 2 == 0, first, -first)
    if rows % 2:
        y[-1] = rng.choice([-1.0, 1.0])
    return rng.permutation(y)
