"""A progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

import math
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from msat.langevin.state import Progress as Place

_LINE_EVERY = 15.0  # seconds between two lines in a log


class Reporter:
    """Shows the progress of one run, called label, on standard error; use it as a context manager."""

    def __init__(self, label: str, quiet: bool = False) -> None:
        self._label, self._phase = label, ""
        self._console = Console(file=sys.stderr, quiet=quiet)
        bar, text = BarColumn(20), TextColumn("{task.description}", table_column=Column())  # it wraps
        self._bar = Progress(bar, text, console=self._console, disable=quiet or not self._console.is_terminal)
        self._task = self._bar.add_task(label, total=None)
        self._last_line = time.monotonic()

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.stop()

    def update(self, place: Place) -> None:
        """Show where the run is."""
        now = time.monotonic()
        if place.phase != self._phase:
            self._phase, self._started, self._first = place.phase, now, place.steps
        rate = (place.steps - self._first) / max(now - self._started, 1e-9)
        total = f"of about {place.total:,} " if place.total else ""
        text = f"{place.phase} {place.steps:,} {total}steps, {rate:,.0f} steps/s"
        if not math.isnan(place.relative_error):
            text += f", error {place.relative_error:.2%}, R-hat {place.rhat:.3f}"
        if place.total and rate > 0:
            text += f", about {(place.total - place.steps) / rate:.0f} s left"
        self._bar.update(self._task, description=f"{self._label}: {text}", completed=place.steps, total=place.total)
        if self._bar.disable and now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            self.note(text)

    def note(self, text: str) -> None:
        """Show one line."""
        self._console.print(f"{self._label}: {text}", highlight=False, soft_wrap=True)
