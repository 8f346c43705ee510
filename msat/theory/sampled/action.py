"""The action on a fixed set of draws of the tilted neuron: `msat.theory.action.Action` for any activation.

Everything is computed on one set of draws, so that the tree level and its loop corrections belong together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.network import Network
from msat.theory.sampled.cumulants import LoopVector, NeuronAverage, loop_matrix, loop_vector, third_cumulant
from msat.theory.sampled.draws import Draws, TreeSolution, action, curvature, tilt
from msat.types import Array

TENSOR_LIMIT = 400  # largest P for which (P, P, P) cumulants are formed
_TENSOR_DRAWS = 4096  # draws used for them


@dataclass(frozen=True, eq=False)
class SampledAction:
    """`msat.theory.action.Action` on draws. Build it with `at_saddle`; `at` goes on from there.

    Attributes:
        network, y, draws, ft: Network at its scale, labels (P,), the draws, and the field, (P,).
        average: The draws under the weights of the field.
        value_on_draws, origin: ``S(ft)`` up to N times the constant of the draws; and ``S(ft*)`` with all constants and
            without.
        min_ess: Smallest fraction of effective draws in the domain of W.
        monte_carlo: Whether the draws are random; False for quadrature nodes.
    """

    network: Network
    y: Array
    draws: Draws
    ft: Array
    average: NeuronAverage
    value_on_draws: float
    origin: tuple[float, float]
    min_ess: float
    monte_carlo: bool = True

    loop_note = "of the loop corrections, test variances hold those of <w^2> and of the training covariance"
    noise_margin = 0.1  # nearer to a fold Monte Carlo noise is amplified more than tenfold
    root_tolerance, path_tolerance = 1e-8, 1e-4
    smallest_step = 0.06

    @property
    def has_second_derivative(self) -> bool:
        """Whether P is small enough for cumulants (P, P, P)."""
        return len(self.y) <= TENSOR_LIMIT

    @property
    def identity(self) -> Array:
        """The identity, (P, P)."""
        return np.eye(len(self.y))

    @property
    def value(self) -> float:
        """``S(ft)`` with all constants."""
        return self.origin[0] + (self.value_on_draws - self.origin[1])

    @property
    def gradient(self) -> Array:
        """``S'(ft)``, (P,)."""
        mean = self.average.mean_feature
        return np.asarray(self.network.kappa * self.ft + self.network.width * mean - self.y)

    @cached_property
    def curvature(self) -> Array:
        """``kappa + W''``, (P, P)."""
        return np.asarray(self.average.curvature + self.network.kappa * self.identity)

    @property
    def G(self) -> Array:
        """``(kappa + W'')^-1``, (P, P)."""
        return self.average.propagator

    @property
    def loop(self) -> float:
        """``(1/2) ln det(kappa + W'')``."""
        return -0.5 * float(np.linalg.slogdet(self.G)[1])

    @cached_property
    def vector(self) -> LoopVector:
        """T with what resolves it by draws."""
        return loop_vector(self.average, self.network)

    @property
    def T(self) -> Array:
        """``kappa_3[z; z.Gz]``, (P,)."""
        return self.vector.T

    @cached_property
    def _third(self) -> Array:
        return third_cumulant(self.average, self.network.tau)

    @cached_property
    def dT(self) -> Array:
        """``dT/dft``, (P, P)."""
        return loop_matrix(self.average, self._third, self.network, self.monte_carlo)

    def third_cumulant(self, p: Array) -> Array:
        """Return ``kappa_3`` contracted with a vector, (P, P)."""
        return np.asarray(self._third @ p)

    def at(self, ft: Array) -> SampledAction | None:
        """Return the action at another field; None where too few draws carry its weights."""
        now = tilt(self.draws, ft, self.network.tau)
        if now.ess_fraction < self.min_ess:
            return None
        bend = curvature(self.draws, now, self.network)
        factor = cho_factor(bend + self.network.kappa * self.identity, lower=True)
        average = NeuronAverage(
            features=self.draws.features,
            weights=now.weights,
            readout=now.readout,
            mean_feature=(now.weights * now.readout) @ self.draws.features,
            curvature=bend,
            propagator=cho_solve(factor, self.identity),
        )
        value = action(self.draws, now, ft, self.y, self.network)
        return replace(self, ft=ft, average=average, value_on_draws=value)

    def thinned(self) -> SampledAction:
        """Return the action on every k-th draw: the tensors cost n P^3, and only correct what all draws give.

        The propagator and W'' stay those of all draws; the mean is the subset's own.
        """
        whole = self.average
        # neighbours in memory are neurons of one block, so that a stride takes all blocks and snapshots
        stride = max(1, len(whole.weights) // _TENSOR_DRAWS)
        features, readout = whole.features[::stride], whole.readout[::stride]
        weights = whole.weights[::stride] / whole.weights[::stride].sum()
        mean = (weights * readout) @ features
        average = NeuronAverage(features, weights, readout, mean, whole.curvature, whole.propagator)
        return replace(self, average=average)

    def corrected(self, jacobian: Array, step: Array, residual: Array, strength: float) -> Array:
        """Return Broyden's update of the curvature of ``S - strength F``: a new one would cost n P^3."""
        return jacobian + np.outer(residual, step) / float(step @ step)


def at_saddle(
    draws: Draws, tree: TreeSolution, y: Array, network: Network, value: float, min_ess: float, monte_carlo: bool = True
) -> SampledAction:
    """Return the action at the tree level solved on the draws.

    Args:
        value: ``S(ft*)`` with all constants.
        min_ess, monte_carlo: See `SampledAction`.
    """
    average = NeuronAverage(
        features=draws.features,
        weights=tree.tilt.weights,
        readout=tree.tilt.readout,
        mean_feature=tree.mean_feature,
        curvature=tree.curvature,
        propagator=tree.propagator,
    )
    origin = (value, tree.action)
    return SampledAction(network, y, draws, tree.conjugate, average, tree.action, origin, min_ess, monte_carlo)
