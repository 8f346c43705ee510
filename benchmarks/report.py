"""RESULTS.md: every measurement as a table, and what must hold with whether it does."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

import msat
from benchmarks.cases import OBSERVABLES
from benchmarks.neural_tangents import LIMIT
from benchmarks.race import PEERS, TARGET, Deviation, Row
from benchmarks.sizes import Cost, Size
from benchmarks.small_networks import Agreement
from benchmarks.step import StepCost
from benchmarks.theory import TheoryCost
from msat.langevin.samplers import NAMES

HEADS = {"along": "y.f", "readout_norm": "readout norm", "hidden_along": "hidden kernel along y"}
SHOWN = ("nngp", "tree_level", "laplace", "exact")  # levels compared with NUTS
PACKAGES = ("torch", "numpy", "posteriors", "numpyro", "blackjax", "jax")


def number(value: float, digits: int = 2) -> str:
    """Return a number with so many digits, a dash for NaN, and 'never' for infinity."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never"
    if value == 0:
        return "0"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def head(quick: bool) -> list[str]:
    """Return what the numbers are of: code, machine, packages."""
    packages = []
    for name in PACKAGES:
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            packages.append(f"{name} not installed")
    return [
        "# Measurements",
        "",
        f"Made by `make bench`{' (quick pass: sizes too small to mean anything)' if quick else ''} with msat "
        f"{msat.__version__}, Python {platform.python_version()}, {', '.join(packages)}; {os.cpu_count()} CPU cores. "
        "Times are the machine's, ratios are taken within the run. "
        "`benchmarks/README.md` says how everything is measured.",
    ]


def of_step(costs: Sequence[StepCost]) -> list[str]:
    """Return the cost of a step."""
    return [
        "## A Langevin step against its floor",
        "",
        "N = 100, P = 80, D = 200, 16 chains, float32, one thread. The floor is the sum of the step's bare products, "
        "normal numbers and updates of the state.",
        "",
        *table(
            ("activation", "ms a step", "over its floor", "the same by autograd"),
            (
                (
                    cost.activation,
                    number(cost.milliseconds, 3),
                    number(cost.over_floor, 3),
                    number(cost.autograd_over_floor, 3),
                )
                for cost in costs
            ),
        ),
    ]


def of_race(rows: Sequence[Row]) -> list[str]:
    """Return a table for every case."""
    lines = [
        "## Samplers",
        "",
        f"Effective samples per CPU second of three observables, and CPU seconds to an error of {TARGET:.0%} of the "
        "train discrepancy, burn-in included. *Slowest* is the smallest of the three over that of `langevin`: below 1 "
        "is a loss against it. *Off by* is the deviation of y.f from `exact` (linear) or from the most precise sampler "
        "without bias, in combined standard errors, and where that is beyond doubt as a bias in per cent of the train "
        "discrepancy: one above the error asked for never comes to it. *Others off by* is the larger deviation of the "
        "readout norm and the hidden kernel likewise, in per cent of themselves.",
        "",
        "![Effective samples per CPU second and time to a 1 % error against the scale](results.png)",
        "",
        "Top: effective samples of the slowest observable. Bottom: time to the error; one with a larger bias has no "
        "point. Solid lines are samplers of msat; ReLU networks are run with these alone.",
    ]
    for name in dict.fromkeys(row.case.name for row in rows):
        mine = [row for row in rows if row.case.name == name]
        lines += ["", f"### {name}", ""]
        lines += table(
            (
                "sampler",
                *(HEADS[observable] for observable in OBSERVABLES),
                "slowest",
                "burn-in, s",
                f"to {TARGET:.0%}, s",
                "off by",
                "others off by",
                "R-hat",
                "setting",
            ),
            (_cells(row, mine[0]) for row in mine),
        )
    return lines


def _cells(row: Row, langevin: Row) -> list[str]:
    if row.missing:
        return [row.sampler, *["-"] * 9, row.missing]
    compiled = f"; compiled in {row.compiled:.0f} s, not counted" if row.compiled else ""
    others = [row.deviations[name] for name in OBSERVABLES[1:] if name in row.deviations]
    return [
        row.sampler,
        *(number(row.per_second[name], 3) for name in OBSERVABLES),
        number(row.slowest / langevin.slowest),
        number(row.burn_in),
        number(row.to_target),
        *(_off(found) for found in ([row.deviations[OBSERVABLES[0]]] if row.deviations else [], others)),
        "-" if math.isnan(row.rhat) else f"{row.rhat:.3f}",
        row.setting + compiled,
    ]


def _off(deviations: Sequence[Deviation]) -> str:
    """Return the largest deviation in standard errors, and as a bias where it is one."""
    known = [found for found in deviations if math.isfinite(found.z)]
    if not known:
        return "-"
    worst = max(known, key=lambda found: abs(found.z))
    return f"{worst.z:+.1f}" + (f" ({worst.bias:+.1%})" if worst.bias else "")


def of_requirements(rows: Sequence[Row]) -> list[str]:
    """Return what must hold of msat's best sampler, held or missed."""
    lines = []
    for name in dict.fromkeys(row.case.name for row in rows):
        here = {row.sampler: row for row in rows if row.case.name == name}
        case = next(iter(here.values())).case
        if case.network.activation == "relu":
            continue
        ours = [here[sampler] for sampler in NAMES]
        fast, soon = max(ours, key=lambda row: row.slowest), min(ours, key=lambda row: row.to_target)
        at_width = case.network.chi == case.network.width
        if at_width and len(ours) > 1:
            lines.append(
                _required(name, "slowest observable over langevin", fast, fast.slowest / here["langevin"].slowest, 5)
            )
        if (peer := here.get("NumPyro NUTS")) and not peer.missing:
            lines.append(_required(name, "slowest observable over NUTS", fast, fast.slowest / peer.slowest, 3))
        if (peer := here.get("naive loop")) and not peer.missing and (at_width or case.network.chi == 1):
            ratio = peer.to_target / soon.to_target
            lines.append(
                _required(name, "time to 1 % of the naive loop over ours", soon, ratio, 100 if at_width else 10)
            )
    if not lines:
        return []
    heads = ("case", "ratio", "sampler", "found", "wanted", "")
    return ["## What must hold", "", *table(heads, lines)]


def _required(case: str, what: str, row: Row, found: float, wanted: float) -> list[str]:
    verdict = "held" if found >= wanted else "**missed**"
    return [case, what, row.sampler, number(found), f"at least {wanted:g}", verdict]


def of_sizes(costs: Mapping[Size, Cost]) -> list[str]:
    """Return the cost against N, P, chains and threads."""
    rows = [
        [*(str(value) for value in size), number(cost.milliseconds, 3), number(cost.peak_mb, 3), number(cost.state_mb)]
        for size, cost in costs.items()
    ]
    return [
        "## Cost against size",
        "",
        "Langevin dynamics, float32; time by the clock; memory of a training with 1000 test samples on one thread.",
        "",
        *table(("activation", "N", "P", "D", "chains", "threads", "ms a step", "peak MB", "final state, MB"), rows),
    ]


def of_theory(costs: Sequence[TheoryCost]) -> list[str]:
    """Return the cost of theory."""
    return [
        "## Theory",
        "",
        *table(
            ("what", "CPU s", "ratio", "to"),
            ([cost.what, number(cost.seconds), number(cost.ratio), cost.against] for cost in costs),
        ),
    ]


def of_kernels(differences: Mapping[str, Sequence[float]], scales: Sequence[float]) -> list[str]:
    """Return the agreement with neural-tangents."""
    good = all(value < LIMIT for values in differences.values() for value in values)
    return [
        "## Dual kernels against neural-tangents",
        "",
        "Largest difference of a kernel in units of its largest entry, by g_v; "
        f"{'all' if good else '**not all**'} below {LIMIT:g}.",
        "",
        *table(
            ("activation", *(f"g_v = {g_v:g}" for g_v in scales)),
            ([name, *(f"{value:.0e}" for value in values)] for name, values in differences.items()),
        ),
    ]


def of_small_networks(rows: Sequence[Agreement]) -> list[str]:
    """Return the agreement with NUTS on small networks."""
    return [
        "## Small networks against stored NUTS runs",
        "",
        "N = 20, P = 16. |Delta - Delta_NUTS| / |Delta_NUTS| of levels and of training, with Delta = y - <f>, and the "
        "standard error of NUTS; z is the largest over training outputs, in combined standard errors.",
        "",
        *table(
            ("activation", "chi", *SHOWN, "langevin", "z of langevin", "NUTS s.e."),
            (
                [
                    row.activation,
                    f"{row.chi:g}",
                    *(f"{row.levels[name]:.2%}" if name in row.levels else "-" for name in SHOWN),
                    f"{row.langevin:.2%}",
                    f"{row.langevin_z:.1f}",
                    f"{row.reference_error:.2%}",
                ]
                for row in rows
            ),
        ),
    ]


def missing_peers(rows: Sequence[Row]) -> list[str]:
    """Return a line for each peer that was not raced, once."""
    return sorted({f"{row.sampler}: {row.missing}" for row in rows if row.missing and row.sampler in PEERS})
