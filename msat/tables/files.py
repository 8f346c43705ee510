"""Tables in files, as CSV and parquet, which says what both were made from and holds their checksums."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from msat import checksums
from msat.errors import InputError
from msat.keys import file_digest
from msat.store import UNREADABLE, atomic, first_line

_MADE = b"msat"  # the entry of a parquet file's metadata
CSV = "csv_digest"  # what of it is of the CSV file beside


def write_table(table: pd.DataFrame, stem: Path, made: Mapping[str, Any] | None = None) -> None:
    """Write a table as ``stem.csv`` (17 digits: it reads back to the same numbers) and ``stem.parquet``.

    Args:
        made: What it was made from, for `read_made`.
    """
    whole, columns = pa.Table.from_pandas(table, preserve_index=False), checksums.Columns()
    columns.update(whole)
    with atomic(stem.with_suffix(".csv")) as csv, atomic(stem.with_suffix(".parquet")) as parquet:
        table.to_csv(csv, index=False, float_format="%.17g")
        metadata = (whole.schema.metadata or {}) | metadata_of(stem, columns, csv, made)
        pq.write_table(whole.replace_schema_metadata(metadata), parquet)


def metadata_of(
    stem: Path, columns: checksums.Columns, csv: Path, made: Mapping[str, Any] | None = None
) -> dict[bytes, bytes]:
    """Return what the parquet file of a table says of it, as its metadata."""
    known = {"kind": stem.name, **(made or {}), CSV: file_digest(str(csv))}
    known = json.loads(json.dumps(known))  # as it is read
    return {_MADE: json.dumps({**known, checksums.NAME: _checksum(columns, known)}).encode()}


def _checksum(columns: checksums.Columns, made: Mapping[str, Any]) -> str:
    about = {name: value for name, value in made.items() if name != checksums.NAME}
    return checksums.checksum([columns.checksum(), about])


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table written by `write_table`, which must have the given columns.

    A parquet file without a checksum is taken as it is: it is the user's own, or of an older version.

    Raises:
        InputError: If the file is missing, unreadable, another table, or was altered.
    """
    try:
        if path.suffix == ".parquet":
            _check(path, _made(path))
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable table ({str(error).splitlines()[0]})") from None
    for name in columns:
        if name not in table:
            raise InputError(f"{path}: column {name} is missing: not the table that is needed here")
    if "note" in table and path.suffix != ".parquet":  # an empty note is an empty string and not a missing value
        table["note"] = table["note"].astype(object).fillna("")
    return table


def read_made(path: Path) -> dict[str, Any]:
    """Return what a table was made from, of its parquet file, and verify it and the CSV file beside it.

    Raises:
        InputError: If one is missing or unreadable, states no checksum, or is not as msat wrote it.
    """
    csv = path.with_suffix(".csv")
    for file in (path, csv):
        if not file.is_file():
            raise InputError(f"{file}: no such file")
    try:
        made = _made(path)
        _check(path, made, required=True)
        if made[CSV] != file_digest(str(csv)):
            raise InputError(f"{csv}: altered or damaged since msat wrote it; remove it and make it again")
    except UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a readable table ({first_line(error)})") from None
    return made


def metadata(path: Path) -> dict[str, Any]:
    """Return what a parquet file says of itself, unverified.

    Raises:
        InputError: If the file is missing or unreadable, or none of msat's.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        made = _made(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable table ({first_line(error)})") from None
    checksums.check(str(path), made.get(checksums.NAME), made.get(checksums.NAME, ""))
    return made


def _made(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((pq.read_metadata(path).metadata or {}).get(_MADE, b"{}"))
    return found


def _check(path: Path, made: Mapping[str, Any], required: bool = False) -> None:
    """Raise InputError unless a parquet file's rows, and what it says of them, are as they were written."""
    if required or checksums.NAME in made:
        columns = checksums.Columns()
        columns.update(pq.read_table(path))
        checksums.check(str(path), made.get(checksums.NAME), _checksum(columns, made))
