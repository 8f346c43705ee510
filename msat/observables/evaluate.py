"""Every declared observable of a level of theory, or of training, with its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from msat.observables.moments import Moments
from msat.observables.registry import BY_NAME, OBSERVABLES
from msat.observables.training import Series
from msat.types import Array


def batch_error(batches: Array) -> Array:
    """Return the standard error of the mean over batches, (B, ...) to (...)."""
    return np.asarray(batches.std(axis=0, ddof=1) / np.sqrt(len(batches)))


def predicted(moments: Moments, batches: Sequence[Moments]) -> dict[str, Any]:
    """Return a level's observables by name, each but spectra with its Monte Carlo error as ``name_mc_error``.

    The error is that over batches of draws; 0 for closed forms, which have none, and for what batches do not give.
    """
    values: dict[str, Any] = {}
    for observable in (item for item in OBSERVABLES if item.theory and item.defined(moments.frame)):
        values[observable.name] = value = observable.formula(moments)
        if {"train", "output"} & set(observable.dimensions):  # single eigenvalues repel each other when noisy
            continue
        error: Any = np.zeros(np.shape(value))
        given = observable.needs != ("readout_norm",) and (
            observable.needs != ("readout_covariance",) or all(item.readout_covariance is not None for item in batches)
        )
        if batches and given and np.all(np.isfinite(value)):
            error = batch_error(np.array([observable.formula(batch) for batch in batches]))
        values[f"{observable.name}_mc_error"] = error
    return values


def measured(
    moments: Moments, without: Sequence[Moments], series: Series, standard_error: Callable[[Array], Array]
) -> dict[str, Any]:
    """Return training's observables by name, each with its standard error as ``name_error``.

    One that needs a moment which a later version records than the one that trained is left out.

    Args:
        moments: Of all chains.
        without: The same with one chain left out, for each chain: see `jackknifed`. Without them observables that need
            them are left out.
        series: Block series, (chains, blocks, ...).
        standard_error: Of a mean, from its block means.
    """
    values: dict[str, Any] = {}
    for observable in (item for item in OBSERVABLES if item.defined(moments.frame)):
        try:
            value = observable.formula(moments)
            if observable.series is not None:
                error = standard_error(observable.series(series, moments))
            elif without:
                parts = np.array([observable.formula(item) for item in without])
                if observable.held is None:
                    value, error = jackknifed(value, parts)
                else:
                    value, error = bracketed(value, np.array([observable.held(moments, w) for w in without]), parts)
            else:
                continue
        except KeyError:  # the name of a moment
            continue
        values |= {observable.name: value, f"{observable.name}_error": error}
    return values


def step_bias(
    series: Series, half: Series, moments: Moments, standard_error: Callable[[Array], Array]
) -> dict[str, Any]:
    """Return what the step size adds to training's observables as ``name_step_bias``, with standard errors.

    A bias of second order in the step is 4/3 of what halving it changes. Observables without a block series, and
    vectors, are left out.

    Args:
        series, half: Block series at the step of the run and at half of it, (chains, blocks, ...).
        moments: Of all chains, at the step of the run.
    """
    values: dict[str, Any] = {}
    for observable in (item for item in OBSERVABLES if item.compared and item.defined(moments.frame)):
        if observable.series is None or observable.dimensions:
            continue
        at = [observable.series(part, moments) for part in (series, half)]
        error, half_error = (float(standard_error(part)) for part in at)
        values[f"{observable.name}_step_bias"] = 4 / 3 * float(at[0].mean() - at[1].mean())
        values[f"{observable.name}_step_bias_error"] = 4 / 3 * float(np.hypot(error, half_error))
    return values


def jackknifed(value: Any, parts: Array) -> tuple[Array, Array]:
    """Return a function's value and standard error, by leaving out one chain at a time.

    With B chains, ``t`` the function of all and ``t_j`` that without chain j, the value is
    ``B t - (B - 1) mean(t_j)``, free of the bias of leading order that noise gives a function, and the squared
    error is ``(B - 1)/B sum_j (t_j - mean)^2``. Chains are independent whatever the correlation within each, which
    batches of time would not be; the price is an error known from B numbers only: (value - truth)/error follows
    Student's t with B - 1 degrees of freedom.

    Args:
        value, parts: t and the t_j, (B, ...).
    """
    chains, centre = len(parts), parts.mean(axis=0)
    error = np.sqrt((chains - 1) / chains * np.sum((parts - centre) ** 2, axis=0))
    return np.asarray(chains * value - (chains - 1) * centre), np.asarray(error)


def bracketed(value: Any, held: Array, parts: Array) -> tuple[Array, Array]:
    """Return an eigenvalue and its standard error, by leaving out one chain at a time.

    Noise pushes the largest eigenvalue t of a mean over B chains up, and what a chain of its own has along the leading
    eigenvector of the others falls short: ``E[t] >= truth >= E[s_j]``, ``s_j = B held_j - (B - 1) t_j``, whatever the
    gap to the next eigenvalue. Where that gap exceeds the noise both miss by the same to leading order, so the middle
    of t and the mean of s_j is free of that bias, as the jackknife is; where it does not, the jackknife misses and the
    truth is between. The squared error is that of the mean of s_j plus half the distance squared.

    Args:
        value: t, or all eigenvalues in descending order (P,).
        held, parts: ``v.M v`` of all chains' matrix along the eigenvector v of that without chain j, and t_j, (B, ...).
    """
    chains = len(parts)
    alone = chains * held - (chains - 1) * parts
    lower = alone.mean(axis=0)
    return (value + lower) / 2, np.hypot(batch_error(alone), (value - lower) / 2)


def without_each(means: Mapping[str, Array]) -> list[dict[str, Array]]:
    """Return means over chains with one chain left out, for each chain, from those of single chains, (B, ...)."""
    chains = len(next(iter(means.values())))
    totals = {name: values.sum(axis=0) for name, values in means.items()}
    return [{name: (total - means[name][j]) / (chains - 1) for name, total in totals.items()} for j in range(chains)]


def error_series(name: str, series: Series, moments: Moments) -> Array:
    """Return the block series behind the error of an observable, (chains, blocks); ValueError for a jackknife's."""
    function = BY_NAME[name].series
    if function is None:
        raise ValueError(f"{name}: its error comes from leaving out chains")
    return function(series, moments)
