"""The evidence ladder: against the exact evidence, and its errors against repeated noise."""

import numpy as np
import pandas as pd
import pytest

import msat
from msat.levels import EXACT, LAPLACE, LEVELS, RESCALING, TREE_LEVEL
from msat.tables.evidence import EVIDENCE, along, evidence_tables, integrate
from msat.tables.rows import langevin_table, theory_table
from tests.conftest import Z_LIMIT


def _exact(task, network, scales):
    at = msat.solve(task, network, scales, [EXACT.name]).isel(level=0)
    return tuple(at[name].to_numpy() for name in ("log_evidence", "evidence_slope", "evidence_bend"))


@pytest.mark.parametrize(
    ("scales", "limit"),
    [([1.0, 10.0, 100.0], 0.4), ([1, 4.64, 21.5, 100], 0.05), ([1, 2.15, 4.64, 10, 21.5, 46.4, 100], 0.005)],
)
def test_integration_error_on_the_exact_solution(paper_task, paper_network, scales, limit):
    """The stated errors of interpolation between scales a factor of 10, 4.64 and 2.15 apart."""
    chi = np.array(scales, dtype=float)
    log_evidence, slope, bend = _exact(paper_task, paper_network, chi)
    curve = integrate(chi, paper_task.n_train, slope, bend)
    np.testing.assert_allclose(curve.change, log_evidence - log_evidence[0], atol=limit)
    assert np.all(curve.error == 0)
    # the maximum is where the train discrepancy equals kappa
    best = float(np.exp(curve.log_best))
    (height,), (at_best,), _ = _exact(paper_task, paper_network, [best])
    assert abs(at_best) < 0.05 * paper_task.n_train / 2
    assert curve.best_change == pytest.approx(height - log_evidence[0], abs=limit)


def test_errors_are_those_of_repeated_noise(paper_task, paper_network):
    """Slopes and bends with correlated Gaussian errors: 1000 draws against the linear propagation.

    A standard deviation of n draws has a relative error of 1/sqrt(2 n); the limit is five of them plus one per
    cent for what is not linear.
    """
    chi = np.array([1.0, 3.0, 10.0, 30.0])
    _, slope, bend = _exact(paper_task, paper_network, chi)
    rng, n = np.random.default_rng(0), 1000
    slope_error, bend_error = 0.004 * np.abs(slope), 0.006 * np.abs(bend)
    rho = np.array([0.5, -0.3, 0.8, 0.0])
    truth = integrate(chi, 80, slope, bend, slope_error, bend_error, rho)
    curves = []
    for _ in range(n):
        first = rng.normal(size=4)
        second = rho * first + np.sqrt(1 - rho**2) * rng.normal(size=4)
        drawn = integrate(chi, 80, slope + slope_error * first, bend + bend_error * second)
        curves.append([*drawn.change[1:], drawn.log_best, drawn.best_change])
    spread = np.std(curves, axis=0)
    expected = [*truth.error[1:], truth.log_best_error, truth.best_error]
    np.testing.assert_allclose(spread, expected, rtol=0.01 + Z_LIMIT / np.sqrt(2 * n))


def test_what_has_no_maximum_says_why(paper_task, paper_network):
    chi = np.array([10.0, 30.0])
    _, slope, bend = _exact(paper_task, paper_network, chi)
    curve = integrate(chi, 80, slope, bend)
    assert (curve.note, np.isnan(curve.log_best)) == ("the maximum is at the lowest scale", True)
    chi = np.array([0.1, 1.0])
    _, slope, bend = _exact(paper_task, paper_network, chi)
    assert integrate(chi, 80, slope, bend).note == "the maximum is at the highest scale"
    assert integrate(chi[:1], 80, slope[:1], bend[:1]).note == "one scale only"
    broken = integrate(chi, 80, np.array([np.nan, 1.0]), bend)
    assert "no solution" in broken.note
    assert np.isnan(broken.change).all()


def test_tables_hold_theory_and_training(small_task, small_network):
    scales = [0.5, 1.0, 2.0, 4.0]
    theory = msat.solve(small_task, small_network, scales, seed=2)
    trained = [msat.train(small_task, small_network.at(chi), seed=2, steps=1500, chains=16) for chi in scales]
    predicted = theory_table(theory)
    measured = pd.concat(map(langevin_table, trained))
    tables = evidence_tables(predicted, measured)
    evidence, maximum = tables["evidence"], tables["evidence_maximum"]
    assert set(evidence["source"]) == set(LEVELS) - {TREE_LEVEL.name} | {"langevin"}
    assert list(evidence.columns) == EVIDENCE
    exact = evidence[evidence["source"] == EXACT.name].set_index("chi")
    absolute = predicted[predicted["level"] == EXACT.name].set_index("chi")["log_evidence"]
    np.testing.assert_allclose(exact["log_evidence"], absolute)
    np.testing.assert_allclose(exact["log_evidence_change"], absolute - absolute.iloc[0])
    differences = evidence.set_index(["source", "chi"])["difference_from_exact"]
    assert (differences[EXACT.name] == 0).all()
    laplace = predicted[predicted["level"] == LAPLACE.name].set_index("chi")["log_evidence"]
    np.testing.assert_allclose(differences[LAPLACE.name], laplace - absolute)
    assert differences["langevin"].isna().all()
    without = evidence_tables(predicted[predicted["level"] != EXACT.name], measured)["evidence"]
    assert without["difference_from_exact"].isna().all()
    langevin = evidence[evidence["source"] == "langevin"].set_index("chi")
    assert langevin["log_evidence"].isna().all()
    z = (langevin["log_evidence_change"] - exact["log_evidence_change"])[1:] / langevin["error"][1:]
    assert z.abs().max() < Z_LIMIT
    best = maximum.set_index("source")
    if np.isfinite(best.loc[EXACT.name, "chi_best"]):
        difference = best.loc["langevin", "chi_best"] - best.loc[EXACT.name, "chi_best"]
        assert abs(difference) < Z_LIMIT * best.loc["langevin", "chi_best_error"]


def test_the_curve_between_scales(paper_task, paper_network):
    """Through the table's values, and within the interpolation's error of the exact evidence between them."""
    theory = theory_table(msat.solve(paper_task, paper_network, [1.0, 4.64, 21.5, 100.0], [EXACT.name, RESCALING.name]))
    theory["experiment"] = "a"
    table = evidence_tables(theory, theory.iloc[:0].assign(evidence_slope_error=[]))["evidence"]
    for source in (EXACT.name, RESCALING.name):
        rows = table[table["source"] == source]
        np.testing.assert_allclose(along(rows, rows["chi"].to_numpy()), rows["log_evidence_change"], atol=1e-9)
    rows = table[table["source"] == EXACT.name]
    between = np.array([1.7, 3.0, 10.0, 50.0])
    log_evidence, _, _ = _exact(paper_task, paper_network, [1.0, *between])
    np.testing.assert_allclose(along(rows, between), log_evidence[1:] - log_evidence[0], atol=0.05)


def test_a_level_of_another_version_is_taken_as_it_is(paper_task, paper_network):
    theory = theory_table(msat.solve(paper_task, paper_network, [1.0, 10.0, 100.0], [EXACT.name]))
    found = [
        evidence_tables(theory.assign(level=name), theory.iloc[:0])["evidence"].drop(
            columns=["source", "difference_from_exact"]
        )
        for name in (EXACT.name, "unheard_of")
    ]
    pd.testing.assert_frame_equal(*found)
