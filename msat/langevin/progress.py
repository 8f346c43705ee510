"""A progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from msat.langevin.state import Progress as Place

_LINE_EVERY = 15.0  # seconds between two lines in a log


class Reporter:
    """Shows the progress of one run on standard error; use it as a context manager.

    Args:
        label: What runs.
        quiet: Show nothing at all.
    """

    def __init__(self, label: str, quiet: bool = False) -> None:
        self._label = label
        self._quiet = quiet
        self._console = Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._started = self._last_line = time.monotonic()
        self._phase = ""

    def __enter__(self) -> Reporter:
        if self._console.is_terminal and not self._quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f} steps"),
                TextColumn("{task.fields[rate]}"),
                TextColumn("{task.fields[error]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(self._label, total=None, rate="", error="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, progress: Place) -> None:
        """Show where the run is."""
        if self._quiet:
            return
        now = time.monotonic()
        if progress.phase != self._phase:
            self._phase, self._phase_started, self._phase_steps = progress.phase, now, progress.steps
        elapsed = now - self._phase_started
        rate = (progress.steps - self._phase_steps) / elapsed if elapsed > 0 else 0.0
        error = (
            ""
            if progress.relative_error != progress.relative_error
            else (f"error {progress.relative_error:.2%}, R-hat {progress.rhat:.3f}")
        )
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=f"{self._label}: {progress.phase}",
                completed=progress.steps,
                total=progress.total,
                rate=f"{rate:,.0f} steps/s",
                error=error,
            )
        elif now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            left = f"of about {progress.total:,} " if progress.total else ""
            remaining = ""
            if progress.total and rate > 0:
                remaining = f", about {(progress.total - progress.steps) / rate:.0f} s left"
            self.note(
                f"{progress.phase} {progress.steps:,} {left}steps, {rate:,.0f} steps/s"
                f"{', ' + error if error else ''}{remaining}"
            )

    def note(self, text: str) -> None:
        """Show one line."""
        if not self._quiet:
            self._console.print(f"{self._label}: {text}", highlight=False, soft_wrap=True)
