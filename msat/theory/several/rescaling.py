"""Level `rescaling` for several outputs: a kernel multiplied by one matrix over outputs.

"Kernel shape renormalisation" of Baglioni et al. (arXiv 2412.15911); see docs/theory.md, section 12.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from msat.geometry import Geometry
from msat.levels import RESCALING
from msat.network import Network
from msat.theory.action import joined
from msat.theory.prediction import Prediction
from msat.theory.scale_mixture import ScaleMixture
from msat.theory.several.linear.ladder import saddle
from msat.theory.several.matrices import exponential, symmetric, symmetric_basis
from msat.theory.several.mixture import Local, MatrixMixture, Summit, ascend
from msat.theory.several.process import process
from msat.types import Array

ANSATZ_NOTE = (
    "for a non-linear activation rescaling is an ansatz: one matrix over outputs for all directions of samples"
)
_WORTH, _MOST = 30.0, 16  # nats below the best combination of maxima, and combinations, from which it is looked
_TOLERANCE = 1e-6  # largest accepted distance from the maximum, in its standard deviations


def predict(geometry: Geometry, network: Network, seed: int = 0) -> Prediction:
    """Return the Gaussian process at the most probable S, the maximum of eq. (A3)'s exponent; the seed is not used.

    Hidden kernel ``K + (1/N) K (ft S ft^T - sum_c s_c (s_c K + kappa)^-1) K``, s_c the eigenvalues of S; for non-linear
    networks an ansatz. The log evidence is the exponent and constants of (A3) at the maximum
    ``+ (n/2) ln 2 pi - (1/2) ln det(-Hess) - (m(m-1)/4) ln 2``, n = m(m+1)/2: Laplace's method in the orthonormal
    coordinates of X, ``S = R e^X R``; the last term is the Jacobian of these. It is not defined for N < m.
    """
    spectrum, outputs = geometry.spectrum, geometry.y_train.shape[1]
    mixture = MatrixMixture(spectrum.lam, spectrum.y, network)
    summit = most_probable(mixture, geometry)
    S, bend = summit.point, np.linalg.eigvalsh(summit.curvature)
    peak = bool(bend[0] > 0)
    log_evidence, note = float("nan"), ""
    if network.width < outputs:
        note = f"no log evidence of {RESCALING.name}: it needs a width of at least the number of outputs, {outputs}"
    elif peak:
        jacobian = outputs * (outputs - 1) / 4 * np.log(2)
        log_evidence = mixture.log_constant + summit.value - jacobian
        log_evidence += 0.5 * float(len(bend) * np.log(2 * np.pi) - np.log(bend).sum())
    hidden_kernel = adapted_kernel(mixture, S)
    # the kernel in the basis of samples gives the first layer, of linear networks
    first_layer = geometry.first_layer(spectrum.U @ hidden_kernel @ spectrum.U.T)
    return process(
        geometry,
        network,
        S,
        hidden_kernel,
        first_layer,
        log_evidence=float(log_evidence),
        converged=peak and summit.residual < _TOLERANCE,
        residual=summit.residual,
        iterations=summit.iterations,
        note=joined(note, "" if network.activation == "linear" else ANSATZ_NOTE),
    )


def most_probable(mixture: MatrixMixture, geometry: Geometry) -> Summit:
    """Return the highest maximum of e(S) that is found, in orthonormal coordinates of X about it, ``S = R e^X R``.

    For one output it is the global one.
    """
    found = (ascend(mixture.value, lambda S: _local(mixture, S), start) for start in starts(mixture, geometry))
    return max(found, key=lambda at: at.value)


def starts(mixture: MatrixMixture, geometry: Geometry) -> list[Array]:
    """Return the matrices S from which maxima are looked for, (m, m) each.

    The tree level's g Q, and along the eigenvectors of Q what is most probable of each output by itself. Of an output
    that has two maxima alone (N below the rank of the kernel) there is a start for each, in all combinations that are
    not beyond `_WORTH`.
    """
    network, lam = mixture.network, mixture.lam
    action = saddle(geometry.spectrum, network).action
    alone = [_maxima(ScaleMixture(lam, y, network)) for y in (mixture.y @ action.axes).T]
    others = sorted(product(*alone), key=lambda combination: -sum(value for _, value in combination))
    worth = [each for each in others if sum(value for _, value in each) > -_WORTH][:_MOST]
    scales = [np.exp([t for t, _ in combination]) for combination in worth]
    return [network.g * action.Q, *((action.axes * s) @ action.axes.T for s in scales)]


def _maxima(alone: ScaleMixture) -> list[tuple[float, float]]:
    """Return t of each maximum of one output's e(t), and how far it lies above the highest, which is the first."""
    tops = np.array(alone.maxima())
    return list(zip(tops.tolist(), alone.rise(tops, float(tops[0])).tolist(), strict=True))


def adapted_kernel(mixture: MatrixMixture, S: Array) -> Array:
    """Return the hidden kernel at one S in the eigenbasis, (P, P)."""
    lam, network = mixture.lam[:, None], mixture.network
    s, _, along = mixture.split(S)
    d = lam * s + network.kappa
    half = lam * along / d * np.sqrt(s)
    return np.asarray(np.diag(mixture.lam) + (half @ half.T - np.diag((lam**2 * s / d).sum(axis=1))) / network.width)


def _local(mixture: MatrixMixture, S: Array) -> Local:
    """Return e about S in orthonormal coordinates of X, ``S -> R e^X R`` with ``R = S^1/2``."""
    basis = symmetric_basis(len(S))
    s, axes = np.linalg.eigh(S)
    root = (axes * np.sqrt(s)) @ axes.T
    at = mixture.derivatives(S)
    first = root @ at.gradient @ root
    products = np.einsum("pab,qbc,ca->pq", basis, basis, first, optimize=True)
    hessian = at.second(root @ basis @ root) + symmetric(products)

    def moved(step: Array) -> Array:
        return symmetric(root @ exponential(np.tensordot(step, basis, axes=1)) @ root)

    return Local(np.einsum("pab,ab->p", basis, first), hessian, moved)
