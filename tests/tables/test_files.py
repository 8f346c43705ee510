from contextlib import ExitStack

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from msat import checksums
from msat.errors import InputError
from msat.tables import rows, spool
from msat.tables.files import read_made, read_table, write_table


def test_files_keep_every_digit(results, tmp_path):
    theory, langevin = results
    tables = {
        "theory": rows.theory_table(theory),
        "langevin": rows.langevin_table(langevin),
        "samples": rows.samples_table(theory, langevin),
        "components": rows.components_table(theory),
    }
    assert tables["components"].empty
    for name, table in tables.items():
        write_table(table, tmp_path / name)
        csv, parquet = (read_table(tmp_path / f"{name}.{suffix}") for suffix in ("csv", "parquet"))
        pd.testing.assert_frame_equal(csv, parquet, check_dtype=False, check_exact=True)
        pd.testing.assert_frame_equal(parquet, table)


def test_unreadable_tables(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_text("text")
    with pytest.raises(InputError, match="not a readable table"):
        read_table(tmp_path / "bad.parquet")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="column chi is missing"):
        read_table(tmp_path / "other.csv", ("chi",))


@pytest.fixture
def table() -> pd.DataFrame:
    values = {
        "experiment": ["a", "a", "bc"],
        "seed": [0, 1, 2],
        "chi": [1.0, np.nan, -0.0],
        "mixed": [True, False, True],
    }
    return pd.DataFrame({**values, "note": ["", "ü", None], "output": [None, 1, 2], "empty": [None, None, None]})


def _of_columns(path) -> str:
    columns = checksums.Columns()
    columns.update(pq.read_table(path))
    return columns.checksum()


def test_the_checksum_does_not_depend_on_how_a_table_is_cut(table, tmp_path, monkeypatch):
    write_table(table, tmp_path / "whole", {"code": "1"})
    whole = read_made(tmp_path / "whole.parquet")
    assert (whole["kind"], whole["code"]) == ("whole", "1")
    for rows_held in (1, 2, 100):
        monkeypatch.setattr(spool, "ROWS_HELD", rows_held)
        parts = spool.Spool(tmp_path / f"scratch-{rows_held}")
        for start in range(len(table)):
            parts.append(table.iloc[start : start + 1])
        with ExitStack() as stack:
            parts.write(stack, tmp_path / "cut")
        assert read_made(tmp_path / "cut.parquet")["kind"] == "cut"
        assert _of_columns(tmp_path / "cut.parquet") == _of_columns(tmp_path / "whole.parquet")
    again = pq.read_table(tmp_path / "whole.parquet")
    pq.write_table(again, tmp_path / "again.parquet", row_group_size=1, compression="gzip")
    (tmp_path / "again.csv").write_bytes((tmp_path / "whole.csv").read_bytes())
    assert read_made(tmp_path / "again.parquet") == whole


def test_a_table_of_which_one_entry_differs_is_refused(table, tmp_path):
    path = tmp_path / "table.parquet"
    write_table(table, path.with_suffix(""))
    metadata = pq.read_schema(path).metadata
    changes = {"experiment": "b", "seed": 7, "chi": 0.5, "mixed": False, "note": "u", "output": 0}
    for name, value in changes.items():
        other = table.copy()
        other.loc[2, name] = value
        altered = pa.Table.from_pandas(other, preserve_index=False).cast(pq.read_schema(path))
        pq.write_table(altered.replace_schema_metadata(metadata), path)
        for read in (read_table, read_made):
            with pytest.raises(InputError, match=r"table.parquet: altered or damaged"):
                read(path)
    told = metadata[b"msat"].replace(b'"kind": "table"', b'"kind": "other"')
    whole = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(whole.replace_schema_metadata({**metadata, b"msat": told}), path)
    with pytest.raises(InputError, match="altered or damaged"):
        read_table(path)
    other = pa.Table.from_pandas(table.rename(columns={"seed": "dees"}), preserve_index=False)
    pq.write_table(other.replace_schema_metadata(metadata), path)
    with pytest.raises(InputError, match="altered or damaged"):
        read_table(path)
    table.to_parquet(path, index=False)  # as of before there were checksums
    assert len(read_table(path)) == 3
    with pytest.raises(InputError, match="has no checksum"):
        read_made(path)
    write_table(table, path.with_suffix(""))
    text = path.with_suffix(".csv").read_text()
    path.with_suffix(".csv").write_text(text.replace("bc", "bd"))
    with pytest.raises(InputError, match=r"table.csv: altered or damaged"):
        read_made(path)
    path.with_suffix(".csv").unlink()
    with pytest.raises(InputError, match=r"table.csv: no such file"):
        read_made(path)
