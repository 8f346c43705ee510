"""The action on a fixed set of draws of the tilted neuron: `msat.theory.action.Action` for any activation.

On draws from any measure, with ``log_base = ln prior - ln sampling density``, it is

    S(ft) = -ft.y + (kappa/2) ft.ft + N ln mean(exp(log_base + tau u^2 / 2)),

strictly convex and smooth, so that Newton's method with line search finds the tree level from anywhere; and the tree
level and its loop corrections, computed on one set of draws, belong together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve

from msat.network import Network
from msat.theory.action import Saddle, relative
from msat.theory.sampled.cumulants import loop_matrix, loop_vector, third_cumulant
from msat.theory.sampled.draws import Draws, Neuron, tilt
from msat.theory.sampled.several import SeveralNeuron, loop_vector_several, tilt_several
from msat.types import Array

TENSOR_LIMIT = 400  # largest P for which (P, P, P) cumulants are formed
_TENSOR_DRAWS = 4096  # draws used for them
_MAX_ITERATIONS = 60
_TOLERANCE = 1e-10  # of the gradient, relative to |y|
LOOP_NOTE = "of the loop corrections, test variances hold those of <w^2> and of the training covariance"
SEVERAL_NOTE = "so are the test variances"  # after the note on the training covariance


@dataclass(frozen=True, eq=False)
class SampledAction:
    """`msat.theory.action.Action` on draws. Build it with `on_draws`.

    Attributes:
        y, draws, ft: Labels (P,), the draws, and the field, (P,); of m outputs both are (P m,), sample by sample.
        neuron: The draws under the tilt of the field.
        min_ess: Smallest fraction of effective draws in the domain of W.
        monte_carlo: Whether the draws are random; False for quadrature nodes.
        origin: S at one field with all constants, and up to N times the constant of the draws.
    """

    y: Array
    draws: Draws
    ft: Array
    neuron: Neuron
    min_ess: float = 0.0
    monte_carlo: bool = True
    origin: tuple[float, float] = (0.0, 0.0)

    noise_margin = 0.1  # nearer to a fold Monte Carlo noise is amplified more than tenfold
    root_tolerance, path_tolerance = 1e-8, 1e-4
    smallest_step = 0.06

    @property
    def network(self) -> Network:
        """The network at its scale."""
        return self.neuron.network

    @property
    def loop_note(self) -> str:
        """What a reader must know of the loop corrections."""
        return SEVERAL_NOTE if isinstance(self.neuron, SeveralNeuron) else LOOP_NOTE

    @property
    def has_second_derivative(self) -> bool:
        """Whether there is one output, and P small enough for cumulants (P, P, P)."""
        return not isinstance(self.neuron, SeveralNeuron) and len(self.y) <= TENSOR_LIMIT

    @property
    def identity(self) -> Array:
        """The identity, (P, P)."""
        return np.eye(len(self.y))

    @property
    def value(self) -> float:
        """``S(ft)``, with the constants of `origin`."""
        quadratic = 0.5 * self.network.kappa * float(self.ft @ self.ft) - float(self.ft @ self.y)
        return self.origin[0] + (quadratic + self.network.width * self.neuron.log_mean - self.origin[1])

    @property
    def gradient(self) -> Array:
        """``S'(ft) = kappa ft + N mu - y``, (P,)."""
        return np.asarray(self.network.kappa * self.ft + self.network.width * self.neuron.mean - self.y)

    @property
    def curvature(self) -> Array:
        """``kappa + W''``, (P, P)."""
        return self.neuron.curvature

    @property
    def G(self) -> Array:
        """``(kappa + W'')^-1``, (P, P)."""
        return self.neuron.G

    @property
    def loop(self) -> float:
        """``(1/2) ln det(kappa + W'')``."""
        return -0.5 * float(np.linalg.slogdet(self.G)[1])

    @cached_property
    def T(self) -> Array:
        """``kappa_3[z; z.Gz]``, (P,)."""
        if isinstance(self.neuron, SeveralNeuron):
            return loop_vector_several(self.neuron)
        return loop_vector(self.neuron)

    @cached_property
    def _third(self) -> Array:
        return third_cumulant(self.neuron)

    @cached_property
    def dT(self) -> Array:
        """``dT/dft``, (P, P)."""
        return loop_matrix(self.neuron, self._third, self.monte_carlo)

    def third_cumulant(self, p: Array) -> Array:
        """Return ``kappa_3`` contracted with a vector, (P, P)."""
        return np.asarray(self._third @ p)

    def moved(self, ft: Array) -> SampledAction:
        """Return the action at another field, however few draws carry its weights."""
        return replace(self, ft=ft, neuron=_tilted(self.draws, ft, self.network))

    def at(self, ft: Array) -> SampledAction | None:
        """Return the action at another field; None where too few draws carry its weights."""
        there = self.moved(ft)
        return None if there.neuron.ess_fraction < self.min_ess else there

    @cached_property
    def shift(self) -> Array:
        """``(N/2) G T``."""
        return np.asarray(0.5 * self.network.width * (self.G @ self.T))

    def stepped(self, step: Array) -> SampledAction | None:
        """Return the action at ``ft + step``; None where too few draws carry its weights."""
        return self.at(self.ft + step)

    @cached_property
    def _thin(self) -> SampledAction:
        # neighbours in memory are neurons of one block, so that a stride takes all blocks and snapshots
        return replace(self, neuron=self.neuron.every(max(1, len(self.neuron.weights) // _TENSOR_DRAWS)))

    def thinned(self) -> SampledAction:
        """Return the action on every k-th draw: the tensors cost n P^3, and only correct what all draws give.

        It is kept: the levels share the tensors of the saddle.
        """
        return self._thin

    def corrected(self, jacobian: Array, step: Array, residual: Array, strength: float) -> Array:
        """Return Broyden's update of the curvature of ``S - strength F``: a new one would cost n P^3."""
        return jacobian + np.outer(residual, step) / float(step @ step)


def on_draws(draws: Draws, y: Array, network: Network, ft: Array, monte_carlo: bool = True) -> SampledAction:
    """Return the action at a field, up to N times the constant in `Draws.log_base`."""
    return SampledAction(y, draws, ft, _tilted(draws, ft, network), monte_carlo=monte_carlo)


def _tilted(draws: Draws, ft: Array, network: Network) -> Neuron:
    """Return the neuron under the tilt of a field: (P,), or (P m,) of m outputs."""
    return (tilt if len(ft) == draws.features.shape[1] else tilt_several)(draws, ft, network)


def minimum(start: SampledAction, min_ess: float) -> Saddle[SampledAction]:
    """Return the minimum of S: Newton with Armijo backtracking.

    Args:
        start: At the first field.
        min_ess: Floor of the effective sample size as a fraction of the draws. A step that would fall below it is
            shortened, because there the finite sum hides the divergence of W; if no step is left, the solver stops with
            converged = False.
    """
    now, iterations = start, 0
    while True:
        slope = now.gradient
        residual = relative(now, slope)
        if residual < _TOLERANCE or iterations == _MAX_ITERATIONS:
            break
        direction = -cho_solve(now.neuron.factor, slope)
        decrease = float(slope @ direction)
        # the last term forgives rounding in S once the decrease is below it
        value, rounding = now.value, 1e-13 * (1 + abs(now.value))
        # a start below the floor may move as long as it does not get worse
        floor, length = min(min_ess, now.neuron.ess_fraction), 1.0
        while length > 1e-8:
            trial = now.moved(now.ft + length * direction)
            sufficient = trial.value <= value + 1e-4 * length * decrease + rounding
            if sufficient and trial.neuron.ess_fraction >= floor:
                break
            length /= 2
        else:
            break
        now = trial
        iterations += 1
    converged = residual < _TOLERANCE and now.neuron.ess_fraction >= min_ess
    return Saddle(now, converged=converged, residual=residual, iterations=iterations)
