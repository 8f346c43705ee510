"""The data, decomposed once a job: row space, prior kernels and their spectrum, direction of the weights.

A neuron's first-layer weights are ``sqrt(g_v / D) A`` with a standard normal prior on A. Only the part a of
A in the row space of the training inputs, r = rank X numbers, meets the labels; the rest keeps its prior
exactly (docs/theory.md, section 5d).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import hermite_e

from msat.activations import get_activation
from msat.errors import InputError
from msat.types import Array

if TYPE_CHECKING:
    from msat.network import Network
    from msat.tasks.base import Task


COMPONENT_DEGREES = (1, 2, 3)


@dataclass(frozen=True, eq=False)
class RowSpace:
    """Pre-activations of one neuron in terms of its row-space coordinates a ~ N(0, I).

    Attributes:
        train: (P, r): training pre-activations are ``train @ a``.
        test: (Q, r): test pre-activations are ``test @ a`` plus an independent normal residual.
        test_residual_sd: (Q,): standard deviation of that residual.
    """

    train: Array
    test: Array
    test_residual_sd: Array

    @property
    def rank(self) -> int:
        """Rank r of the training inputs."""
        return int(self.train.shape[1])


def rounding(x_train: Array) -> float:
    """Return the one measure of what float64 tells of inputs (P, D): ``max(P, D) eps``.

    Singular values below it times the largest are 0 (the numerical rank), and so are labels outside the row space
    below it times their length. All else is known to so much of the largest, and no better.
    """
    return float(max(x_train.shape) * np.finfo(np.float64).eps)


def row_space(x_train: Array, x_test: Array, g_v: float) -> RowSpace:
    """Return the `RowSpace` of inputs (P, D) and (Q, D) for first-layer prior variance ``g_v / D``."""
    scale = np.sqrt(g_v / x_train.shape[1])
    U, singular, rows = np.linalg.svd(x_train, full_matrices=False)
    keep = singular > rounding(x_train) * singular[0]
    rows = rows[keep]
    test = x_test @ rows.T
    outside = np.linalg.norm(x_test - test @ rows, axis=1)
    # rounding of the projection, not a residual
    outside[outside < 1e-12 * np.linalg.norm(x_test, axis=1)] = 0.0
    train = scale * U[:, keep] * singular[keep]
    train[~np.any(x_train, axis=1)] = 0.0  # exactly, so that such an output has no rounding noise
    return RowSpace(train=train, test=scale * test, test_residual_sd=scale * outside)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigendecomposition of the prior hidden kernel ``K = U diag(lam) U^T``, with labels and test points in it.

    Attributes:
        lam: Eigenvalues, ascending, (P,), none negative. For a linear network (K = C, the input kernel) those beyond
            the numerical rank of the inputs are exactly 0: such directions of the outputs do not exist.
        U: Eigenvectors as columns, (P, P).
        y: Labels in the eigenbasis, ``U^T y``, (P,), or (P, m) of m > 1 outputs.
        cross: ``K_*train U``, (Q, P).
        test_variance: Prior variances ``K_**`` of the test points, (Q,).
        to_test, test_residual: Of a linear network: the map from training outputs in the eigenbasis to test outputs,
            ``C_*train C^+ U``, (Q, P), and what of each test point's variance lies outside the row space, (Q,). None
            for others, which have no exact null space.
    """

    lam: Array
    U: Array
    y: Array
    cross: Array
    test_variance: Array
    to_test: Array | None = None
    test_residual: Array | None = None


@dataclass(frozen=True, eq=False)
class Geometry:
    """One data set as a network with first-layer prior variance ``g_v / D`` sees it. Build it with `decompose`.

    Every decomposition is made on first use and kept.

    Attributes:
        x_train, y_train, x_test, y_test: The data, (P, D), (P,), (Q, D), (Q,); of m > 1 outputs labels (P, m), (Q, m).
        g_v, activation: Of the network.
        teacher: The teacher's direction in the space of inputs, (D,); None where there is none.
        g_hidden: Prior scales of the hidden layers above the first. "The" hidden kernel is that of the last layer.
    """

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array
    g_v: float
    activation: str
    teacher: Array | None = None
    g_hidden: tuple[float, ...] = ()

    @property
    def _scale(self) -> float:
        return float(self.g_v / self.x_train.shape[1])

    @cached_property
    def row_space(self) -> RowSpace:
        """Pre-activations in whitened row-space coordinates."""
        return row_space(self.x_train, self.x_test, self.g_v)

    @cached_property
    def prior_kernels(self) -> list[Array]:
        """The prior kernels of all hidden layers, bottom to top, (P, P): ``K^l = E phi phi^T`` at ``g_l K^(l-1)``."""
        activation = get_activation(self.activation)
        kernels = [activation.dual_kernel(self._scale * (self.x_train @ self.x_train.T))]
        for g in self.g_hidden:
            kernels.append(activation.dual_kernel(g * kernels[-1]))
        return kernels

    @property
    def prior_kernel(self) -> Array:
        """The prior hidden kernel ``K = E_prior[phi phi^T]`` on the training points, (P, P)."""
        return self.prior_kernels[-1]

    @cached_property
    def cross_kernel(self) -> Array:
        """The prior hidden kernel between test and training points, (Q, P)."""
        activation = get_activation(self.activation)
        train, test = (self._scale * np.sum(x**2, axis=1) for x in (self.x_train, self.x_test))
        covariance = self._scale * (self.x_test @ self.x_train.T)
        kernel = activation.cross_dual_kernel(test, train, covariance)
        for g in self.g_hidden:
            train, test = (g * activation.dual_variance(variance) for variance in (train, test))
            kernel = activation.cross_dual_kernel(test, train, g * kernel)
        return kernel

    @cached_property
    def spectrum(self) -> Spectrum:
        """The `Spectrum` of the prior kernel: its eigendecomposition, or of a linear network the row space."""
        activation = get_activation(self.activation)
        variance = activation.dual_variance(self._scale * np.sum(self.x_test**2, axis=1))
        for g in self.g_hidden:
            variance = activation.dual_variance(g * variance)
        if self.activation == "linear":
            return self._linear_spectrum(variance)
        lam, U = np.linalg.eigh(self.prior_kernel)
        return Spectrum(np.maximum(lam, 0.0), U, U.T @ self.y_train, self.cross_kernel @ U, variance)

    def _linear_spectrum(self, variance: Array) -> Spectrum:
        """Return the `Spectrum` of the input kernel C: the inputs in row-space coordinates are ``U sqrt(lam)``.

        With more layers the prior kernel is C times all of their g.
        """
        space, root_g = self.row_space, math.sqrt(math.prod(self.g_hidden))
        inputs, test = root_g * space.train[:, ::-1], root_g * space.test[:, ::-1]
        root = np.linalg.norm(inputs, axis=0)
        U, missing = inputs / root, len(inputs) - space.rank
        if missing:  # outputs that no input reaches: any basis of them
            others = np.linalg.qr(U, mode="complete")[0][:, space.rank :]
            U, root = np.hstack([others, U]), np.concatenate([np.zeros(missing), root])
            test = np.hstack([np.zeros((len(test), missing)), test])
        to_test = test * np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
        y = U.T @ self.y_train
        unreached = np.linalg.norm(y[:missing], axis=0) > rounding(self.x_train) * np.linalg.norm(y, axis=0)
        y[:missing] = np.where(unreached, y[:missing], 0.0)
        residual = (root_g * space.test_residual_sd) ** 2
        return Spectrum(root**2, U, y, test * root, variance, to_test, residual)

    @cached_property
    def direction(self) -> Array:
        """Row-space coordinates of the unit vector along which weights are looked at, (r,).

        The teacher's direction where there is one, else the label-weighted mean input ``sum_a y_a x_a``,
        normalised; NaN where that vanishes. Of several outputs the direction along which these inputs vary most: the
        leading right singular vector of ``y^T X``.
        """
        u = self.y_train.T @ self.x_train if self.teacher is None else self.teacher
        if u.ndim == 2:
            _, size, rows = np.linalg.svd(u, full_matrices=False)
            u = size[0] * rows[0]
        length = np.linalg.norm(u)
        u = u / length if length > 0 else np.full_like(u, np.nan)
        # inputs = sqrt(g_v/D) X R for an orthonormal basis R (D, r) of the row space, and u_r = R^T u; its columns
        # are orthogonal, so that the pseudo-inverse is the transpose over their squared lengths
        inputs = self.row_space.train
        return np.asarray(inputs.T @ (np.sqrt(self._scale) * (self.x_train @ u)) / np.sum(inputs**2, axis=0))

    def first_layer(self, hidden_kernel: Any) -> Callable[[Array], float] | None:
        """Return what maps u, (r,), to ``E[(1/N) sum_i (a_i.u)^2]``, from the first hidden kernel of a linear network.

        ``H = Z M Z^T`` with Z the inputs in row-space coordinates and M the first-layer moment, so that
        ``u.M u = p.H p`` with ``p = Z^+T u``. None for other networks, whose kernel does not give it.

        Args:
            hidden_kernel: (P, P), whatever has a product with a vector.
        """
        if self.activation != "linear":
            return None
        inputs = self.row_space.train

        def along(u: Array) -> float:
            probe = inputs @ (u / np.sum(inputs**2, axis=0))
            return float(probe @ (hidden_kernel @ probe))

        return along


def decompose(task: Task, network: Network) -> Geometry:
    """Return the `Geometry` of a data set for a network; the network's scale does not matter.

    Raises:
        InputError: If the data have several outputs, and the network several hidden layers.
    """
    if network.depth > 1 and task.y_train.ndim > 1:
        widths = ",".join(map(str, network.widths))
        raise InputError(
            f"width = {widths}: several outputs with several hidden layers are not derived; give one width"
        )
    return Geometry(
        *(task.x_train, task.y_train, task.x_test, task.y_test),
        *(network.g_v, network.activation, task.direction, network.g_hidden),
    )


def component_projection(direction: Array | None, x: Array) -> Array | None:
    """Return the matrix that maps outputs on inputs x to their Hermite components along the teacher, (3, rows).

    The components of f are the least-squares coefficients of He_1, He_2, He_3 of ``u.x``, so that
    correlations of the polynomials on finitely many points do not count. None if the data have no
    single-index teacher, or fewer rows than components.

    Args:
        direction: The teacher's u, (D,).
        x: Inputs, (rows, D).
    """
    if direction is None or len(x) < len(COMPONENT_DEGREES):
        return None
    design = hermite_e.hermevander(x @ direction, max(COMPONENT_DEGREES))
    return np.asarray(np.linalg.pinv(design[:, list(COMPONENT_DEGREES)]))
