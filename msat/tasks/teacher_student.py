"""Teacher-student task: labels from a single-index Hermite teacher (docs/theory.md, section 8)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.polynomial import hermite, hermite_e
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from msat.errors import InputError
from msat.settings import validated
from msat.tasks.base import Task

Array = NDArray[np.float64]
Basis = Literal["probabilists", "physicists"]


class TeacherStudentSettings(BaseModel):
    """Sizes and teacher of the teacher-student task."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    n_train: int = Field(60, ge=1, description="Number of training samples P.")
    n_test: int = Field(1000, ge=0, description="Number of test samples Q.")
    dimension: int = Field(30, ge=1, description="Input dimension D; inputs are standard normal.")
    coefficients: list[float] = Field(
        [1.0],
        min_length=1,
        description="Coefficients a_1, a_2, ... of the teacher sum_k a_k He_k(u.x), |u| = 1 (H_k: see basis).",
    )
    basis: Basis = Field(
        "probabilists",
        description="Hermite polynomials of the coefficients: probabilists' He_k or physicists' H_k.",
    )
    unit_variance: bool = Field(False, description="Scale the noiseless labels to unit variance.")
    noise: float = Field(0.0, ge=0, description="Variance of the noise on training and test labels.")


def teacher_student(
    n_train: int = 60,
    n_test: int = 1000,
    dimension: int = 30,
    coefficients: list[float] | tuple[float, ...] = (1.0,),
    basis: Basis = "probabilists",
    unit_variance: bool = False,
    noise: float = 0.0,
    seed: int = 0,
) -> Task:
    """Return ``x ~ N(0, I_D)``, ``y = sum_k a_k He_k(u.x) + noise`` with a random unit vector u.

    Parameters
    ----------
    n_train, n_test
        Numbers of training and test samples P and Q.
    dimension
        Input dimension D.
    coefficients
        ``a_1, a_2, ...``; a linear teacher is ``[1.0]``.
    basis
        Polynomials that the coefficients belong to: "probabilists" (He) or "physicists" (H).
    unit_variance
        Scale the noiseless teacher to unit variance.
    noise
        Variance of the label noise.
    seed
        Seed of teacher and data. Training data do not depend on n_test. The provenance holds the teacher's
        direction u and its coefficients in the probabilists' basis.

    Raises
    ------
    InputError
        If a parameter is out of its range, or all coefficients are zero.
    """
    settings = validated(
        TeacherStudentSettings,
        {
            "n_train": n_train,
            "n_test": n_test,
            "dimension": dimension,
            "coefficients": list(coefficients),
            "basis": basis,
            "unit_variance": unit_variance,
            "noise": noise,
        },
    )
    series = probabilists_series(settings.coefficients, settings.basis)
    variance = sum(math.factorial(k) * a**2 for k, a in enumerate(series) if k > 0)
    if variance == 0:
        raise InputError("coefficients: all zero; the teacher must depend on its input")
    if settings.unit_variance:
        series = series / math.sqrt(variance)
    teacher_rng, train_rng, test_rng = (
        np.random.Generator(np.random.PCG64(sequence)) for sequence in np.random.SeedSequence(seed).spawn(3)
    )
    direction = teacher_rng.standard_normal(settings.dimension)
    direction /= np.linalg.norm(direction)

    def draw(rows: int, rng: np.random.Generator) -> tuple[Array, Array]:
        x = rng.standard_normal((rows, settings.dimension))
        y = hermite_e.hermeval(x @ direction, series)
        return x, y + math.sqrt(settings.noise) * rng.standard_normal(rows)

    x_train, y_train = draw(settings.n_train, train_rng)
    x_test, y_test = draw(settings.n_test, test_rng)
    provenance = {
        "task": "teacher_student",
        "seed": seed,
        **settings.model_dump(),
        "direction": direction.tolist(),
        "hermite_e": series.tolist(),
    }
    return Task(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, provenance=provenance)


def probabilists_series(coefficients: list[float], basis: Basis) -> Array:
    """Return coefficients of He_0, He_1, ... of a series given from degree 1 on, in either basis."""
    series = np.array([0.0, *coefficients])
    if basis == "physicists":
        series = hermite_e.poly2herme(hermite.herm2poly(series))
    return np.asarray(series, dtype=np.float64)
