"""Have the chains mixed? R-hat of block means, judged against the noise that it has by itself.

Means of half chains differ even where chains have mixed: by as much as the autocorrelation inside chains says. Only
an R-hat beyond that speaks of chains in different places (docs/mixing.md: the rule and its rates of error).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import fdtri, ndtri

from msat.types import Array, Indices
from msat.uncertainty import by_component

RHAT_LIMIT = 1.01  # above it chains are said not to have mixed (Vehtari et al. 2021)
MIN_ESS = 400.0  # effective draws of all chains below which no R-hat is believed (Vehtari et al. 2021)
MIN_CHAIN_ESS = 20.0  # effective draws of a chain: below, its autocorrelation cannot be told from its drift
FALSE_ALARMS = 1e-2  # share of looks at mixed chains, over all components together, that noise may spoil
MAX_LAGS = 0.05  # share of a chain within which autocorrelation counts as noise: what lasts longer is no mixing
MIN_LAGS = 4  # even in a short chain
MIN_CHAINS = 4  # below, and below MIN_HALF, the noise is not known
MIN_SUPERCHAIN = 4  # chains of every kind of start
MIN_HALF = 8  # blocks in half a chain


class Mixing(NamedTuple):
    """What the blocks say about mixing, by component."""

    rhat: Array  # rank-normalised split R-hat
    nested: Array  # nested R-hat over superchains, the chains of one kind of start; NaN where they are too few
    ess: Array  # effective draws of all chains, by the autocorrelation inside chains
    excess: Array  # the larger R-hat of those that noise does not explain, 1 where it explains both
    worst: float  # largest excess
    mixed: bool


class _Noise(NamedTuple):
    """What autocorrelation inside chains predicts, by component."""

    chain: Array  # variance of the mean of a chain
    half: Array  # variance of the mean of half a chain
    variance: Array  # variance of one block mean
    dof: Array  # degrees of freedom of the estimates above


def rhat(blocks: Array) -> Array:
    """Return the rank-normalised split R-hat, from block means (chains, blocks, ...).

    The larger of those of bulk and tails (Vehtari et al. 2021). 1 for what never varies; NaN for what is not finite,
    for one chain and for fewer than 4 blocks.
    """
    x = _whole_halves(by_component(blocks))
    value = np.ones((2, len(x)))
    for row, z in zip(value, _scores(x), strict=True):
        varies = _varies(z)
        row[varies] = _split_rhat(z[varies])
    return np.asarray(value.max(axis=0).reshape(blocks.shape[2:]))


def mixing(blocks: Array, kinds: Sequence[str]) -> Mixing:
    """Return whether chains have mixed, from block means (chains, blocks, components).

    They have where every component has at least MIN_ESS effective draws, MIN_CHAIN_ESS a chain, and no R-hat of
    RHAT_LIMIT or more that noise does not explain. R-hat is explained where the variance of the means it compares is
    below the F quantile of what the autocorrelation inside chains predicts, at FALSE_ALARMS shared by all tests.
    Where chains or blocks are too few for that (MIN_CHAINS, MIN_HALF) R-hat is the excess, and they have not mixed.

    Args:
        kinds: Kind of start of each chain. The chains of one kind are a superchain (Margossian et al. 2024).
    """
    x = _whole_halves(by_component(blocks))
    _, chains, length = x.shape
    groups = _superchains(kinds)
    judged = chains >= MIN_CHAINS and length >= 2 * MIN_HALF
    views = [_view(z, groups, judged) for z in _scores(x)]
    result = {name: np.maximum(*(view[name] for view in views)) for name in ("rhat", "nested", "excess")}
    result["ess"] = np.minimum(*(view["ess"] for view in views))
    worst = float(np.max(result["excess"], initial=1.0))
    enough = bool(np.all(result["ess"][_varies(x)] >= max(MIN_ESS, MIN_CHAIN_ESS * chains)))
    return Mixing(**result, worst=worst, mixed=judged and enough and worst < RHAT_LIMIT)


def _whole_halves(x: Array) -> Array:
    """Return the series (components, chains, blocks) without the middle block where their number is odd."""
    half = x.shape[-1] // 2
    if not half:
        return x
    return np.concatenate([x[..., :half], x[..., half + x.shape[-1] % 2 :]], axis=-1)


def _varies(x: Array) -> Array:
    """Return which components vary at all: what is always the same has mixed."""
    return np.asarray((x != x[:, :1, :1]).any(axis=(1, 2)))


def _superchains(kinds: Sequence[str]) -> list[Indices]:
    """Return the chains of each kind; nothing where there is one kind, or one of fewer chains than MIN_SUPERCHAIN."""
    groups = [np.flatnonzero(np.asarray(kinds) == kind) for kind in dict.fromkeys(kinds)]
    return groups if len(groups) > 1 and min(map(len, groups)) >= MIN_SUPERCHAIN else []


def _scores(x: Array) -> tuple[Array, Array]:
    """Return the normal scores of series and of their distances from the median, which show the tails."""
    median = np.median(x.reshape(len(x), x.shape[1] * x.shape[2]), axis=1)
    with np.errstate(invalid="ignore"):  # infinite draws
        distance = np.abs(x - median[:, None, None])
    return _normal_scores(x), _normal_scores(distance)


def _normal_scores(x: Array) -> Array:
    """Return the normal scores of the ranks among all draws of a component; NaN where one is not finite."""
    size = x.shape[1] * x.shape[2]
    flat = x.reshape(len(x), size)
    order = np.argsort(flat, axis=1)
    ascending = np.take_along_axis(flat, order, axis=1)
    # draws that are equal share their mean rank, whatever chain they belong to: the middle of their run
    place = np.arange(size, dtype=np.int32)
    begins = np.ones(flat.shape, dtype=bool)
    begins[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    ends = np.roll(begins, -1, axis=1)
    first = np.maximum.accumulate(np.where(begins, place, np.int32(0)), axis=1)
    last = np.minimum.accumulate(np.where(ends, place, np.int32(size))[:, ::-1], axis=1)[:, ::-1]
    scores = ndtri((np.arange(2 * size - 1) / 2 + 1 - 3 / 8) / (size + 1 / 4))  # of all ranks there can be
    z = np.empty(flat.shape)
    np.put_along_axis(z, order, scores[first + last], axis=1)
    z[~np.isfinite(flat).all(axis=1)] = np.nan
    return z.reshape(x.shape)


def _halves(z: Array) -> Array:
    """Return series (components, chains, blocks) as half chains (components, 2 chains, blocks/2)."""
    return z.reshape(len(z), 2 * z.shape[1], z.shape[2] // 2)


def _split_rhat(z: Array) -> Array:
    """Return the split R-hat of normal scores (components, chains, blocks)."""
    if z.shape[1] < 2 or z.shape[2] < 4:
        return np.full(len(z), np.nan)
    halves = _halves(z)
    length = halves.shape[-1]
    with np.errstate(divide="ignore"):  # chains that stand still in different places: infinite
        ratio = halves.mean(axis=-1).var(axis=-1, ddof=1) / halves.var(axis=-1, ddof=1).mean(axis=-1)
    return np.asarray(np.sqrt(ratio + (length - 1) / length))


def _view(z: Array, groups: list[Indices], judged: bool) -> dict[str, Array]:
    """Return the fields of Mixing by component, from one set of normal scores (components, chains, blocks)."""
    components, chains, length = z.shape
    result = {name: np.ones(components) for name in ("rhat", "nested", "excess")}
    result["ess"] = np.full(components, float(chains * length))
    if not groups:
        result["nested"][:] = np.nan
    varies = _varies(z)
    z = z[varies]
    result["rhat"][varies] = rhat = _split_rhat(z)
    if not judged:
        result["excess"][varies] = rhat
        result["ess"][varies] = np.nan
        return result
    noise = _noise(z)
    alarm = FALSE_ALARMS / (components * 2 * (2 if groups else 1))  # bulk and tails, halves and superchains
    means = _halves(z).mean(axis=-1)
    dof = 2 * chains - 1
    explained = means.var(axis=1, ddof=1) <= fdtri(dof, noise.dof, 1 - alarm) * noise.half
    excess = np.where(explained, 1.0, rhat)
    if groups:
        spread, nested = _between(z, groups)
        dof = len(groups) - 1
        explained = spread <= fdtri(dof, noise.dof, 1 - alarm) * noise.chain
        excess = np.maximum(excess, np.where(explained, 1.0, nested))
        result["nested"][varies] = nested
    result["excess"][varies] = excess
    with np.errstate(invalid="ignore"):  # chains that stand still have no effective draws
        result["ess"][varies] = np.nan_to_num(chains * noise.variance / noise.chain)
    return result


def _between(z: Array, groups: list[Indices]) -> tuple[Array, Array]:
    """Return the spread of the superchains' means, in variances of one chain's mean, and the nested R-hat."""
    means = z.mean(axis=-1)
    sizes = np.array([len(group) for group in groups])
    centres = np.stack([means[:, group].mean(axis=1) for group in groups], axis=1)
    total = means.mean(axis=1, keepdims=True)
    spread = (sizes * (centres - total) ** 2).sum(axis=1) / (len(groups) - 1)
    inside = np.zeros(len(z))
    for group in groups:
        halves = _halves(z[:, group])
        inside += (halves.mean(axis=-1).var(axis=1, ddof=1) + halves.var(axis=-1, ddof=1).mean(axis=1)) / len(groups)
    with np.errstate(divide="ignore", invalid="ignore"):  # chains that stand still, one place for each kind
        return spread, np.sqrt(1 + centres.var(axis=1, ddof=1) / inside)


def _noise(z: Array) -> _Noise:
    """Return what the autocorrelation inside chains, pooled over chains, says about the variance of means.

    Autocovariances are summed over Geyer's initial positive sequence, up to MAX_LAGS of a chain. Those of a chain
    about its own mean lack the variance v of that mean at every lag, and v is their weighted sum: solved for v.
    """
    components, chains, length = z.shape
    centred = z - z.mean(axis=-1, keepdims=True)
    transform = np.fft.rfft(centred, 2 * length)
    power = (transform.real**2 + transform.imag**2).sum(axis=1)
    lags = np.arange(length)
    covariance = np.fft.irfft(power, 2 * length)[:, :length] / (chains * (length - lags))
    pairs = covariance.reshape(components, length // 2, 2).sum(axis=-1)
    kept = np.repeat(np.logical_and.accumulate(pairs > 0, axis=1), 2, axis=1)
    kept[:, max(MIN_LAGS, 2 * math.ceil(MAX_LAGS * length / 2)) :] = False
    weights = np.where(lags == 0, 1.0, 2.0) * (1 - lags / length) / length
    chain = (kept * covariance) @ weights / (1 - kept @ weights)
    variance = covariance[:, 0] + chain
    half = length // 2
    half_weights = np.where(lags == 0, 1.0, 2.0) * np.maximum(1 - lags / half, 0) / half
    of_half = (kept * (covariance + chain[:, None])) @ half_weights
    # draws that repel each other: no more effective draws than arviz-stats allows, log10 of all draws for each
    least = variance / np.log10(chains * length)
    # as for a spectral density at zero frequency, smoothed over twice the lags that are kept
    dof = chains * length / np.maximum(2 * kept.sum(axis=1) - 1, 1)
    return _Noise(np.maximum(chain, least / length), np.maximum(of_half, least / half), variance, dof)
