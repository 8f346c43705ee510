"""Checksums of what files hold: the same in any layout of a file, another where one bit of its content differs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from msat.errors import InputError

if TYPE_CHECKING:  # slow to load, and whoever has a result has it loaded
    import h5py
    import pyarrow as pa
    import xarray as xr

NAME = "checksum"  # what files call it: an attribute of results, an array of data sets, an entry of states
_TEXT = "OUST"  # kinds of arrays that hold strings
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
# attributes that are the file's affair, and the checksum
_OWN = {NAME, "CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "coordinates"}
_OWN |= {"_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties"}
_DIGITS = 32  # hexadecimal: 128 bits


def checksum(content: Any) -> str:
    """Return a hash of nested mappings and lists of numbers, strings, arrays and tensors, 32 hexadecimal digits.

    The order of a mapping does not count; types of numbers, shapes and every bit of an array do.
    """
    sha = hashlib.sha256()
    _feed(sha.update, content)
    return sha.hexdigest()[:_DIGITS]


def _feed(update: Any, value: Any) -> None:
    """Hand a value's bytes to a hash, each with what it is and how long, so that no two values are alike."""
    if hasattr(value, "detach"):  # a tensor, whatever device it is on
        value = value.detach().cpu().numpy()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        update(f"mapping {len(value)}\n".encode())
        for name in sorted(value, key=str):
            _feed(update, str(name))
            _feed(update, value[name])
    elif isinstance(value, list | tuple):
        update(f"list {len(value)}\n".encode())
        for item in value:
            _feed(update, item)
    elif isinstance(value, np.ndarray) and value.dtype.kind in _TEXT:
        update(f"text {value.shape}\n".encode())
        for item in value.ravel():
            _feed(update, str(item))
    elif isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        update(f"array {array.dtype.str} {value.shape}\n".encode())
        update(array.reshape(-1).view(np.uint8))
    else:
        text = value if isinstance(value, bytes) else (value if isinstance(value, str) else repr(value)).encode()
        update(f"{type(value).__name__} {len(text)}\n".encode())
        update(text)


def of_dataset(dataset: xr.Dataset) -> str:
    """Return the checksum of a result: variables and coordinates, and all attributes but the checksum itself."""
    return _of_result(
        {str(name): (item.dims, item.to_numpy(), item.attrs) for name, item in dataset.variables.items()}, dataset.attrs
    )


def of_file(file: h5py.File) -> str:
    """Return the checksum of a result in an open NetCDF file: that of `of_dataset`, at a tenth of its time."""
    from h5py import check_string_dtype

    variables = {}
    for name, item in file.items():
        if item.attrs.get("NAME", b"").startswith(_NO_VARIABLE):
            continue
        values = item.asstr()[()] if check_string_dtype(item.dtype) else item[()]
        axes = [scales[0].name.rpartition("/")[2] if len(scales) else name for scales in item.dims]
        variables[str(name)] = (axes, np.asarray(values), item.attrs)
    return _of_result(variables, file.attrs)


def _of_result(variables: Mapping[str, Any], attributes: Mapping[Any, Any]) -> str:
    found = {
        name: [list(map(str, axes)), values, _attributes(known)] for name, (axes, values, known) in variables.items()
    }
    return checksum({"variables": found, "attributes": _attributes(attributes)})


def _attributes(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes as lists: a file has a list as an array, and as a number where it has one entry."""
    return {str(name): np.atleast_1d(value).tolist() for name, value in values.items() if name not in _OWN}


class Columns:
    """The checksum of a table that comes in parts: the same however it is cut."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, list[Any]]] = {}  # type, and hashes of missing entries, lengths and values

    def update(self, part: pa.Table) -> None:
        """Add rows; all parts have the same columns."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for name, column in zip(part.column_names, part.columns, strict=True):
            kind = str(column.type).removeprefix("large_")
            missing, lengths, values = self._known.setdefault(name, (kind, [hashlib.sha256() for _ in range(3)]))[1]
            for chunk in column.chunks:
                missing.update(np.asarray(chunk.is_null()).view(np.uint8))
                if kind == "string":
                    lengths.update(np.ascontiguousarray(pc.fill_null(pc.binary_length(chunk), 0), dtype=np.int64))
                    values.update("".join(chunk.drop_null().to_pylist()).encode())
                elif kind != "null":
                    plain = chunk.cast(pa.uint8()) if kind == "bool" else chunk
                    values.update(np.ascontiguousarray(pc.fill_null(plain, 0)))

    def checksum(self) -> str:
        """Return the checksum of all rows so far: names, types, order and values of the columns."""
        return checksum(
            [[name, kind, [sha.digest() for sha in hashes]] for name, (kind, hashes) in self._known.items()]
        )


def check(where: str, stated: Any, content: str) -> None:
    """Raise InputError unless a file states the checksum of its content.

    Args:
        where: What the message starts with: the file.
        stated: The checksum in the file; None where it has none.
        content: The checksum of what was read.
    """
    if stated is None:
        raise InputError(f"{where}: has no checksum: made by an older version of msat, or not by msat; make it again")
    if str(stated) != content:
        raise InputError(
            f"{where}: altered or damaged since msat wrote it (checksum {stated}, that of its content {content}); "
            "remove it and make it again"
        )
