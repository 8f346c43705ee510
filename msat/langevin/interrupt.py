"""Signals that ask a run to stop: noted at once, obeyed between two blocks."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

# SIGTERM comes from scancel, from preemption and before a time limit; SIGUSR1 where a cluster is told to warn
# with it; SIGINT from the keyboard
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Stop:
    """Whether a signal has asked this process to stop; a context manager that listens while it is open.

    Outside the main thread, where Python allows no signal handlers, it never hears one.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None  # the first that came
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in STOPPING}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # schedulers repeat themselves: a second signal changes nothing, only SIGKILL is faster
        self.signal = self.signal or signal.Signals(number)
