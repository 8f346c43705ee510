"""Solve seeded random linear problems at every level, and compare each number with a hundred decimal digits."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from benchmarks.attack.judged import LEVELS, Verdict, verdicts
from benchmarks.attack.problems import COUNT, problem

STATES = ("right", "marked", "none", "wrong", "raised")


def main() -> int:
    """Attack, print what became of every level, and return 1 if one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attack", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="number of the first problem")
    parser.add_argument("--last", type=int, default=COUNT, help="number after the last problem")
    parser.add_argument("--step", type=int, default=1, help="every so many of them")
    parser.add_argument("--levels", default=",".join(LEVELS), help="levels, separated by commas")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--out", type=Path, help="a file that gets one line of JSON for each verdict")
    parser.add_argument("--show", type=int, default=20, help="how many wrong ones to name")
    options = parser.parse_args()
    started, found = time.perf_counter(), []
    stream = options.out.open("a", encoding="utf-8") if options.out else None
    done = 0
    for index in range(options.first, options.last, options.step):
        for each in verdicts(problem(index), options.levels.split(",")):
            found.append(each)
            if stream:
                print(json.dumps(vars(each)), file=stream, flush=True)
        done += 1
        if time.perf_counter() - started > 60 * options.minutes:
            break
    for line in table(found):
        print(line)
    for each in [each for each in found if each.bad][: options.show]:
        print(f"problem {each.index}, {each.level}: {each.state}, {each.name} {each.error:.1e} {each.note}")
    print(f"{done} problems, {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return int(any(each.bad for each in found))


def table(found: list[Verdict]) -> list[str]:
    """Return how many of each level are right, marked, without a solution, wrong, raised; and the problems in all."""
    lines = [f"{'level':12}" + "".join(f"{state:>9}" for state in STATES)]
    for level in dict.fromkeys(each.level for each in found):
        count = Counter(each.state for each in found if each.level == level)
        lines.append(f"{level:12}" + "".join(f"{count[state]:9}" for state in STATES))
    problems = {each.index for each in found}
    bad = {each.index for each in found if each.bad}
    lines.append(f"{len(problems) - len(bad)} of {len(problems)} problems right to 1e-6 or marked")
    return lines


if __name__ == "__main__":
    sys.exit(main())
