"""Level `exact` for several outputs: Gaussian processes mixed by a Wishart matrix (docs/theory.md, eq. A3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msat.errors import ComputationError
from msat.geometry import Geometry
from msat.network import Network
from msat.theory.action import joined
from msat.theory.prediction import Outputs, Prediction
from msat.theory.several.importance import Sampled, modes, scrambles
from msat.theory.several.linear.ladder import saddle
from msat.theory.several.mixture import MatrixMixture
from msat.theory.several.outputs import to_prediction, train_outputs
from msat.theory.several.points import POINTS, SCRAMBLES
from msat.theory.several.rescaling import most_probable, starts
from msat.types import Array

_TOLERANCE = 1e-4  # largest accepted distance of the proposal's centre from the mode, in standard deviations
_SMALLEST_SHARE = 0.01  # of the points that the weights must be worth


@dataclass(eq=False)
class Sums:
    """Weighted sums over matrices S, along the axes in which they were drawn; ``a + b`` adds the points.

    Attributes:
        weight, squares: Sums of weights and of their squares.
        mean, readout: Of ``<f>_S - centre``, (P, m), and of S, (m, m).
        blocks: Of ``kappa (S (x) K) A``, one block for each sample, (P, m, m).
        outer: Of the products of ``<f>_S - centre``, (P m, P m).
        kernel: Of what S adds to the hidden kernel, times N, (P, P).
    """

    weight: float
    squares: float
    mean: Array
    readout: Array
    blocks: Array
    outer: Array
    kernel: Array

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(mine + its for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))


def predict(geometry: Geometry, network: Network, seed: int = 0) -> Prediction:
    """Return the exact posterior predictions: averages over S by importance sampling, with their Monte Carlo errors.

    ``<f> = E[(S (x) C) A y]``, covariance ``E[kappa (S (x) C) A] + Cov_S``, hidden kernel
    ``C + (1/N) E[C (ft S ft^T - sum_c s_c (s_c C + kappa)^-1) C]``. Batches are the independent scrambles. The axes of
    the coordinates are the eigenvectors of the tree level's gain, so that rotated outputs have the same points.

    Args:
        geometry, network: Data and network, of a width N >= m.
        seed: Of the scrambles.

    Raises:
        ComputationError: If the posterior has no mode with a positive curvature.
    """
    spectrum = geometry.spectrum
    axes = _own_axes(geometry, network)
    mixture = MatrixMixture(spectrum.lam, spectrum.y @ axes, network)
    own = MatrixMixture(spectrum.lam, spectrum.y, network)
    # beyond the first two: of outputs that have several maxima by themselves
    first, others = most_probable(own, geometry).point, starts(own, geometry)[2:]
    summits = modes(mixture, axes.T @ first @ axes, (axes.T @ S @ axes for S in others))
    summit, residual = summits[0], max(at.residual for at in summits)
    centre = _means(mixture, *mixture.split(summit.point @ summit.point.T))
    reference, parts = None, []
    try:
        for points in scrambles(mixture, summits, np.random.default_rng(seed)):
            reference = float(points.log_weights.max()) if reference is None else reference
            parts.append(_summed(mixture, points, centre, reference))
    except np.linalg.LinAlgError:
        raise ComputationError("the posterior of the readout matrix has no regular mode") from None
    whole = sum(parts[1:], parts[0])
    worth = whole.weight**2 / whole.squares
    enough = worth > _SMALLEST_SHARE * SCRAMBLES * POINTS
    evidences = np.log([part.weight / POINTS for part in parts])
    return to_prediction(
        geometry,
        *_moments(mixture, whole, centre, axes),
        batches=[Outputs(**train_outputs(geometry, *_moments(mixture, part, centre, axes))) for part in parts],
        log_evidence=mixture.log_constant
        + float(reference or 0.0)
        + float(np.log(whole.weight / (SCRAMBLES * POINTS))),
        log_evidence_mc_error=float(evidences.std(ddof=1) / np.sqrt(SCRAMBLES)),
        converged=residual < _TOLERANCE and enough,
        residual=residual,
        iterations=SCRAMBLES * POINTS,
        effective_sample_size=worth,
        note=joined(
            "" if len(summits) == 1 else f"the posterior of the readout matrix has {len(summits)} modes, all sampled",
            "" if enough else "too few of the sampled readout matrices count: errors are not to be trusted",
        ),
    )


def _own_axes(geometry: Geometry, network: Network) -> Array:
    """Return the eigenvectors of the tree level's Q, each with the sign that makes its largest label positive."""
    axes = saddle(geometry.spectrum, network).action.axes
    along = geometry.y_train @ axes
    largest = along[
        np.argmax(np.abs(along) * (1 - 1e-9 * np.arange(len(along)))[:, None], axis=0), np.arange(len(axes))
    ]
    return np.asarray(axes * np.where(largest < 0, -1.0, 1.0))


def _means(mixture: MatrixMixture, s: Array, axes: Array, along: Array) -> Array:
    """Return ``(S (x) K) A y`` of matrices S, (..., P, m)."""
    x = s[..., None, :] * mixture.lam[:, None]
    return np.asarray((x / (x + mixture.network.kappa) * along) @ np.swapaxes(axes, -1, -2))


def _summed(mixture: MatrixMixture, points: Sampled, centre: Array, reference: float) -> Sums:
    """Return the sums over the points of one scramble, with weights relative to exp(reference)."""
    lam, kappa, (samples, outputs) = mixture.lam[:, None], mixture.network.kappa, centre.shape
    s, axes, along = points.s, points.axes, points.along
    weights = np.exp(points.log_weights - reference)
    d = s[:, None, :] * lam + kappa
    means = (_means(mixture, s, axes, along) - centre).reshape(len(s), -1)
    scaled = np.sqrt(weights)[:, None] * means
    # sum over points and eigenvectors in one product of matrices
    variances = (kappa * s[:, None, :] * lam / d).transpose(1, 0, 2).reshape(samples, -1)
    projectors = np.einsum("i,iac,ibc->icab", weights, axes, axes).reshape(-1, outputs**2)
    adapted = (lam * along / d * np.sqrt(weights[:, None] * s)[:, None, :]).transpose(1, 0, 2).reshape(samples, -1)
    shrunk = np.einsum("i,ic,ikc->k", weights, s, 1 / d) * mixture.lam**2
    return Sums(
        weight=float(weights.sum()),
        squares=float(weights @ weights),
        mean=(weights @ means).reshape(samples, outputs),
        readout=np.einsum("i,iac,ic,ibc->ab", weights, axes, s, axes, optimize=True),
        blocks=(variances @ projectors).reshape(samples, outputs, outputs),
        outer=scaled.T @ scaled,
        kernel=adapted @ adapted.T - np.diag(shrunk),
    )


def _moments(mixture: MatrixMixture, sums: Sums, centre: Array, axes: Array) -> tuple[Any, Any, Any, Any]:
    """Return mean, covariance, hidden kernel and ``<S>`` in the eigenbasis and the outputs' own basis."""
    samples, outputs = centre.shape
    shift = sums.mean / sums.weight
    covariance = sums.outer / sums.weight - np.outer(shift, shift)
    blocks, every = covariance.reshape(samples, outputs, samples, outputs), np.arange(samples)
    blocks[every, :, every, :] += sums.blocks / sums.weight
    turned = np.tensordot(np.tensordot(blocks, axes, axes=(3, 1)), axes, axes=(1, 1))
    covariance = np.moveaxis(turned, 3, 1).reshape(samples * outputs, -1)
    kernel = np.diag(mixture.lam) + sums.kernel / (sums.weight * mixture.network.width)
    return (centre + shift) @ axes.T, covariance, kernel, axes @ (sums.readout / sums.weight) @ axes.T
