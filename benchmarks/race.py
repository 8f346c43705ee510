"""Samplers raced on one posterior: effective samples per processor second, and the time to a 1 % error.

Effective samples are the observable's posterior variance over the squared standard error of its mean, so that ratios
are those of squared error times time. The posterior variance is one number for all: that of the draws of msat's first
unbiased sampler, or of its Langevin chains.

The naive loop cannot be burnt in here. It is charged the time in which it draws as many effective samples of its
slowest observable as msat's Langevin chains draw in the time of their burn-in: the same ensemble, by the same rule.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks import estimates, timing
from benchmarks.cases import OBSERVABLES, Case
from benchmarks.samplers import Chunk, Entrant, blackjax_mclmc, naive, numpyro_nuts, of_msat, with_posteriors

TARGET = 0.01  # relative error of the train discrepancy
PEERS = ("naive loop", "posteriors SGLD", "posteriors BAOA", "NumPyro NUTS", "blackjax MCLMC")


class Budget(NamedTuple):
    """Repetitions, and processor seconds of one: of an entrant, and of one that is there at several settings."""

    repetitions: int
    seconds: float
    seconds_each: float


FULL, QUICK = Budget(3, 2.0, 0.75), Budget(2, 0.1, 0.1)


class Deviation(NamedTuple):
    """Of a mean from the truth: in combined standard errors, and relative where it is beyond doubt, else 0."""

    z: float
    bias: float


@dataclass
class Row:
    """How one sampler did on one case.

    Attributes:
        per_second: Effective samples per processor second by observable.
        burn_in, sampling: Processor seconds.
        error: Standard error of the train discrepancy after that, relative.
        deviations: From the truth: exact, or of the most precise unbiased sampler; of ``along`` relative to the train
            discrepancy.
    """

    case: Case
    sampler: str
    setting: str
    per_second: dict[str, float]
    burn_in: float
    sampling: float
    error: float
    compiled: float = 0.0
    rhat: float = math.nan
    deviations: dict[str, Deviation] = field(default_factory=dict)
    missing: str = ""

    @property
    def slowest(self) -> float:
        """Effective samples per second of the observable that has fewest."""
        return min(self.per_second.values())

    @property
    def to_target(self) -> float:
        """Processor seconds, burn-in included, to `TARGET`."""
        bias = self.deviations["along"].bias if self.deviations else 0.0
        return estimates.seconds_to(TARGET, self.burn_in, self.sampling, self.error, bias)


def absent(case: Case, sampler: str, why: str) -> Row:
    """Return the row of a sampler that could not be run."""
    return Row(case, sampler, "", dict.fromkeys(OBSERVABLES, math.nan), math.nan, math.nan, math.nan, missing=why)


def race(case: Case, budget: Budget, peers: bool, say: Callable[[str], None]) -> list[Row]:
    """Return a row for every sampler on a case: those of msat, then, with `peers`, the others."""
    rows: list[Row] = []
    ready = [_Running(entrant) for entrant in of_msat.entrants(case)]
    langevin = ready[0].entrant
    assert isinstance(langevin, of_msat.OfMsat)
    if peers:
        ready.append(_Running(naive.Naive(case, langevin.weights)))
        others: list[tuple[Sequence[str], str, Callable[[], Sequence[Entrant]]]] = [
            (PEERS[1:3], with_posteriors.missing(), lambda: _of_posteriors(case, langevin)),
            (PEERS[3:4], numpyro_nuts.absent(), lambda: [numpyro_nuts.Nuts(case)]),
            (PEERS[4:5], blackjax_mclmc.absent(), lambda: [blackjax_mclmc.Mclmc(case)]),
        ]
        for names, why, make in others:
            rows += [absent(case, name, why) for name in names if why]
            ready += [] if why else [_Running(entrant) for entrant in make()]
    say(f"{case.name}: {len(ready)} entrants burnt in")
    names = [running.entrant.name for running in ready]
    for _ in range(budget.repetitions):
        for running in ready:
            several = names.count(running.entrant.name) > 1
            running.advance(budget.seconds_each if several else budget.seconds)
    return _ordered(_judged(case, ready) + rows)


def _of_posteriors(case: Case, langevin: of_msat.OfMsat) -> Sequence[Entrant]:
    return list(with_posteriors.entrants(case, langevin.state.curvature))


class _Running:
    """An entrant that has burnt in, and the chunks that it has sampled."""

    def __init__(self, entrant: Entrant) -> None:
        self.entrant = entrant
        self.chunks: list[Chunk] = []
        self.failed = ""
        self.compiled = entrant.compile()
        self.burn_in = math.nan
        try:
            self.burn_in = timing.cpu_seconds(entrant.burn_in)
        except FloatingPointError as error:
            self.failed = str(error)

    def advance(self, seconds: float) -> None:
        """Sample a chunk."""
        if not self.failed:
            self.chunks.append(self.entrant.advance(seconds))
            if not all(np.isfinite(series).all() for series in self.entrant.series.values()):
                self.failed = "diverged"

    @property
    def seconds(self) -> float:
        """What all steps take at the median cost of a step."""
        return sum(chunk.steps for chunk in self.chunks) * statistics.median(
            chunk.seconds / chunk.steps for chunk in self.chunks
        )


def _judged(case: Case, ready: Sequence[_Running]) -> list[Row]:
    """Return the row of every entrant; of those of one name the one soonest at the target."""
    chains = [running.entrant for running in ready if isinstance(running.entrant, of_msat.OfMsat)]
    reference = next((entrant for entrant in chains if entrant.unbiased), chains[0])
    variances = {name: float(draws.var()) for name, draws in reference.ends.items()}
    finished = [running for running in ready if not running.failed]
    means = [{name: _mean(running.entrant, name, variances[name]) for name in OBSERVABLES} for running in finished]
    unbiased = [found for found, running in zip(means, finished, strict=True) if running.entrant.unbiased]
    truths = {name: min((found[name] for found in unbiased or means[:1]), key=_by_error) for name in OBSERVABLES}
    if case.truth is not None:
        truths["along"] = _Mean(case.truth, 0.0)
    sizes = {name: truth.value for name, truth in truths.items()}
    sizes["along"] = float(case.y @ case.y) - truths["along"].value  # P times the train discrepancy
    best: dict[str, Row] = {}
    burn_in_draws = math.nan  # effective samples of the slowest observable that Langevin's burn-in cost
    for found, running in zip(means, finished, strict=True):
        row = _row(case, running, variances, found["along"].error / sizes["along"])
        if running.entrant is chains[0]:
            burn_in_draws = row.burn_in * row.slowest
        if running.entrant.equilibrium:
            row.burn_in = burn_in_draws / row.slowest
        else:
            row.deviations = {name: _deviation(found[name], truths[name], sizes[name]) for name in OBSERVABLES}
        if row.sampler not in best or row.to_target < best[row.sampler].to_target:
            best[row.sampler] = row
    for running in ready:
        if running.failed and running.entrant.name not in best:
            best[running.entrant.name] = absent(case, running.entrant.name, running.failed)
    return list(best.values())


class _Mean(NamedTuple):
    """A mean and its standard error."""

    value: float
    error: float


def _by_error(mean: _Mean) -> float:
    return mean.error


def _mean(entrant: Entrant, name: str, variance: float) -> _Mean:
    """Return an entrant's best mean of an observable."""
    series = entrant.series["best" if name == "along" and "best" in entrant.series else name]
    if entrant.equilibrium:
        return _Mean(float(series.mean()), estimates.slow_standard_error(series, variance))
    return _Mean(float(series.mean()), estimates.standard_error(series))


def _deviation(found: _Mean, truth: _Mean, size: float) -> Deviation:
    if found == truth:  # the truth's own
        return Deviation(math.nan, 0.0)
    combined, difference = math.hypot(found.error, truth.error), found.value - truth.value
    return Deviation(
        difference / combined, math.copysign(estimates.significant(difference, combined), difference) / size
    )


def _row(case: Case, running: _Running, variances: dict[str, float], error: float) -> Row:
    entrant, seconds = running.entrant, running.seconds
    series = entrant.series
    per_second = {}
    for name, variance in variances.items():
        if entrant.equilibrium:
            spread = estimates.slow_standard_error(series[name], variance)
        else:
            spread = estimates.standard_error(series[name])
        per_second[name] = variance / spread**2 / seconds
    mixed = math.nan if entrant.equilibrium else max(estimates.rhat(series[name]) for name in OBSERVABLES)
    return Row(
        case, entrant.name, entrant.setting, per_second, running.burn_in, seconds, error, running.compiled, mixed
    )


def _ordered(rows: list[Row]) -> list[Row]:
    """Return msat's own first, then the peers in their order."""
    return sorted(rows, key=lambda row: PEERS.index(row.sampler) if row.sampler in PEERS else -1)
