"""Standard errors of means of correlated series, from block means (chains, blocks, ...).

A block is at least one relaxation time of the prior long, so block means are weakly correlated draws: the standard
error of their mean, corrected for what correlation is left, is that of the whole run.

The estimate is that of arviz-stats, which tests hold it against, over all components at once: arviz-stats takes them
one at a time, and every training would wait for scipy.stats and scipy.signal, which it imports.
"""

from __future__ import annotations

import math

import numpy as np

from msat.types import Array

MIN_BLOCKS = 4  # of a chain: fewer say nothing of correlation
_ENTRIES = 2**20  # numbers transformed at a time: memory must not grow with the number of outputs


def by_component(blocks: Array) -> Array:
    """Return (chains, blocks, ...) as (components, chains, blocks)."""
    return np.moveaxis(blocks.reshape(*blocks.shape[:2], -1), -1, 0)


def standard_error(blocks: Array) -> Array:
    """Return the Monte Carlo standard error of the mean, from block means (chains, blocks, ...).

    NaN for what is not finite, and for fewer than MIN_BLOCKS blocks.
    """
    series = by_component(blocks)
    error = np.full(len(series), np.nan)
    chains, length = blocks.shape[:2]
    if length >= MIN_BLOCKS:
        size = max(_ENTRIES // (chains * length), 1)
        for first in range(0, len(series), size):
            error[first : first + size] = _standard_errors(np.ascontiguousarray(series[first : first + size]))
    return error.reshape(blocks.shape[2:])


def _standard_errors(series: Array) -> Array:
    """Return the standard errors of the means of series (components, chains, blocks)."""
    _, chains, length = series.shape
    error = np.full(len(series), np.nan)
    finite = np.isfinite(series).all(axis=(1, 2))
    spread = series[finite].reshape(-1, chains * length).std(axis=1, ddof=1)
    error[finite] = spread / np.sqrt(_effective_draws(series[finite]))
    return error


def _effective_draws(series: Array) -> Array:
    """Return the effective sample sizes for the mean of finite series (components, chains, blocks).

    Chains are split into halves, whose means then tell of drift; autocorrelations are summed over Geyer's initial
    monotone sequence (Vehtari et al. 2021, eqs. 10-13).
    """
    components, length = len(series), series.shape[-1] // 2
    halves = np.concatenate([series[..., :length], series[..., -length:]], axis=1)
    number = halves.shape[1]
    varies = np.ptp(halves, axis=(1, 2)) >= np.finfo(float).resolution
    means = halves.mean(axis=-1, keepdims=True)
    transform = np.fft.rfft(halves - means, 2 * length)
    power = (transform.real**2 + transform.imag**2).mean(axis=1)
    covariance = np.fft.irfft(power, 2 * length)[:, :length] / length  # mean over half chains, by lag
    within = covariance[:, :1] * length / (length - 1)
    total = np.where(varies, covariance[:, 0] + means[..., 0].var(axis=1, ddof=1), 1.0)
    correlation = 1 - (within - covariance) / total[:, None]
    correlation[:, 0] = 1.0
    pairs = correlation[:, : 2 * max((length - 1) // 2, 1)].reshape(components, -1, 2)
    sums = pairs.sum(axis=-1)
    # the first pair that is not positive, or the last that there is, ends the sequence: of it only its even lag counts
    ends = sums <= 0
    ends[:, -1] = True
    last = ends.argmax(axis=1)
    at = np.arange(components)
    even = pairs[at, last, 0]
    even = np.where(sums[at, last] < 0, np.maximum(even, 0), even)
    kept = np.minimum.accumulate(sums, axis=1) * (np.arange(sums.shape[1]) < last[:, None])
    draws = number * length
    time = np.maximum(2 * kept.sum(axis=1) + even - 1, 1 / math.log10(draws))
    return np.asarray(np.where(varies, draws / time, draws))


def error_correlation(blocks: Array) -> Array:
    """Return the correlation between the errors of means, components squared, from blocks (chains, blocks, ...)."""
    centred = blocks.reshape(blocks.shape[0] * blocks.shape[1], -1)
    centred = centred - centred.mean(axis=0)
    scale = np.sqrt(np.sum(centred**2, axis=0))
    scale[scale == 0] = 1.0
    centred = centred / scale
    return np.asarray(centred.T @ centred)


def error_product(first: Array, second: Array) -> float:
    """Return the correlation between the errors of two means, from their block means (chains, blocks).

    0 where one of them has no error.
    """
    errors = [float(standard_error(blocks)) for blocks in (first, second)]
    if not all(np.isfinite(error) and error > 0 for error in errors):
        return 0.0
    # var(a + b) = 2 + 2 rho for errors of unit size
    together = float(standard_error(first / errors[0] + second / errors[1]))
    return float(np.clip(together**2 / 2 - 1, -1, 1))
