"""Files in and out, all written whole or not at all; results as NetCDF."""

from __future__ import annotations

import os
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from msat import checksums
from msat.errors import InputError

if TYPE_CHECKING:  # loaded where NetCDF is read or written: checks and most figures only need tables
    import xarray as xr

# what NumPy, zipfile and HDF5 raise on files that are damaged or something else
UNREADABLE: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    LookupError,
    TypeError,
    RuntimeError,
    MemoryError,
)
UNREADABLE += (zipfile.BadZipFile, zlib.error)


def check_writable(path: Path, option: str = "--out") -> None:
    """Raise InputError unless a file of this name can be written: asked before any work is done."""
    folder, probe = path.parent, _temporary(path)
    try:
        if path.is_dir():
            raise InputError(f"{option} {path}: is a folder, must be a file name")
        if not folder.is_dir():
            raise InputError(f"{option} {path}: folder {folder} does not exist")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be written ({error.strerror})") from None


def check_distinct(*files: tuple[str, Path | None]) -> None:
    """Raise InputError if two files of a command are one, through links as well: the second would replace the first.

    Args:
        files: Each by what it is ("--out", "the data file"), what is read first; None for one that is not asked for.
    """
    known: dict[Path, str] = {}
    for name, path in files:
        if path is None:
            continue
        try:
            place = path.resolve()
        except (OSError, RuntimeError):  # a loop of links
            raise InputError(f"{name} {path}: is a link that leads nowhere") from None
        if place in known:
            raise InputError(f"{name} {path}: is {known[place]} too; every file of a command needs a name of its own")
        known[place] = name


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


def first_line(error: Exception) -> str:
    """Return an error's message in one line."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def save_dataset(path: Path, dataset: xr.Dataset) -> None:
    """Write a result as NetCDF 4, with the checksum of its content."""
    dataset = dataset.assign_attrs({checksums.NAME: checksums.of_dataset(dataset)})
    encoding = {name: {"_FillValue": None} for name in dataset.variables}
    with atomic(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def load_dataset(path: Path, kind: str) -> xr.Dataset:
    """Return a result, loaded into memory.

    Args:
        kind: "theory" or "langevin": what the file must hold.

    Raises:
        InputError: If the file is missing, unreadable, holds something else, or is not as it was written.
    """
    import xarray as xr  # slow, see above

    with _readable(path), xr.open_dataset(path, engine="h5netcdf") as file:
        dataset = file.load()
    _check_kind(path, dataset.attrs, kind)
    checksums.check(str(path), dataset.attrs.get(checksums.NAME), checksums.of_dataset(dataset))
    return dataset


def load_attributes(path: Path, kind: str = "", verified: bool = False) -> dict[str, Any]:
    """Return a result's attributes, its sizes `n_train` and `n_outputs`, and of a theory `chi` and `levels`.

    Without a kind the result may be of any.

    Its arrays are not read, which is a hundred times as fast as `load_dataset`; if they are to be verified, ten times.

    Raises:
        InputError: See `load_dataset`; of a changed content only if it is verified.
    """
    import h5py  # slow, see above

    with _readable(path), h5py.File(path, "r") as file:
        # NetCDF stores a number as an array of one
        found = {k: np.asarray(value).item() if np.size(value) == 1 else value for k, value in file.attrs.items()}
        shape: tuple[int, ...] = file["y_train"].shape if "y_train" in file else (0,)
        if found.get("kind") == "theory" and "level" in file:
            found |= {"chi": file["chi"][()], "levels": file["level"].asstr()[()].tolist()}
        content = checksums.of_file(file) if verified else ""
    _check_kind(path, found, kind)
    if verified or checksums.NAME not in found:
        checksums.check(str(path), found.get(checksums.NAME), content)
    return found | {"n_train": shape[0], "n_outputs": shape[1] if len(shape) > 1 else 1}


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise InputError where a NetCDF file is missing or cannot be read."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        yield
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable NetCDF file ({first_line(error)})") from None


def _check_kind(path: Path, found: Mapping[Any, Any], kind: str) -> None:
    held = found.get("kind") if "data_digest" in found else None
    if held != kind and (kind or not held):
        raise InputError(f"{path}: holds {held or 'no msat result'}, must hold a {kind or 'theory or langevin'} result")


def attributes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as NetCDF attributes: None becomes the string "none", booleans become 0 or 1; lists stay."""
    plain = {name: int(value) if isinstance(value, bool) else value for name, value in values.items()}
    return {name: "none" if value is None else value for name, value in plain.items()}
