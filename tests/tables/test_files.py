import pandas as pd
import pytest

from msat.errors import InputError
from msat.tables import rows
from msat.tables.files import read_table, write_table


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
