"""The linearly separable Ising task of the paper's Fig. 2 (its App. C.3; docs/theory.md, section 8)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from msat.tasks.base import Task, TaskSettings, balanced_labels, generators
from msat.types import Array


class Settings(TaskSettings):
    """The linearly separable Ising task of the paper's Fig. 2."""

    n_train: int = Field(80, ge=1, description="Number of training samples P.")
    n_test: int = Field(1000, ge=0, description="Number of test samples Q.")
    dimension: int = Field(200, ge=1, description="Input dimension D.")
    delta_p: float = Field(
        0.1,
        ge=-0.5,
        le=0.5,
        description="Each input component equals the label with probability 1/2 + delta_p "
        "(the paper's parameter p = 0.1 is read as this delta_p).",
    )


def make(settings: Settings, seed: int) -> Task:
    """Return an Ising data set: labels +-1 in equal numbers, inputs in {+-1}^D biased towards the label.

    Training data do not depend on n_test.

    Examples:
        >>> import msat
        >>> task = msat.tasks.ising(n_train=4, n_test=2, dimension=3, seed=1)
        >>> task.x_train.shape, sorted(task.y_train.tolist())
        ((4, 3), [-1.0, -1.0, 1.0, 1.0])
    """
    train_rng, test_rng = generators(seed, 2)
    train, test = _draw(settings.n_train, settings, train_rng), _draw(settings.n_test, settings, test_rng)
    return Task(*train, *test, {"task": "ising", "seed": seed, **settings.model_dump()})


def _draw(rows: int, settings: Settings, rng: np.random.Generator) -> tuple[Array, Array]:
    y = balanced_labels(rows, 1.0, rng)
    agrees = rng.random((rows, settings.dimension)) < 0.5 + settings.delta_p
    return np.where(agrees, 1.0, -1.0) * y[:, None], y
