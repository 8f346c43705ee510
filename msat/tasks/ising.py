"""The linearly separable Ising task of the paper's Fig. 2 (its App. C.3; docs/theory.md, section 8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from msat.tasks.base import Task
from msat.validation import validated


class IsingSettings(BaseModel):
    """Sizes and bias of the Ising task."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

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


def ising(
    n_train: int = 80, n_test: int = 1000, dimension: int = 200, delta_p: float = 0.1, seed: int = 0
) -> Task:
    """Return an Ising data set: labels +-1 in equal numbers, inputs in {+-1}^D biased towards the label.

    Parameters
    ----------
    n_train, n_test
        Numbers of training and test samples P and Q.
    dimension
        Input dimension D.
    delta_p
        Each component of x equals y with probability ``1/2 + delta_p``.
    seed
        Seed of the data. Training data do not depend on n_test.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """
    settings = validated(
        IsingSettings,
        {"n_train": n_train, "n_test": n_test, "dimension": dimension, "delta_p": delta_p},
    )
    train_rng, test_rng = (
        np.random.Generator(np.random.PCG64(sequence)) for sequence in np.random.SeedSequence(seed).spawn(2)
    )
    x_train, y_train = _draw(settings.n_train, settings, train_rng)
    x_test, y_test = _draw(settings.n_test, settings, test_rng)
    provenance = {"task": "ising", "seed": seed, **settings.model_dump()}
    return Task(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, provenance=provenance)


def _draw(
    rows: int, settings: IsingSettings, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y = np.where(np.arange(rows) % 2 == 0, 1.0, -1.0)
    if rows % 2:
        y[-1] = rng.choice([-1.0, 1.0])  # exactly half of each sign; an odd remainder at random
    y = rng.permutation(y)
    agrees = rng.random((rows, settings.dimension)) < 0.5 + settings.delta_p
    return np.where(agrees, 1.0, -1.0) * y[:, None], y
