"""Files in and out: data sets as .npz, results as NetCDF, all written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from msat.errors import InputError
from msat.tasks.base import Task

# what NumPy, zipfile and HDF5 raise on files that are damaged or something else
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    KeyError,
    TypeError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def check_writable(path: Path, option: str = "--out") -> None:
    """Raise InputError unless a file of this name can be written: asked before any work is done."""
    folder = path.parent
    probe = _temporary(path)
    try:
        if path.is_dir():
            raise InputError(f"{option} {path}: is a folder, must be a file name")
        if not folder.is_dir():
            raise InputError(f"{option} {path}: folder {folder} does not exist")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be written ({error.strerror})") from None


def check_not_input(data: Path, out: Path) -> None:
    """Raise InputError if a result would replace the data that it is made from."""
    if data.resolve() == out.resolve():
        raise InputError(f"--out {out}: is the data file; give the result another name")


def _temporary(path: Path) -> Path:
    # a name of its own for every writer: an orphaned job and its retry must not share one
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` if the block succeeds and is removed if not."""
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def keep_copy(path: Path, copy: Path) -> None:
    """Give a result a second name that outlives the first, as a hard link where the file system has them."""
    with atomic(copy) as temporary:
        try:
            os.link(path, temporary)
        except OSError:
            shutil.copyfile(path, temporary)


def save_task(path: Path, task: Task) -> None:
    """Write a data set as .npz: the four arrays in float64, and its provenance as a JSON string."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {name: getattr(task, name) for name in _ARRAYS}
        np.savez_compressed(file, **arrays, provenance=np.array(json.dumps(dict(task.provenance))))


def write_task(out: Path, files: Sequence[str], make: Callable[[], Task]) -> list[str]:
    """Make a data set from its files and write it, and return what its user must know of it."""
    check_writable(out)
    for file in files:
        check_not_input(Path(file), out)
    task = make()
    save_task(out, task)
    left_out = task.provenance.get("left_out")
    return [f"left out columns of text: {', '.join(left_out)}"] if left_out else []


def load_task(path: Path) -> Task:
    """Return the data set in a .npz file.

    Raises
    ------
    InputError
        If the file is missing or unreadable, an array is missing, or the data are not sound.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in _ARRAYS if name not in file]
            if missing:
                raise InputError(f"{path}: array {missing[0]} is missing; needed are {', '.join(_ARRAYS)}")
            arrays = {name: file[name] for name in _ARRAYS}
            provenance = json.loads(str(file["provenance"])) if "provenance" in file else {}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path}: not a readable .npz data file ({_first_line(error)})") from None
    try:
        return Task(**arrays, provenance=provenance)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def save_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a result as NetCDF 4."""
    encoding = {name: {"_FillValue": None} for name in dataset.variables}
    with atomic(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def load_dataset(path: Path, kind: str) -> xr.Dataset:
    """Return a result, loaded into memory.

    Parameters
    ----------
    kind
        "theory" or "langevin": what the file must hold.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or holds something else.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            dataset = file.load()
    except _UNREADABLE as error:
        raise InputError(f"{path}: not a readable NetCDF file ({_first_line(error)})") from None
    _check_kind(path, dataset.attrs, kind)
    return dataset


def load_attributes(path: Path, kind: str) -> dict[str, Any]:
    """Return a result's attributes without opening its arrays, ten times as fast; see `load_dataset`."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            # NetCDF stores a number as an array of one
            found = {
                name: np.asarray(value).item() if np.size(value) == 1 else value
                for name, value in file.attrs.items()
            }
    except _UNREADABLE as error:
        raise InputError(f"{path}: not a readable NetCDF file ({_first_line(error)})") from None
    _check_kind(path, found, kind)
    return found


def _check_kind(path: Path, found: Mapping[Any, Any], kind: str) -> None:
    held = found.get("kind") if "data_digest" in found else None
    if held != kind:
        raise InputError(f"{path}: holds {held or 'no msat result'}, must hold a {kind} result")


def attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as NetCDF attributes: None becomes the string "none", booleans become 0 or 1."""
    return {
        name: "none" if value is None else int(value) if isinstance(value, bool) else value
        for name, value in values.items()
    }
