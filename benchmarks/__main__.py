"""Run all measurements, or some, and write RESULTS.md and results.png beside this file."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import cases, figure, neural_tangents, race, report, sizes, small_networks, step, theory

FOLDER = Path(__file__).parent
SECTIONS = ("step", "samplers", "sizes", "theory", "kernels", "small")


def main() -> int:
    """Measure, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, in about a minute: does everything run?")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=SECTIONS, help="sections to measure")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of RESULTS.md and results.png")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    parts: dict[str, list[str]] = {}
    rows: list[race.Row] = []

    def samplers() -> list[str]:
        for case in cases.cases(options.quick):
            peers = case.network.activation != "relu"
            rows.extend(race.race(case, race.QUICK if options.quick else race.FULL, peers, say))
        figure.draw(rows, options.out / "results.png")
        for line in report.missing_peers(rows):
            say(line)
        return [*report.of_requirements(rows), "", *report.of_race(rows)]

    makers: dict[str, Callable[[], list[str]]] = {
        "step": lambda: report.of_step(step.measure(options.quick)),
        "samplers": samplers,
        "sizes": lambda: report.of_sizes(sizes.measure(options.quick)),
        "theory": lambda: report.of_theory(theory.measure(options.quick)),
        "kernels": lambda: report.of_kernels(neural_tangents.compare(), neural_tangents.G_V),
        "small": lambda: report.of_small_networks(small_networks.measure(options.quick)),
    }

    def say(line: str) -> None:
        print(f"{time.perf_counter() - started:6.0f} s  {line}", file=sys.stderr, flush=True)

    path = options.out / "RESULTS.md"
    for section in options.only:
        say(section)
        parts[section] = makers[section]()
        lines = [*report.head(options.quick), *(line for part in parts.values() for line in ("", *part))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")  # each time: a long run may be stopped
    say(f"written: {os.path.relpath(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
