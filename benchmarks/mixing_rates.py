"""How often the rule for mixing is wrong: chains that mixed and are said not to have, and the other way round.

Simulated block means of known truth, judged by `msat.langevin.diagnostics.mixing` and by the plain rule that the
largest R-hat be below 1.01. Prints the tables of docs/mixing.md; 90 components, 16 chains of four kinds of start
unless said otherwise; seeded.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from msat.langevin import diagnostics
from msat.uncertainty import standard_error

COMPONENTS = 90
CHAINS = 16
LIMIT = diagnostics.RHAT_LIMIT
LONGEST = 2048  # blocks of a run that is looked at again and again
GROWTH = 1.2  # of a run between two looks
WRONG = 4.0  # claimed standard errors by which a mean is called wrong; a right one is so far off once in 16,000
Simulation = Callable[[np.random.Generator, int], tuple[np.ndarray, float]]  # blocks, and the true mean


def ar1(rng: np.random.Generator, tau: float, shape: tuple[int, ...], start: np.ndarray | None = None) -> np.ndarray:
    """Return AR(1) series of unit variance along axis 1, with integrated autocorrelation time tau, from their start.

    They are stationary where no start is given.
    """
    rho = (tau - 1) / (tau + 1)
    noise = rng.standard_normal(shape)
    first = (shape[0], 1, *shape[2:])
    before = rng.standard_normal(first) if start is None else np.broadcast_to(start, first)
    return lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=1, zi=rho * before)[0]


def kinds_of(chains: int) -> list[str]:
    """Return the kind of start of each chain, in turn."""
    return [("prior", "zero", "informed", "theory")[chain % 4] for chain in range(chains)]


def by_component(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which components are mixed by the new and by the plain rule, each judged as one of all of them."""
    judged = diagnostics.mixing(blocks, kinds_of(len(blocks)))
    needed = max(diagnostics.MIN_ESS, diagnostics.MIN_CHAIN_ESS * len(blocks))
    return (judged.excess < LIMIT) & (judged.ess >= needed), judged.rhat < LIMIT


def merged(blocks: np.ndarray) -> np.ndarray:
    """Return blocks merged in pairs until they are 256 at most, as a run does."""
    while blocks.shape[1] > 256:
        even = blocks[:, : blocks.shape[1] // 2 * 2]
        blocks = (even[:, ::2] + even[:, 1::2]) / 2
    return blocks


def false_alarms(rng: np.random.Generator, tau: float, ess: int, looks: int = 100) -> list[str]:
    """Return the row of stationary chains whose components share ten factors, as outputs of a network do."""
    length = round(ess * tau / CHAINS)
    new = plain = noise = 0
    worst = []
    for _ in range(looks):
        loadings = rng.standard_normal((20, COMPONENTS)) / np.sqrt(20)
        blocks = merged(np.sqrt(0.7) * ar1(rng, tau, (CHAINS, length, 20)) @ loadings)
        blocks += np.sqrt(0.3) * merged(ar1(rng, tau, (CHAINS, length, COMPONENTS)))
        judged = diagnostics.mixing(blocks, kinds_of(CHAINS))
        new += not judged.mixed
        noise += judged.worst >= LIMIT
        plain += not judged.rhat.max() < LIMIT
        worst.append(judged.rhat.max())
    rates = (percent(count / looks) for count in (plain, new, noise))
    return [f"{tau}", f"{length}", f"{ess}", f"{np.median(worst):.3f}", *rates]


def stuck(separation: float, second: int, tau: float, length: int, by_kind: bool = False) -> Simulation:
    """Chains of which some stay in a second mode that has no weight: any of them, or those of one kind of start."""

    def simulate(rng: np.random.Generator, replicas: int) -> tuple[np.ndarray, float]:
        blocks = ar1(rng, tau, (CHAINS, length, replicas))
        order = rng.permuted(np.tile(np.arange(CHAINS)[:, None], replicas), axis=0)
        if by_kind:
            order = np.tile((np.arange(CHAINS) % 4 * 4)[:, None], replicas)
        return blocks + separation * (order < second)[:, None, :], 0.0

    return simulate


def from_starts(tau: float, length: int, alike: bool, chains: int = CHAINS) -> Simulation:
    """Chains that begin 2 deviations off: by kind at +2, -2, +2 and 0, or all at +2."""

    def simulate(rng: np.random.Generator, replicas: int) -> tuple[np.ndarray, float]:
        start = np.full(chains, 2.0) if alike else np.array([2.0, -2.0, 2.0, 0.0])[np.arange(chains) % 4]
        return ar1(rng, tau, (chains, length, replicas), start[:, None, None]), 0.0

    return simulate


def switching(separation: float, every: float, length: int, alike: bool) -> Simulation:
    """Chains that switch between two modes of equal weight, every so many blocks; all begin in one, or in either."""

    def simulate(rng: np.random.Generator, replicas: int) -> tuple[np.ndarray, float]:
        flips = rng.random((CHAINS, length, replicas)) < 1 / every
        flips[:, 0] |= False if alike else rng.random((CHAINS, replicas)) < 0.5
        return ar1(rng, 1.0, flips.shape) + separation * (np.cumsum(flips, axis=1) % 2), separation / 2

    return simulate


def percent(share: float) -> str:
    """Return a share for a table."""
    return f"{share:.1%}".replace("%", " %")


def errors(blocks: np.ndarray, truth: float) -> np.ndarray:
    """Return how far means are from the truth, in standard errors that the blocks claim."""
    return np.asarray((blocks.mean(axis=(0, 1)) - truth) / standard_error(blocks))


def far_off(z: np.ndarray) -> str:
    """Return the root mean square of errors."""
    return f"{np.sqrt(np.mean(z**2)):.1f}" if len(z) else "-"


def misses(rng: np.random.Generator, simulate: Simulation, calls: int = 2) -> str:
    """Return how often the plain and the new rule call the component mixed, and its errors where the new one does."""
    parts = []
    for _ in range(calls):
        blocks, truth = simulate(rng, COMPONENTS)
        blocks = merged(blocks)
        parts.append((*by_component(blocks), errors(blocks, truth)))
    new, plain, z = (np.concatenate(part) for part in zip(*parts, strict=True))
    return f"{plain.mean():.1%} / {new.mean():.1%}".replace("%", " %") + (f" ({far_off(z[new])})" if new.any() else "")


def stops(rng: np.random.Generator, simulate: Simulation, length: int = LONGEST) -> list[str]:
    """Return which runs stop that are looked at ever more rarely, where, and how far off they are, by both rules.

    A run stops at the first look at which the component is called mixed: what the rule does by itself, without a
    target for the error.
    """
    blocks, truth = simulate(rng, COMPONENTS)
    stop = np.zeros((2, COMPONENTS), dtype=int)
    z = np.zeros((2, COMPONENTS))
    seen_blocks = 32.0
    while seen_blocks <= length and not stop.all():
        seen = merged(blocks[:, : round(seen_blocks)])
        off = errors(seen, truth)
        for rule, mixed in enumerate(by_component(seen)):
            now = mixed & (stop[rule] == 0)
            stop[rule, now], z[rule, now] = round(seen_blocks), off[now]
        seen_blocks *= GROWTH
    row = []
    for rule in (1, 0):
        stopped = stop[rule] > 0
        typical = f"{np.median(stop[rule, stopped]):.0f}" if stopped.any() else "-"
        wrong = percent(np.mean(np.abs(z[rule]) > WRONG))
        row += [f"{percent(stopped.mean())} at {typical}", far_off(z[rule, stopped]), wrong]
    return row


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    print(f"\n{title}\n\n" + "\n".join(lines), flush=True)


def fixed_length(rng: np.random.Generator) -> None:
    """Print the rates of one look at runs of a stated length."""
    cases = [
        (tau, ess) for tau in (0.5, 1, 2, 4, 8) for ess in (400, 800, 1600, 6400) if 32 <= ess * tau / CHAINS <= 801
    ]
    head = ["tau, blocks", "blocks", "effective draws", "largest R-hat, median", "plain", "new", "new, by R-hat"]
    table("False alarms", head, [false_alarms(rng, *case) for case in cases])
    rows = []
    for separation in (0.5, 1, 2, 4):
        for second, by_kind in ((8, False), (4, False), (4, True), (1, False)):
            found = [misses(rng, stuck(separation, second, 2.0, ess // 8, by_kind)) for ess in (500, 1600, 6400)]
            rows.append([f"{separation}", "one kind" if by_kind else f"{second} of {CHAINS}", *found])
    head = ["separation", "elsewhere", "500 effective draws", "1600", "6400"]
    table("Missed: stuck chains; plain / new (off by)", head, rows)
    rows = []
    for share in (0.02, 0.05, 0.1, 0.5, 1, 2):
        ways = [(chains, alike) for chains in (16, 64) for alike in (False, True)]
        rows.append([f"{share}", *(misses(rng, from_starts(share * 64, 64, alike, chains)) for chains, alike in ways)])
    head = ["tau / run", "16 chains, by kind", "16 chains, alike", "64 chains, by kind", "64 chains, alike"]
    table("Missed: chains that remember their start, 64 blocks; plain / new (off by)", head, rows)
    rows = []
    for separation in (0.5, 1, 2, 4):
        for switches in (0.5, 1, 3, 10):
            ways = [(length, alike) for length in (64, 256) for alike in (False, True)]
            found = [misses(rng, switching(separation, length / switches, length, alike)) for length, alike in ways]
            rows.append([f"{separation}", f"{switches}", *found])
    ends = ["64 blocks, begin in either", "64, all in one", "256, in either", "256, all in one"]
    table("Missed: rare switches; plain / new (off by)", ["separation", "switches a chain", *ends], rows)


def repeated_looks(rng: np.random.Generator) -> None:
    """Print what becomes of runs that go on until they are called mixed."""
    cases = {f"mixed, tau {tau}": stuck(0, 0, tau, LONGEST) for tau in (1, 4)}
    for separation, second in ((0.25, 8), (0.5, 8), (1, 8), (0.5, 4), (1, 4), (0.5, 1), (1, 1), (2, 1)):
        cases[f"{second} of {CHAINS} stuck, {separation} apart"] = stuck(separation, second, 2.0, LONGEST)
    for separation in (0.25, 0.5, 1):
        cases[f"one kind stuck, {separation} apart"] = stuck(separation, 4, 2.0, LONGEST, by_kind=True)
    for tau in (4, 16, 64, 256):
        for alike in (False, True):
            cases[f"starts {'alike' if alike else 'by kind'}, tau {tau}"] = from_starts(tau, LONGEST, alike)
    for separation in (0.5, 1, 2):
        for every in (32, 128, 512):
            name = f"{separation} apart, a switch in {every} blocks"
            cases[name] = switching(separation, every, LONGEST, alike=False)
    head = ["chains", "plain stops", "off by", "wrong", "new stops", "off by", "wrong"]
    table(f"Repeated looks, up to {LONGEST} blocks", head, [[name, *stops(rng, case)] for name, case in cases.items()])


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    fixed_length(generator)
    repeated_looks(generator)
