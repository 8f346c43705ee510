"""Data sets in and out: .npz with the four arrays in float64, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msat.errors import InputError
from msat.store import UNREADABLE, atomic, check_distinct, check_writable, first_line
from msat.tasks.base import ARRAYS, Task


def save_task(path: Path, task: Task) -> None:
    """Write a data set as .npz: the four arrays in float64, and its provenance as a JSON string."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {name: getattr(task, name) for name in ARRAYS}
        np.savez_compressed(file, **arrays, provenance=np.array(json.dumps(dict(task.provenance))))


def write_task(out: Path, files: Sequence[str], make: Callable[[], Task]) -> list[str]:
    """Make a data set from its files and write it, and return what its user must know of it."""
    check_writable(out)
    for file in files:
        check_distinct(("the data file", Path(file)), ("--out", out))
    task = make()
    save_task(out, task)
    left_out = task.provenance.get("left_out")
    return [f"left out columns of text: {', '.join(left_out)}"] if left_out else []


def load_task(path: Path) -> Task:
    """Return the data set in a .npz file.

    Raises:
        InputError: If the file is missing or unreadable, an array is missing, or the data are not sound.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ARRAYS if name in file}
            provenance = json.loads(str(file["provenance"])) if "provenance" in file else {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable .npz data file ({first_line(error).split('. ')[0]})") from None
    for name in ARRAYS:
        if name not in arrays:
            raise InputError(f"{path}: array {name} is missing; needed are {', '.join(ARRAYS)}")
    try:
        return Task(**arrays, provenance=provenance)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
