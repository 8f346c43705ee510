"""Tables in files, as CSV and parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from msat.errors import InputError
from msat.store import atomic


def write_table(table: pd.DataFrame, stem: Path) -> None:
    """Write a table as ``stem.csv`` (17 digits: it reads back to the same numbers) and ``stem.parquet``."""
    with atomic(stem.with_suffix(".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.17g")
    with atomic(stem.with_suffix(".parquet")) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table written by `write_table`, which must have the given columns.

    Raises:
        InputError: If the file is missing, unreadable, or another table.
    """
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable table ({str(error).splitlines()[0]})") from None
    for name in columns:
        if name not in table:
            raise InputError(f"{path}: column {name} is missing: not the table that is needed here")
    if "note" in table and path.suffix != ".parquet":  # an empty note is an empty string and not a missing value
        table["note"] = table["note"].astype(object).fillna("")
    return table
