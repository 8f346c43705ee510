"""Precision per second: effective samples from draws of an observable, and the time to an error that is asked for."""

from __future__ import annotations

import math

import numpy as np
from arviz_stats.base import array_stats

SIGNIFICANT = 3.0  # standard errors beyond which a difference counts as bias


def standard_error(series: np.ndarray) -> float:
    """Return the Monte Carlo standard error of the mean of a series (chains, draws), by arviz-stats."""
    return float(array_stats.mcse(series[None], chain_axis=-2, draw_axis=-1, method="mean")[0])


def rhat(series: np.ndarray) -> float:
    """Return the rank-normalised split R-hat of a series (chains, draws); NaN for fewer than eight draws."""
    if series.shape[1] < 8:
        return math.nan
    return float(array_stats.rhat(series[None], chain_axis=-2, draw_axis=-1)[0])


def slow_standard_error(series: np.ndarray, variance: float) -> float:
    """Return a lower bound on the standard error of the mean of chains in equilibrium.

    What arviz-stats cannot see in chains shorter than their own correlation time is seen here, since the variance is
    known: the autocorrelation is ``rho(t) = 1 - E[(x_{s+t} - x_s)^2] / (2 variance)``. Overdamped dynamics is
    reversible, so rho is a sum of decaying exponentials, and beyond the last lag used, a third of the chain, it decays
    no faster than up to there: continuing it at that rate bounds its integral from below.

    Args:
        series: (chains, draws), started from the posterior itself.
        variance: Of the observable under the posterior.
    """
    chains, draws = series.shape
    lags = np.unique(np.geomspace(1, max(draws // 3, 1), 60).astype(int))
    rho = np.array([1 - np.mean((series[:, lag:] - series[:, :-lag]) ** 2) / (2 * variance) for lag in lags])
    low = np.flatnonzero(rho < 0.05)
    end = int(low[0]) if len(low) else len(lags) - 1
    lags, rho = np.concatenate([[0], lags[: end + 1]]), np.concatenate([[1.0], np.clip(rho[: end + 1], 1e-6, 1.0)])
    integral = float(np.trapezoid(rho, lags))
    if not len(low):
        half = int(np.searchsorted(lags, lags[-1] / 2))
        rate = max(-math.log(rho[-1]) / lags[-1], -math.log(rho[-1] / rho[half]) / (lags[-1] - lags[half] or 1), 1e-12)
        integral += rho[-1] / rate
    time = max(integral, 0.5)  # in draws
    return math.sqrt(variance * 2 * time / (chains * draws))


def seconds_to(target: float, burn_in: float, sampling: float, error: float, bias: float = 0.0) -> float:
    """Return the time until the root mean squared error falls to the target; infinity where the bias is larger.

    Args:
        target, error, bias: Relative errors: wanted, standard after `sampling`, and what does not average out.
        burn_in, sampling: Seconds; the squared standard error falls as one over those of sampling.
    """
    room = target**2 - bias**2
    return burn_in + sampling * error**2 / room if room > 0 else math.inf


def significant(difference: float, error: float) -> float:
    """Return the size of a difference where it is beyond doubt, else 0."""
    return abs(difference) if abs(difference) > SIGNIFICANT * error else 0.0
