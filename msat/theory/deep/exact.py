"""Level `exact` of deep linear networks: eq. (4) with the prior (13.1) of the scale."""

from __future__ import annotations

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.deep.likelihood import Likelihood, likelihood
from msat.theory.deep.outputs import predict as prediction
from msat.theory.deep.outputs import recursion
from msat.theory.deep.scale_prior import ScalePrior
from msat.theory.linear.outputs import Left
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction
from msat.theory.scale_mixture import integrated, located
from msat.types import Array

_DEPTH = 60.0  # nats below its maximum at which the integrand is cut
_SCAN = 513  # the prior is a contour integral at each point


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return the exact posterior predictions, by quadrature over t = ln s."""
    lam, y, kappa = geometry.spectrum.lam, geometry.spectrum.y, network.kappa
    of_labels, prior = likelihood(lam, y, network), ScalePrior(network.widths, network.g)

    def exponent(t: Array) -> Array:
        return prior.log_density(t) + of_labels.log(t)

    support = located(exponent, *_reach(of_labels, prior), points=_SCAN)
    t, weights, log_evidence, residual, converged, nodes = integrated(exponent, *support, rounding=prior.rounding)
    s, u = np.exp(t), of_labels.shares(t)
    means, fields = u * y, of_labels.rests(t) / kappa * y
    mean, field = weights @ means, weights @ fields
    response = float(field @ y) - float(weights @ ((fields - field) @ y) ** 2)
    fluctuations = ((means - mean) * np.sqrt(weights)[:, None]).T
    # E[r_1 .. r_(l-1) | t] of every layer, and E[r_L | t] for the readout
    layers = len(network.widths)
    powers = np.vstack([np.tri(layers, layers, -1), np.eye(layers)[-1:]])
    averages = prior.averages(t, powers)
    moments = [LowRank((weights * rho / s) @ (kappa * u), means.T, np.diag(weights * rho / s)) for rho in averages[:-1]]
    return prediction(
        geometry,
        network,
        mean,
        LowRank(weights @ (kappa * u), fluctuations, np.eye(len(s))),
        recursion(network, lam, moments),
        scale=float(weights @ s),
        readout_norm=network.g * float(weights @ averages[-1]),
        left=Left(kappa, float(weights @ s), field, response),
        log_evidence=log_evidence,
        converged=converged,
        residual=residual,
        iterations=nodes,
    )


def _reach(of_labels: Likelihood, prior: ScalePrior) -> tuple[float, float]:
    """Return an interval of t outside which the integrand is e^-60 of its maximum at most.

    The likelihood is at most ``(2 pi kappa)^(-P/2)``, and the prior is log-concave.
    """
    centre = np.log(prior.g)
    near = centre + np.linspace(-3.0, 3.0, 25)
    best = float(np.max(prior.log_density(near) + of_labels.log(near)))
    needed = best - _DEPTH + len(of_labels.y) / 2 * np.log(2 * np.pi * of_labels.kappa)

    def beyond(sign: float) -> float:
        step = 3.0
        while float(prior.log_density(np.array([centre + sign * step]))[0]) > needed:
            step *= 1.5
        return float(centre + sign * step)

    return beyond(-1.0), beyond(1.0)
