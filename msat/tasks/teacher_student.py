"""Teacher-student task: Gaussian inputs, labels from a known function (docs/theory.md, section 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.polynomial import hermite, hermite_e
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from msat.activations import ActivationName, get_activation
from msat.activations.base import Activation
from msat.errors import InputError
from msat.tasks.base import Task
from msat.validation import validated

Array = NDArray[np.float64]
Teacher = Literal["hermite", "linear", "network"]
Basis = Literal["probabilists", "physicists"]

# the settings that belong to one teacher only, with their defaults
_OWN: dict[str, dict[str, Any]] = {
    "hermite": {"coefficients": [1.0], "basis": "probabilists"},
    "linear": {},
    "network": {"teacher_width": 100, "teacher_activation": "erf"},
}


class TeacherStudentSettings(BaseModel):
    """Sizes and teacher of the teacher-student task."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    n_train: int = Field(60, ge=1, description="Number of training samples P.")
    n_test: int = Field(1000, ge=0, description="Number of test samples Q.")
    dimension: int = Field(30, ge=1, description="Input dimension D; inputs are standard normal.")
    teacher: Teacher = Field(
        "hermite",
        description="hermite: sum_k a_k He_k(u.x), |u| = 1. linear: u.x. "
        "network: sum_i w_i phi(v_i.x), w_i of variance 1/teacher_width, v_ij of variance 1/D.",
    )
    coefficients: list[float] | None = Field(
        None,
        min_length=1,
        description="Teacher hermite only: a_1, a_2, ... of sum_k a_k He_k(u.x) (H_k: see basis). Null for [1.0].",
    )
    basis: Basis | None = Field(
        None,
        description="Teacher hermite only: probabilists' He_k or physicists' H_k. Null for probabilists.",
    )
    teacher_width: int | None = Field(
        None, ge=1, description="Teacher network only: its number of hidden neurons. Null for 100."
    )
    teacher_activation: ActivationName | None = Field(
        None, description="Teacher network only: its activation function. Null for erf."
    )
    unit_variance: bool = Field(
        False,
        description="Divide the teacher by its standard deviation over the inputs, which is known exactly; "
        "a mean is not removed.",
    )
    noise: float = Field(0.0, ge=0, description="Variance of the noise on training and test labels.")

    @model_validator(mode="after")
    def _fields_of_one_teacher(self) -> TeacherStudentSettings:
        for teacher, fields in _OWN.items():
            for name in fields:
                if teacher != self.teacher and getattr(self, name) is not None:
                    raise ValueError(
                        f"{name} = {getattr(self, name)!r}: belongs to teacher {teacher}, not to {self.teacher}"
                    )
        return self

    @property
    def single_index(self) -> bool:
        """Whether the teacher depends on x through one direction u only."""
        return self.teacher != "network"

    def resolved(self) -> dict[str, Any]:
        """Return the settings that this teacher has, with its own defaults filled in."""
        given = self.model_dump(exclude_none=True)
        return given | {name: given.get(name, default) for name, default in _OWN[self.teacher].items()}


@dataclass(frozen=True, eq=False)
class NetworkTeacher:
    """A two-layer network ``sum_i w_i phi(v_i.x)``.

    Attributes
    ----------
    first_layer
        The rows v_i, (M, D).
    readout
        The w_i, (M,).
    activation
        phi.
    """

    first_layer: Array
    readout: Array
    activation: Activation

    def __call__(self, x: Array) -> Array:
        """Return the outputs (rows,) on inputs (rows, D)."""
        return np.asarray(self.activation.phi(x @ self.first_layer.T) @ self.readout)

    def moments(self) -> tuple[float, float]:
        """Return mean and variance of the output over ``x ~ N(0, I_D)``.

        The pre-activations are jointly Gaussian with covariance ``V V^T``, so that the second moment is
        ``w.K w`` with the dual kernel K: exact for closed forms, by quadrature for tanh, gelu and softplus.
        """
        covariance = self.first_layer @ self.first_layer.T
        sd = np.sqrt(np.diagonal(covariance))
        mean = float(self.activation.smoothed_mean(np.zeros_like(sd), sd) @ self.readout)
        second = float(self.readout @ self.activation.dual_kernel(covariance) @ self.readout)
        return mean, second - mean**2


def network_teacher(
    width: int, dimension: int, activation: ActivationName, rng: np.random.Generator
) -> NetworkTeacher:
    """Return a teacher with ``v_ij ~ N(0, 1/D)`` and ``w_i ~ N(0, 1/M)``, drawn in this order."""
    first_layer = rng.standard_normal((width, dimension)) / math.sqrt(dimension)
    readout = rng.standard_normal(width) / math.sqrt(width)
    return NetworkTeacher(first_layer, readout, get_activation(activation))


def teacher_student(
    n_train: int = 60,
    n_test: int = 1000,
    dimension: int = 30,
    coefficients: Sequence[float] | None = None,
    basis: Basis | None = None,
    unit_variance: bool = False,
    noise: float = 0.0,
    seed: int = 0,
    teacher: Teacher = "hermite",
    teacher_width: int | None = None,
    teacher_activation: ActivationName | None = None,
) -> Task:
    """Return ``x ~ N(0, I_D)`` and ``y = teacher(x) + noise``.

    Parameters
    ----------
    n_train, n_test
        Numbers of training and test samples P and Q.
    dimension
        Input dimension D.
    coefficients, basis
        Of teacher "hermite", ``sum_k a_k He_k(u.x)``: ``a_1, a_2, ...`` (by default ``[1.0]``) and the
        polynomials that they belong to, "probabilists" (He, the default) or "physicists" (H).
    unit_variance
        Divide the teacher by its standard deviation over the inputs; a mean is not removed.
    noise
        Variance of the label noise.
    seed
        Seed of teacher and data. Training data do not depend on n_test.
    teacher
        "hermite"; "linear", ``u.x``; or "network", ``sum_i w_i phi(v_i.x)`` with ``w_i ~ N(0, 1/M)`` and
        ``v_ij ~ N(0, 1/D)``. u is a random unit vector. The provenance holds direction u and coefficients in
        the probabilists' basis, or mean and variance of a network.
    teacher_width, teacher_activation
        M (by default 100) and phi (by default "erf") of teacher "network".

    Raises
    ------
    InputError
        If a parameter is out of its range or belongs to another teacher, or all coefficients are zero.
    """
    settings = validated(
        TeacherStudentSettings,
        {
            "n_train": n_train,
            "n_test": n_test,
            "dimension": dimension,
            "teacher": teacher,
            "coefficients": None if coefficients is None else list(coefficients),
            "basis": basis,
            "teacher_width": teacher_width,
            "teacher_activation": teacher_activation,
            "unit_variance": unit_variance,
            "noise": noise,
        },
    )
    teacher_rng, train_rng, test_rng = (
        np.random.Generator(np.random.PCG64(sequence)) for sequence in np.random.SeedSequence(seed).spawn(3)
    )
    function, known = (_single_index if settings.single_index else _network)(settings, teacher_rng)

    def draw(rows: int, rng: np.random.Generator) -> tuple[Array, Array]:
        x = rng.standard_normal((rows, settings.dimension))
        y = function(x)
        return x, y + math.sqrt(settings.noise) * rng.standard_normal(rows)

    x_train, y_train = draw(settings.n_train, train_rng)
    x_test, y_test = draw(settings.n_test, test_rng)
    provenance = {"task": "teacher_student", "seed": seed, **settings.resolved(), **known}
    return Task(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, provenance=provenance)


def _single_index(settings: TeacherStudentSettings, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Return a hermite or linear teacher, and what the provenance says of it."""
    own = settings.resolved()
    series = np.array([0.0, 1.0])
    if settings.teacher == "hermite":
        series = probabilists_series(own["coefficients"], own["basis"])
    variance = sum(math.factorial(k) * a**2 for k, a in enumerate(series) if k > 0)
    if variance == 0:
        raise InputError("coefficients: all zero; the teacher must depend on its input")
    if settings.unit_variance:
        series = series / math.sqrt(variance)
    direction = rng.standard_normal(settings.dimension)
    direction /= np.linalg.norm(direction)
    known = {"direction": direction.tolist(), "hermite_e": series.tolist()}
    return lambda x: hermite_e.hermeval(x @ direction, series), known


def _network(settings: TeacherStudentSettings, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Return a network teacher, and what the provenance says of it."""
    own = settings.resolved()
    network = network_teacher(own["teacher_width"], settings.dimension, own["teacher_activation"], rng)
    mean, variance = network.moments()
    scale = 1 / math.sqrt(variance) if settings.unit_variance else 1.0
    known = {"teacher_mean": scale * mean, "teacher_variance": scale**2 * variance}
    return lambda x: scale * network(x), known


def probabilists_series(coefficients: Sequence[float], basis: Basis) -> Array:
    """Return coefficients of He_0, He_1, ... of a series given from degree 1 on, in either basis."""
    series = np.array([0.0, *coefficients])
    if basis == "physicists":
        series = hermite_e.poly2herme(hermite.herm2poly(series))
    return np.asarray(series, dtype=np.float64)
