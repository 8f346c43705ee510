"""Teacher-student task: Gaussian inputs, labels from a known function (docs/theory.md, section 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.polynomial import hermite, hermite_e
from pydantic import Field, model_validator

from msat.activations import ActivationName, get_activation
from msat.errors import InputError
from msat.tasks.base import Task, TaskSettings, generators
from msat.types import Array

if TYPE_CHECKING:
    from msat.activations.base import Activation

Teacher = Literal["hermite", "linear", "network"]
Basis = Literal["probabilists", "physicists"]

# the settings that belong to one teacher only, with their defaults
_OWN: dict[str, dict[str, Any]] = {
    "hermite": {"coefficients": [1.0], "basis": "probabilists"},
    "linear": {},
    "network": {"teacher_width": 100, "teacher_activation": "erf"},
}


class Settings(TaskSettings):
    """Gaussian inputs, labels from a teacher: a Hermite series of one direction, linear, or a network."""

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
        description="Teacher hermite only: a_1, a_2, ... of sum_k a_k He_k(u.x) (H_k: see basis). By default 1.",
    )
    basis: Basis | None = Field(
        None, description="Teacher hermite only: probabilists' He_k or physicists' H_k. By default probabilists."
    )
    teacher_width: int | None = Field(
        None, ge=1, description="Teacher network only: its number of hidden neurons. By default 100."
    )
    teacher_activation: ActivationName | None = Field(
        None, description="Teacher network only: its activation function. By default erf."
    )
    unit_variance: bool = Field(
        False,
        description="Divide the teacher by its standard deviation over the inputs, which is known exactly; "
        "a mean is not removed.",
    )
    noise: float = Field(0.0, ge=0, description="Variance of the noise on training and test labels.")
    outputs: int | None = Field(
        None,
        ge=1,
        description="Number of outputs m, each with a direction of its own; not of teacher network. By default 1.",
    )

    @model_validator(mode="after")
    def _fields_of_one_teacher(self) -> Settings:
        for teacher, name in ((teacher, name) for teacher, fields in _OWN.items() for name in fields):
            value = getattr(self, name)
            if teacher != self.teacher and value is not None:
                raise ValueError(f"{name} = {value!r}: belongs to teacher {teacher}, not to {self.teacher}")
        if self.teacher == "network" and self.n_outputs > 1:
            raise ValueError(f"outputs = {self.outputs}: teacher network has one; more have hermite and linear")
        return self

    @property
    def n_outputs(self) -> int:
        """Number of outputs m."""
        return self.outputs or 1

    @property
    def has_direction(self) -> bool:
        """Whether the teacher depends on x through one direction u only."""
        return self.teacher != "network" and self.n_outputs == 1

    def activations(self) -> list[str]:
        """Return the activation of teacher network."""
        return [self.resolved()["teacher_activation"]] if self.teacher == "network" else []

    def resolved(self) -> dict[str, Any]:
        """Return the settings that this teacher has, with its own defaults filled in."""
        given = self.model_dump(exclude_none=True)
        return given | _OWN[self.teacher] | given


class NetworkTeacher(NamedTuple):
    """A two-layer network ``sum_i w_i phi(v_i.x)``.

    Attributes:
        first_layer: The rows v_i, (M, D).
        readout: The w_i, (M,).
        activation: phi.
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


def network_teacher(width: int, dimension: int, activation: ActivationName, rng: np.random.Generator) -> NetworkTeacher:
    """Return a teacher with ``v_ij ~ N(0, 1/D)`` and ``w_i ~ N(0, 1/M)``, drawn in this order."""
    first_layer = rng.standard_normal((width, dimension)) / math.sqrt(dimension)
    readout = rng.standard_normal(width) / math.sqrt(width)
    return NetworkTeacher(first_layer, readout, get_activation(activation))


def make(settings: Settings, seed: int) -> Task:
    """Return ``x ~ N(0, I_D)`` and ``y = teacher(x) + noise``.

    The direction u of teachers "hermite" and "linear" is a random unit vector, of several outputs one for each, drawn
    independently. The provenance holds it (``direction``, or ``directions``) and the coefficients in the
    probabilists' basis, or mean and variance of a network. Training data do not depend on n_test.

    Raises:
        InputError: If all coefficients are zero.

    Examples:
        >>> import msat
        >>> task = msat.tasks.teacher_student(n_train=4, n_test=2, dimension=3, coefficients=[1, 0, 0.3])
        >>> task.x_train.shape, task.direction.shape
        ((4, 3), (3,))
    """
    teacher_rng, train_rng, test_rng = generators(seed, 3)
    function, known = (_network if settings.teacher == "network" else _directions)(settings, teacher_rng)

    def draw(rows: int, rng: np.random.Generator) -> tuple[Array, Array]:
        x = rng.standard_normal((rows, settings.dimension))
        y = function(x)
        return x, y + math.sqrt(settings.noise) * rng.standard_normal(y.shape)

    provenance = {"task": "teacher_student", "seed": seed, **settings.resolved(), **known}
    return Task(*draw(settings.n_train, train_rng), *draw(settings.n_test, test_rng), provenance)


def _directions(settings: Settings, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Return a hermite or linear teacher, and what the provenance says of it."""
    own = settings.resolved()
    linear = settings.teacher == "linear"
    series = np.array([0.0, 1.0]) if linear else probabilists_series(own["coefficients"], own["basis"])
    variance = sum(math.factorial(k) * a**2 for k, a in enumerate(series) if k > 0)
    if variance == 0:
        raise InputError("coefficients: all zero; the teacher must depend on its input")
    if settings.unit_variance:
        series = series / math.sqrt(variance)
    several = settings.n_outputs > 1
    u = rng.standard_normal((settings.n_outputs, settings.dimension) if several else settings.dimension)
    u /= np.linalg.norm(u, axis=-1, keepdims=True) if several else np.linalg.norm(u)
    known = {"directions" if several else "direction": u.tolist(), "hermite_e": series.tolist()}
    return lambda x: hermite_e.hermeval(x @ u.T, series), known


def _network(settings: Settings, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
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
