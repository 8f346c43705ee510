"""A table that is longer than memory on its way to its files, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from msat.checksums import Columns
from msat.store import atomic
from msat.tables.files import metadata_of

ROWS_HELD = 100_000  # rows of a table kept in memory before they go to a temporary file


class Spool:
    """The parts of one table on their way to a file; long ones wait on disk."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._held: list[pd.DataFrame] = []
        self._files: list[Path] = []

    def append(self, part: pd.DataFrame) -> None:
        """Add rows; parts may differ in their columns."""
        if len(part.columns):
            self._held.append(part)
        if sum(map(len, self._held)) >= ROWS_HELD:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._files.append(self._stem.with_suffix(f".{len(self._files)}"))
            pd.concat(self._held, ignore_index=True).to_parquet(self._files[-1], index=False)
            self._held = []

    def schema(self) -> pa.Schema:
        """Return the union of the parts' columns in order of first appearance."""
        self._flush()
        schemas = [pq.read_schema(path).remove_metadata() for path in self._files]
        return pa.unify_schemas(schemas, promote_options="permissive") if schemas else pa.schema([])

    def parts(self) -> Iterator[pa.Table]:
        """Yield the parts with one schema; one without rows if there is none."""
        schema = self.schema()
        yield from (pq.read_table(path, schema=schema) for path in self._files)
        if not self._files:
            yield schema.empty_table()

    def whole(self) -> pd.DataFrame:
        """Return all rows."""
        table: pd.DataFrame = pa.concat_tables(self.parts()).to_pandas()
        return table

    def write(self, stack: ExitStack, stem: Path, made: Mapping[str, Any] | None = None) -> None:
        """Write the table as CSV (17 digits) and parquet, part by part; both are renamed when the stack closes.

        Args:
            made: See `msat.tables.files.write_table`.
        """
        csv_path, parquet_path = (stack.enter_context(atomic(stem.with_suffix(s))) for s in (".csv", ".parquet"))
        columns = Columns()
        with pq.ParquetWriter(parquet_path, self.schema()) as writer:
            for part in self.parts():
                writer.write_table(part)
                columns.update(part)
                rows = part.to_pandas()
                rows.to_csv(csv_path, mode="a", header=not csv_path.exists(), index=False, float_format="%.17g")
            writer.add_key_value_metadata(metadata_of(stem, columns, csv_path, made))
