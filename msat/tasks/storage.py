"""Data sets in and out: .npz with the four arrays in float64, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msat import checksums
from msat.errors import InputError
from msat.keys import file_digest
from msat.provenance import environment
from msat.store import UNREADABLE, atomic, check_distinct, check_writable, first_line
from msat.tasks.base import ARRAYS, Task, TaskSettings

MADE = "made"  # the array that says what a data set was made from


def save_task(path: Path, task: Task, made: Mapping[str, Any] | None = None) -> None:
    """Write a data set as .npz: the four arrays in float64, its provenance as a JSON string, and their checksum.

    Args:
        made: What it was made from (see `write_task`), another JSON string.
    """
    held: dict[str, Any] = {name: getattr(task, name) for name in ARRAYS}
    held |= {"provenance": json.dumps(dict(task.provenance))}
    held |= {MADE: json.dumps({"data_digest": task.digest(), **(made or {})})}
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **(held | {checksums.NAME: checksums.checksum(held)}))


def write_task(
    out: Path, settings: TaskSettings, make: Callable[[], Task], key: Mapping[str, Any], code: str
) -> list[str]:
    """Make a data set and write it with what it is made from, and return what its user must know of it.

    Args:
        settings: Of the task, which name its files.
        make: Returns the data set.
        key: See `msat.tasks.base.TaskSettings.key`.
        code: Digest of the code that draws.
    """
    check_writable(out)
    for file in settings.files():
        check_distinct(("the data file", Path(file)), ("--out", out))
    task = make()
    save_task(out, task, {"key": {**key, "files": file_digests(settings)}, "code": code, **environment()})
    left_out = task.provenance.get("left_out")
    return [f"left out columns of text: {', '.join(left_out)}"] if left_out else []


def file_digests(settings: TaskSettings) -> list[str]:
    """Return digests of the files that a task's data are made from, if they can ever change."""
    return [] if settings.fetched else [file_digest(path) for path in settings.files()]


def load_task(path: Path) -> Task:
    """Return the data set in a .npz file; one that states no checksum is the user's own.

    Raises:
        InputError: If the file is missing or unreadable, an array is missing, the data are not sound, or they are not
            as msat wrote them.
    """
    held = _read(path)
    if MADE in held or checksums.NAME in held:
        _check(path, held)
    for name in ARRAYS:
        if name not in held:
            raise InputError(f"{path}: array {name} is missing; needed are {', '.join(ARRAYS)}")
    try:
        provenance = json.loads(str(held.get("provenance", "{}")))
    except ValueError as error:
        raise InputError(f"{path}: not a readable .npz data file ({first_line(error)})") from None
    try:
        return Task(**{name: held[name] for name in ARRAYS}, provenance=provenance)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_made(path: Path, whole: bool = True) -> dict[str, Any]:
    """Return what a data set of msat's was made from, and its data_digest; see `save_task`.

    Args:
        whole: Whether to verify the checksum of all that the file holds; without it no array is read.

    Raises:
        InputError: If the file is missing or unreadable, states no checksum, or is not as msat wrote it.
    """
    held = _read(path, () if whole else (MADE, checksums.NAME))
    if whole or checksums.NAME not in held:
        _check(path, held)
    try:
        made: dict[str, Any] = json.loads(str(held[MADE]))
    except (KeyError, ValueError):
        raise InputError(f"{path}: does not say what it was made from; make it again") from None
    return made


def _read(path: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a .npz file holds of the arrays that msat knows, or of those named."""
    known = names or (*ARRAYS, "provenance", MADE, checksums.NAME)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in known if name in file}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable .npz data file ({first_line(error).split('. ')[0]})") from None


def _check(path: Path, held: Mapping[str, Any]) -> None:
    """Raise InputError unless a file is as it was written; strings are arrays of one in it."""
    content = {name: str(value) if name in ("provenance", MADE) else value for name, value in held.items()}
    stated = content.pop(checksums.NAME, None)
    checksums.check(str(path), stated, checksums.checksum(content))
