import numpy as np
import pytest
from scipy import stats

import msat
from msat.levels import EXACT
from msat.observables.registry import COMPARED, of_outputs
from msat.tables.checks import check_table, disagreements, summary
from msat.tables.compare import STEP_BIAS, compare, compare_steps, normal_score, printed, worst_score, z_score


def test_compare_holds_the_z_scores(results, small_task):
    theory, langevin = results
    table = compare(theory, langevin).set_index("level")
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
    # every printed observable, chi-squared, and the worst of all
    count = sum(observable.printed for observable in of_outputs(COMPARED, several=False))
    assert count == 8
    assert printed(table.reset_index()).count(EXACT.name) == count + 2
    row = table.loc[EXACT.name]
    for observable in of_outputs(COMPARED, several=False):
        name = observable.name
        z = (row[f"{name}_langevin"] - row[name]) / row[f"{name}_error"]
        assert row[f"{name}_z"] == pytest.approx(z), name
    assert (table["jackknife_dof"] == 5).all()


def test_the_bias_of_a_step_is_a_row_of_the_checks(results, small_task, small_network):
    """Row `step_bias`: the measured bias over its error, relative for the train discrepancy; it fails no check."""
    settings = {"sampler": "underdamped", "steps": 512, "chains": 8, "seed": 4}
    trained = msat.train(small_task, small_network, **settings)
    at = trained.isel(chi=0)
    table = compare_steps(trained)
    assert table["level"].tolist() == [STEP_BIAS]
    assert table["measured_by"].tolist() == ["underdamped"]
    row = check_table(table).iloc[0]
    known = [item.name for item in COMPARED if f"{item.name}_step_bias" in trained]
    assert len(known) >= 6
    for name in known:
        bias, error = at[f"{name}_step_bias"].item(), at[f"{name}_step_bias_error"].item()
        assert row[f"{name}_z"] == pytest.approx(bias / error, rel=1e-6), name
        assert table[f"{name}_langevin"][0] - table[name][0] == pytest.approx(bias)
    assert np.isnan(row["covariance_outlier_z"])  # a jackknife's: no series at half the step
    relative = abs(at["train_discrepancy_step_bias"].item() / at["train_discrepancy"].item())
    assert row["max_relative_difference"] == pytest.approx(relative)
    assert row["worst_observable"] in known
    assert np.isnan(row["chi2_per_dof"])
    shown = summary(check_table(table))
    assert f"{STEP_BIAS} " in shown
    assert disagreements(check_table(table), 0.99) == []
    assert compare_steps(results[1]).empty


def test_no_test_set():
    task = msat.tasks.ising(n_train=4, n_test=0, dimension=5)
    network = msat.Network(width=5)
    row = compare(msat.solve(task, network), msat.train(task, network, steps=64)).iloc[0]
    assert np.isnan(row["test_discrepancy"])
    assert np.isfinite(row["train_discrepancy_z"])


def test_scores():
    assert z_score(1.2, 1.0, 0.1) == pytest.approx(2)
    assert z_score(1.0, 1.0 + 1e-15, 0.0) == 0
    assert z_score(1.1, 1.0, 0.0) == np.inf
    assert normal_score(2.0, np.inf) == 2.0
    for z in (-6.0, 0.1, 3.0):
        score = normal_score(z, 7)
        assert np.sign(score) == np.sign(z)
        assert stats.norm.sf(abs(score)) == pytest.approx(stats.t.sf(abs(z), 7))
    assert abs(normal_score(1e9, 15)) < 1e9
    assert worst_score({"a": 1.0, "b": -3.0, "c": np.nan}) == (-3.0, "b")
    assert worst_score({"a": np.nan})[1] == "none"
