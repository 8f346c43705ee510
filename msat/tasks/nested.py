"""Data sets of several sizes of which the smaller ones are the first rows of the largest, with the same test data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from msat.errors import InputError
from msat.tasks.base import SeedSettings, Task, TaskSettings


class DrawSettings(SeedSettings):
    """How the training samples of a task that has n_train are drawn: no property of the task itself."""

    n_drawn: int | None = Field(
        None,
        ge=1,
        description="Training samples that are drawn, of which the first n_train are kept: data sets of several "
        "n_train are then nested, with the same test data. By default n_train.",
    )


def check(settings: TaskSettings, n_train: int | list[int] | None, n_drawn: int | None) -> None:
    """Raise InputError unless data sets of these numbers of samples can be the first rows of one.

    Args:
        n_train: One number, or several; None where the task has none.
        n_drawn: Samples drawn; None for as many as the largest.
    """
    several = isinstance(n_train, list)
    key, value = ("n_train", n_train) if several else ("n_drawn", n_drawn)
    if not several and n_drawn is None:
        return
    if not settings.draws_samples:
        column = getattr(settings, "split", None)
        raise InputError(
            f"{key} = {value}: split = {column!r} says which rows are training samples; "
            + ("n_train must be one number, or left out" if several else "leave it out")
        )
    largest = max(n_train) if isinstance(n_train, list) else n_train
    if n_drawn is not None and largest is not None and largest > n_drawn:
        raise InputError(f"n_drawn = {n_drawn}: must be at least n_train = {largest}")


def make(task: Any, settings: TaskSettings, seed: int, n_drawn: int | None = None) -> Task:
    """Return the data set of a task's module; with `n_drawn` the first n_train rows of one of so many.

    What a task does with all of its training samples it does with all that are drawn: labels are balanced, pixels and
    columns centred and scaled over these, and the first rows are so on average only.

    Raises:
        InputError: If fewer are drawn than kept, the data themselves say which samples train, or they cannot be made.
    """
    n_train = getattr(settings, "n_train", None)
    check(settings, n_train, n_drawn)
    if n_drawn is None:
        made: Task = task.make(settings, seed)
        return made
    whole: Task = task.make(settings.model_copy(update={"n_train": n_drawn}), seed)
    about = {**whole.provenance, "n_train": n_train, "n_drawn": n_drawn}
    return replace(whole, x_train=whole.x_train[:n_train], y_train=whole.y_train[:n_train], provenance=about)
