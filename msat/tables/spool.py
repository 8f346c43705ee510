"""A table that is longer than memory on its way to its files, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from msat.store import atomic

ROWS_HELD = 100_000  # rows of a table kept in memory before they go to a temporary file


class Spool:
    """The parts of one table on their way to a file; long ones wait on disk."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._held: list[pd.DataFrame] = []
        self._files: list[Path] = []
        self._schemas: list[pa.Schema] = []

    def append(self, part: pd.DataFrame) -> None:
        """Add rows; parts may differ in their columns."""
        if not len(part.columns):
            return
        self._held.append(part)
        if sum(map(len, self._held)) >= ROWS_HELD:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_pandas(pd.concat(self._held, ignore_index=True), preserve_index=False)
            self._held = []
            self._files.append(self._stem.with_suffix(f".{len(self._files)}"))
            self._schemas.append(table.schema.remove_metadata())
            pq.write_table(table, self._files[-1])

    def parts(self) -> Iterator[pa.Table]:
        """Yield the parts with one schema: the union of their columns in order of first appearance."""
        self._flush()
        if not self._files:
            return
        schema = pa.unify_schemas(self._schemas, promote_options="permissive")
        for path in self._files:
            part = pq.read_table(path)
            columns = [
                part[field.name].cast(field.type)
                if field.name in part.column_names
                else pa.nulls(len(part), field.type)
                for field in schema
            ]
            yield pa.table(columns, schema=schema)

    def whole(self) -> pd.DataFrame:
        """Return all rows."""
        parts = list(self.parts())
        return pa.concat_tables(parts).to_pandas() if parts else pd.DataFrame()

    def write(self, stack: ExitStack, stem: Path) -> None:
        """Write the table as CSV (17 digits) and parquet, part by part; both are renamed when the stack closes."""
        csv_path, parquet_path = (stack.enter_context(atomic(stem.with_suffix(s))) for s in (".csv", ".parquet"))
        writer = None
        for part in self.parts():
            if writer is None:
                writer = pq.ParquetWriter(parquet_path, part.schema)
            part.to_pandas().to_csv(csv_path, mode="a", header=not csv_path.exists(), index=False, float_format="%.17g")
            writer.write_table(part)
        if writer is None:  # a table without columns
            pd.DataFrame().to_csv(csv_path, index=False)
            pd.DataFrame().to_parquet(parquet_path, index=False)
        else:
            writer.close()
