import pandas as pd
import pytest

from msat.errors import ComputationError, InputError
from msat.levels import EXACT, ONE_LOOP
from msat.observables.registry import COMPARED
from msat.stages import checks
from msat.tables.checks import POOLED
from msat.tables.files import read_table, write_table


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of checks with one row of an exact level that agrees, and one of another."""
    folder = tmp_path_factory.mktemp("checks")
    rows = []
    for name in (EXACT.name, ONE_LOOP.name):
        row = {
            "experiment": "a",
            "chi": 1.0,
            "n_train": 20,
            "level": name,
            "converged": name == EXACT.name,
            "mixed": True,
            "measured_by": "langevin",
        }
        row |= {"target_met": False, "rhat_max": 1.001, "worst_z": 1.5, "worst_observable": "readout_norm"}
        row |= {f"{item.name}_{kind}": 0.5 for item in COMPARED for kind in ("z", "p")}
        row |= {"chi2": 22.0, "chi2_dof": 20, "chi2_per_dof": 1.1, "chi2_p": 0.4, "observables_chi2": 12.0}
        rows.append(row | {"observables_dof": 13, "max_relative_difference": 0.01})
    write_table(pd.DataFrame(rows), folder / "checks")
    return folder / "checks.parquet"


def test_agreement_is_a_summary_with_notes(table, tmp_path, capsys):
    text = checks.run(table, tmp_path / "checks.txt", 1e-4)
    assert len(text.splitlines()) == 3
    assert (tmp_path / "checks.txt").read_text().splitlines() == [
        *text.splitlines(),
        f"note: a, chi = 1: {ONE_LOOP.name} did not converge",
        "note: a, chi = 1: training did not reach its target error",
        f"chi-squared per degree of freedom of {EXACT.name}, pooled over scales and seeds: 1.10 "
        "(20 mean train outputs)",
        f"the same of the scalar observables: 0.92 (13 values of {len(POOLED)} observables)",
        f"{EXACT.name} and Langevin agree (alpha = 0.0001).",
    ]
    assert capsys.readouterr().out == ""


def test_disagreement_fails_after_the_summary(table, tmp_path, capsys):
    wrong = read_table(table).assign(readout_norm_z=7.0, readout_norm_p=1e-12)
    write_table(wrong, tmp_path / "wrong")
    line = f"a, chi = 1: {EXACT.name} and Langevin disagree in readout_norm: z = 7.00, p = 1e-12"
    with pytest.raises(ComputationError, match=f"^{line}$"):
        checks.run(tmp_path / "wrong.parquet", tmp_path / "checks.txt", 1e-4)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert not (tmp_path / "checks.txt").exists()


def test_another_table_is_refused(tmp_path):
    write_table(pd.DataFrame({"experiment": ["a"]}), tmp_path / "other")
    with pytest.raises(InputError, match="column chi is missing"):
        checks.run(tmp_path / "other.parquet", tmp_path / "checks.txt", 1e-4)
