import numpy as np
import pandas as pd
import pytest

import msat
from msat.errors import InputError
from msat.tables import rows as tables
from msat.tables.checks import check_table


@pytest.fixture(scope="module")
def results(small_task, small_network):
    theory = msat.solve(small_task, small_network, chi=[1.0, 2.0], seed=4)
    langevin = msat.train(small_task, small_network, seed=4, steps=600, chains=6)
    for dataset in (theory, langevin):
        dataset.attrs["label"] = "small"
    return theory, langevin


def test_compare_holds_the_z_scores(results, small_task):
    theory, langevin = results
    table = msat.compare(theory, langevin).set_index("level")
    y = small_task.y_train
    mean = langevin["mean_train"].to_numpy()[0]
    error = float(langevin["train_discrepancy_error"][0])
    for level in theory["level"].to_numpy():
        predicted = theory["mean_train"].sel(chi=2.0, level=level).to_numpy()
        if not theory["converged"].sel(chi=2.0, level=level):
            assert np.isnan(table.loc[level, "train_discrepancy_z"])
            continue
        expected = (y @ (y - mean) - y @ (y - predicted)) / len(y) / error
        assert table.loc[level, "train_discrepancy_z"] == pytest.approx(expected, rel=1e-9)
        z = (mean - predicted) / langevin["mean_train_error"].to_numpy()[0]
        assert table.loc[level, "chi2"] == pytest.approx(np.sum(z**2))
    assert (table["chi2_dof"] == 6).all()
    # eight quantities, chi-squared, and the worst of all
    assert tables.printed(table.reset_index()).count("exact") == 10
    for name in tables.COMPARED:
        row = table.loc["exact"]
        assert row[f"{name}_z"] == pytest.approx((row[f"{name}_langevin"] - row[name]) / row[f"{name}_error"]), (
            name
        )
    assert (table["jackknife_dof"] == 5).all()


def test_collected_tables(results, tmp_path):
    theory, langevin = results
    collected = tables.collect([theory], [langevin])
    assert set(collected) == set(tables.TABLES)
    assert len(collected["theory"]) == 12
    assert len(collected["langevin"]) == 1
    assert len(collected["samples"]) == 6 + 4
    assert list(collected["chains"]["start"]) == ["prior", "zero", "informed"] * 2
    for name, table in collected.items():
        assert set(table["experiment"]) == ({"small"} if len(table) else set())
        assert set(table["seed"]) == ({4} if len(table) else set())
        tables.write_table(table, tmp_path / name)
        csv, parquet = (tables.read_table(tmp_path / f"{name}.{suffix}") for suffix in ("csv", "parquet"))
        pd.testing.assert_frame_equal(csv, parquet, check_dtype=False, check_exact=True)
        pd.testing.assert_frame_equal(parquet, table)
    assert len(check_table(collected["comparison"])) == 6


def test_training_without_theory_is_refused(results):
    theory, langevin = results
    stranger = langevin.copy()
    stranger.attrs = langevin.attrs | {"seed": 5}
    with pytest.raises(InputError, match="no theory result for experiment 'small', seed 5"):
        tables.collect([theory], [stranger])


def test_no_test_set():
    task = msat.tasks.ising(n_train=4, n_test=0, dimension=5)
    network = msat.Network(width=5)
    row = msat.compare(msat.solve(task, network), msat.train(task, network, steps=64)).iloc[0]
    assert np.isnan(row["test_discrepancy"])
    assert np.isfinite(row["train_discrepancy_z"])


def test_unreadable_tables(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        tables.read_table(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_text("text")
    with pytest.raises(InputError, match="not a readable table"):
        tables.read_table(tmp_path / "bad.parquet")
