"""How time is taken: what is compared alternates, so that a busy machine slows all of it, and medians are kept."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def cpu_seconds(action: Callable[[], object]) -> float:
    """Return the processor time, of all threads of this process, that a call takes."""
    started = time.process_time()
    action()
    return time.process_time() - started


def wall_seconds(action: Callable[[], object]) -> float:
    """Return the time that a call takes by the clock."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def alternating(
    actions: Mapping[str, Callable[[], object]],
    repetitions: int,
    clock: Callable[[Callable[[], object]], float] = cpu_seconds,
) -> dict[str, float]:
    """Return the median time of every action over repetitions of all of them in turn, after a first pass unmeasured."""
    for action in actions.values():
        action()
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repetitions):
        for name, action in actions.items():
            times[name].append(clock(action))
    return {name: statistics.median(values) for name, values in times.items()}
