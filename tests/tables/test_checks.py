"""The checks: right false-alarm rate under agreement, and an alarm when something is wrong."""

import numpy as np
import pandas as pd
import pytest

from msat.levels import EXACT, LAPLACE, ONE_LOOP
from msat.observables.registry import COMPARED
from msat.tables.checks import POOLED, check_table, disagreements, shortfalls, summary, unconverged, verdict
from msat.tables.compare import REFERENCE

P = 40
DOF = 15


def _comparison(rng, shift=0.0, shift_mean=0.0, scales=7, seeds=3, rho=0.5):
    """Rows of a made-up comparison in which `exact` is right but for shifts in units of standard errors.

    The errors of the mean outputs are correlated, R = (1 - rho) I + rho 11^T.
    """
    R = (1 - rho) * np.eye(P) + rho
    factor = np.linalg.cholesky(R)
    rows = []
    for seed in range(seeds):
        for chi in range(scales):
            row = {"experiment": "a", "seed": seed, "chi": 1.0 + chi, "gamma": 0.0, "level": EXACT.name, "n_train": 80}
            row["measured_by"] = "langevin"
            row |= {"converged": True, "mixed": True, "target_met": True, "rhat_max": 1.0, "jackknife_dof": DOF}
            for observable in COMPARED:
                name = observable.name
                # an error from leaving out one of 16 chains is itself uncertain
                known = np.sqrt(rng.chisquare(DOF) / DOF) if observable.jackknifed else 1.0
                row |= {name: 1.0, f"{name}_error": 0.01 * known}
                row[f"{name}_langevin"] = 1.0 + 0.01 * (rng.normal() + shift)
            z = factor @ rng.normal(size=P) + shift_mean
            row |= {"chi2": z @ z, "chi2_dof": P, "chi2_variance": 2 * np.sum(R**2)}
            rows.append(row)
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_p_values_are_right_under_agreement():
    """Counts of p below 1 and 5 per cent over many made-up runs, within 5 standard errors (binomial)."""
    rng = np.random.default_rng(0)
    checks = pd.concat([check_table(_comparison(rng)) for _ in range(300)])
    n = len(checks)
    first = next(observable.name for observable in COMPARED if observable.jackknifed)
    for name in (*(observable.name for observable in COMPARED[:2]), first, "chi2"):
        for level in (0.05, 0.01):
            count = np.sum(checks[f"{name}_p"] < level)
            # the scaled chi-squared law and Welch-Satterthwaite are approximations: tails are right to a quarter
            slack = 0.25 * n * level if name in ("chi2", first) else 0.0
            assert abs(count - n * level) < 5 * np.sqrt(n * level) + slack, (name, level)
    assert checks["chi2_per_dof"].mean() == pytest.approx(1, abs=0.02)
    # squares of normal scores: mean 1 and variance 2 each, here independent
    dof = checks["observables_dof"].sum()
    assert dof == n * 3 * len(POOLED)
    assert abs(checks["observables_chi2"].sum() - dof) < 5 * np.sqrt(2 * dof)


def test_the_worst_observable_is_named():
    comparison = _comparison(np.random.default_rng(9))
    comparison["hidden_kernel_bulk_langevin"] += 0.2
    checks = check_table(comparison)
    assert set(checks["worst_observable"]) == {"hidden_kernel_bulk"}
    assert "hidden_kernel_bulk" in summary(checks)
    assert (checks["observables_chi2"] / checks["observables_dof"] > 1.4).all()


def test_pooled_chi_squared_is_printed():
    text = verdict(check_table(_comparison(np.random.default_rng(10))), alpha=1e-4)
    assert f"({7 * 3 * len(POOLED)} values of {len(POOLED)} observables)" in text


def test_no_alarm_under_agreement():
    rng = np.random.default_rng(1)
    alarms = [disagreements(check_table(_comparison(rng)), alpha=1e-4) for _ in range(100)]
    assert alarms == [[]] * 100


def test_alarm_for_one_wrong_scale():
    rng = np.random.default_rng(2)
    comparison = _comparison(rng)
    wrong = comparison["chi"] == 3.0
    comparison.loc[wrong, "train_discrepancy_langevin"] += 0.05
    lines = disagreements(check_table(comparison), alpha=1e-4)
    assert len(lines) == 1
    assert "a, chi = 3: exact and Langevin disagree in train_discrepancy: z = " in lines[0]


def test_alarm_for_wrong_outputs():
    checks = check_table(_comparison(np.random.default_rng(3), shift_mean=3.0))
    assert sum("in chi2" in line for line in disagreements(checks, alpha=1e-4)) == 7


def test_nan_and_unconverged_are_alarms():
    comparison = _comparison(np.random.default_rng(4))
    comparison.loc[0, "chi2"] = np.nan
    assert any("in chi2" in line for line in disagreements(check_table(comparison), alpha=1e-4))
    comparison = _comparison(np.random.default_rng(4))
    comparison.loc[0, "converged"] = False
    assert "exact did not converge" in disagreements(check_table(comparison), alpha=1e-4)[0]
    other = comparison.assign(level=ONE_LOOP.name)
    assert unconverged(check_table(other)) == ["a, chi = 1: one_loop did not converge"]
    assert disagreements(check_table(other), alpha=1e-4) == []


def test_nothing_checked_is_said():
    checks = check_table(_comparison(np.random.default_rng(6)).assign(level=LAPLACE.name))
    assert disagreements(checks, alpha=1e-4) == []
    assert "nothing was checked" in verdict(checks, alpha=1e-4)


def test_only_the_test_discrepancy_may_be_missing():
    comparison = _comparison(np.random.default_rng(7))
    assert disagreements(check_table(comparison.assign(test_discrepancy=np.nan)), alpha=1e-4) == []
    lines = disagreements(check_table(comparison.assign(train_discrepancy=np.nan)), alpha=1e-4)
    assert len(lines) == 7
    lines = disagreements(check_table(comparison.assign(weight_alignment=np.nan)), alpha=1e-4)
    assert len(lines) == 7


def test_shortfalls_are_said():
    comparison = _comparison(np.random.default_rng(8), scales=1)
    assert shortfalls(check_table(comparison)) == []
    lines = shortfalls(check_table(comparison.assign(mixed=False, target_met=False, rhat_max=1.02)))
    assert lines == ["a, chi = 1: training did not reach its target error, and chains may not have mixed (R-hat 1.020)"]
    # a row that has mixed lends its R-hat to no line, however large
    first, second = comparison.assign(rhat_max=1.05), comparison.assign(level=REFERENCE, mixed=False, rhat_max=1.03)
    lines = shortfalls(check_table(pd.concat([first, second])))
    assert lines == ["a, chi = 1: chains may not have mixed (R-hat 1.030)"]


def test_what_was_compared_is_named():
    """Where the better of two samplers judged a level, its name is said, in agreement and in disagreement."""
    one = _comparison(np.random.default_rng(12), scales=2)
    by_hmc = one.assign(measured_by="hmc")
    assert verdict(check_table(one), 1e-4).endswith("\nexact and Langevin agree (alpha = 0.0001).")
    assert verdict(check_table(by_hmc), 1e-4).endswith("\nexact and hmc agree (alpha = 0.0001).")
    seeds = one.assign(measured_by=np.where(one["seed"] == 0, "hmc", "langevin"))
    reference = one.assign(level=REFERENCE)
    both = check_table(pd.concat([seeds, reference]))
    assert both["measured_by"].tolist() == ["hmc and langevin"] * 2 + ["langevin"] * 2
    agreed = "exact and hmc agree; exact and Langevin agree; reference and Langevin agree (alpha = 0.0001)."
    assert verdict(both, 1e-4).splitlines()[-1] == agreed
    by_hmc["train_discrepancy_langevin"] += 0.05
    lines = disagreements(check_table(by_hmc), 1e-4)
    assert len(lines) == 2
    assert all("exact and hmc disagree in train_discrepancy: z = " in line for line in lines)
    seeds["train_discrepancy_langevin"] += 0.05
    assert "exact and hmc, Langevin disagree in " in disagreements(check_table(seeds), 1e-4)[0]


def test_summary_has_a_line_for_each_row():
    checks = check_table(_comparison(np.random.default_rng(5)))
    assert len(summary(checks).splitlines()) == 1 + len(checks)


def test_a_level_of_another_version_is_only_reported():
    comparison = _comparison(np.random.default_rng(11), scales=1).assign(level="unheard_of", converged=False)
    checks = check_table(comparison)
    assert disagreements(checks, alpha=1e-4) == []
    assert unconverged(checks) == ["a, chi = 1: unheard_of did not converge"]
    assert "nothing was checked" in verdict(checks, alpha=1e-4)
    assert check_table(comparison.iloc[:0]).empty


def test_lines_name_the_number_of_samples_where_there_are_several():
    one = _comparison(np.random.default_rng(4), scales=1)
    other = one.assign(n_train=40, mixed=False)
    assert shortfalls(check_table(other)) == ["a, chi = 1: chains may not have mixed (R-hat 1.000)"]
    assert " P " not in summary(check_table(one)).splitlines()[0]
    both = check_table(pd.concat([one, other]))
    assert both["n_train"].tolist() == [80, 40]
    assert both["seeds"].tolist() == [3, 3]
    assert shortfalls(both) == ["a, P = 40, chi = 1: chains may not have mixed (R-hat 1.000)"]
    assert summary(both).splitlines()[0].split()[:4] == ["experiment", "P", "chi", "level"]
    wrong = check_table(pd.concat([one, other.assign(converged=False)]))
    assert disagreements(wrong, 1e-4) == [f"a, P = 40, chi = 1: {EXACT.name} did not converge"]
    assert unconverged(wrong.assign(level=LAPLACE.name)) == ["a, P = 40, chi = 1: laplace did not converge"]
