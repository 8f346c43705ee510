"""Level `laplace` of deep linear networks: one loop in the field and the layers' gains together (13.4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.deep.likelihood import Likelihood, likelihood
from msat.theory.deep.outputs import before, recursion
from msat.theory.deep.outputs import predict as prediction
from msat.theory.deep.saddle import DeepSaddle, saddle
from msat.theory.linear.outputs import Left
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction
from msat.types import Array

_TOLERANCE = 1e-10


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return the predictions of ``ln p = action - (1/2) [ln det(sK + kappa) + sum ln r_l + ln R' + P ln 2 pi]``.

    R' is the slope of ``R = eta - signal``, whose root is the saddle. Mean and covariance are derivatives in y,
    eq. (2); kernels and norms are averages over ln r_l to the same order.
    """
    spectrum, kappa = geometry.spectrum, network.kappa
    of_labels = likelihood(spectrum.lam, spectrum.y, network)
    found = saddle(of_labels, network, with_determinant=False)
    mean, covariance, left, slope = _outputs(of_labels, network, found)
    s, widths = float(np.exp(found.t)), np.array(network.widths)
    determinants = float(np.log(2 * np.pi * (s * spectrum.lam + kappa)).sum() + np.log(found.r).sum())
    gains = _gains(of_labels, network, found)
    last = np.eye(len(widths))[-1]
    return prediction(
        geometry,
        network,
        mean,
        covariance,
        recursion(network, spectrum.lam, _moments(of_labels, found, gains)),
        scale=s * gains.factor(np.ones(len(widths))),
        readout_norm=network.g * float(found.r[-1]) * gains.factor(last),
        left=left,
        log_evidence=found.value - 0.5 * (determinants + float(np.log(slope))) if slope > 0 else float("nan"),
        converged=found.residual < _TOLERANCE and slope > 0,
        residual=found.residual,
        iterations=found.iterations,
        note=found.note,
    )


def _powers(of_labels: Likelihood, t: float) -> tuple[Array, Array, Array, Array]:
    """Return ``u (1 - u)`` and its first three derivatives in t."""
    u, rest = of_labels.shares(t), of_labels.rests(t)
    first, odd = u * rest, rest - u
    return first, first * odd, first * (1 - 6 * first), first * odd * (1 - 12 * first)


def _outputs(of_labels: Likelihood, network: Network, found: DeepSaddle) -> tuple[Array, LowRank, Left, float]:
    """Return mean, covariance, what is left of the labels, and R'.

    They are first and second derivative of ln p in y, eta following its equation ``R = 0``.

    ``F(eta, y)`` is what ln p has beside the action, ``h = dt/deta``; indices are derivatives.
    """
    y, kappa, eta = of_labels.y, of_labels.kappa, found.eta
    u = of_labels.shares(found.t)
    p0, p1, p2, p3 = _powers(of_labels, found.t)
    s1, s2, s3 = (float(p @ y**2) / kappa for p in (p1, p2, p3))
    inverse = 1 / (np.array(network.widths) + eta)
    h, h1, h2 = float(inverse.sum()), -float((inverse**2).sum()), 2 * float((inverse**3).sum())
    R = 1 - h * s1
    R1, R2 = -(h1 * s1 + h**2 * s2), -(h2 * s1 + 3 * h * h1 * s2 + h**3 * s3)
    R_y, R1_y, R2_y = (-2 * y / kappa * p for p in (p0, h * p1, h1 * p1 + h**2 * p2))
    eta_y = -R_y / R
    F_eta = -0.5 * (h * float(u.sum()) + h + R1 / R)
    F_eta2 = -0.5 * (h1 * float(u.sum()) + h**2 * float(p0.sum()) + h1 + R2 / R - (R1 / R) ** 2)
    F_y, F_eta_y = -0.5 * R1_y / R, -0.5 * (R2_y / R - R1 * R1_y / R**2)
    slope, rest = F_y + F_eta * eta_y, of_labels.rests(found.t)
    p = y * p0 / kappa
    beyond = LowRank.of(
        2 * kappa * (F_eta * p0 / R + 0.5 * h * p1 / R),
        (2 * h * kappa**2 / R, p, p),
        (0.5 * kappa**2 / R**2, R1_y, R1_y),
        (2 * kappa**2, F_eta_y, eta_y),
        (kappa**2 * (F_eta2 - F_eta * R1 / R), eta_y, eta_y),
        (-2 * kappa**2 * F_eta / R, R1_y, eta_y),
    )
    response = float(y**2 @ rest) / kappa - float(y @ (beyond @ y)) / kappa**2
    left = Left(kappa, float(np.exp(found.t)), rest * y / kappa - slope, response)
    return u * y + kappa * slope, LowRank.diagonal(kappa * u) + beyond, left, R


class _Gains(NamedTuple):
    """Fluctuations of ln r_l about the saddle, to one loop: their covariance and mean, (L, L) and (L,)."""

    covariance: Array
    shift: Array

    def factor(self, c: Array) -> float:
        """Return the average of ``exp(c . (ln r - ln r*))``."""
        return 1 + 0.5 * float(c @ self.covariance @ c) + float(c @ self.shift)


def _gains(of_labels: Likelihood, network: Network, found: DeepSaddle) -> _Gains:
    y, kappa, u = of_labels.y, of_labels.kappa, of_labels.shares(found.t)
    _, p1, p2, _ = _powers(of_labels, found.t)
    s1, s2 = (float(p @ y**2) / kappa for p in (p1, p2))
    own = 0.5 * (np.array(network.widths) + found.eta)
    curvature = np.diag(own) - 0.5 * s1
    covariance: Array = np.linalg.solve(curvature, np.eye(len(own))).astype(np.float64)
    # slopes of the prefactor: of ln det(sK + kappa), and of ln det of the curvature
    slope = -0.5 * float(u.sum()) - 0.5 * (np.diag(covariance) * own - 0.5 * s2 * float(covariance.sum()))
    return _Gains(covariance, covariance @ slope)


def _moments(of_labels: Likelihood, found: DeepSaddle, gains: _Gains) -> list[LowRank]:
    """Return ``<f f^T / sigma_l>`` of every layer: of ``exp(c.ln r) (q q^T + kappa u / s)``, ``q = u y / sqrt(s)``."""
    u, s = of_labels.shares(found.t), float(np.exp(found.t))
    q = u * of_labels.y / np.sqrt(s)
    slope = q * (0.5 - u)
    basis = np.stack([q, slope, slope * (0.5 - u) - q * u * (1 - u)], axis=1)  # and its derivatives in t
    layers = len(found.r)
    whole = gains.covariance.sum(axis=1)
    second = 0.5 * float(whole.sum())
    moments = []
    for c, rho in zip(np.tri(layers, layers, -1), before(found.r), strict=True):
        first = float(c @ whole) + float(gains.shift.sum())
        core = np.array([[gains.factor(c), first, second], [first, 2 * second, 0.0], [second, 0.0, 0.0]])
        moments.append(LowRank(rho / s * of_labels.kappa * u, basis, rho * core))
    return moments
