"""Results of networks with several outputs from files to tables, checks and figures, beside those of one output."""

import numpy as np
import pytest

import msat
from msat.figures import declaration, directions, discrepancies, draw, evidence, figures_of
from msat.levels import EXACT
from msat.observables import functions
from msat.observables.matrices import read_matrix
from msat.stages import code, measured
from msat.stages.tables import collect_files
from msat.store import load_dataset, save_dataset
from msat.tables.checks import disagreements, summary
from msat.tables.files import read_table
from tests.conftest import Z_LIMIT

pytestmark = pytest.mark.slow

SCALES, OUTPUTS = (1.0, 4.0), 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two experiments of the same size, with three outputs and with one, and all their tables."""
    path = tmp_path_factory.mktemp("several")
    paths = {"theory": [], "langevin": [], "reference": []}
    for name, outputs in (("three", OUTPUTS), ("one", None)):
        task = msat.tasks.teacher_student(n_train=7, n_test=6, dimension=8, outputs=outputs, noise=0.2, seed=1)
        network = msat.Network(width=8)
        found = {"theory": msat.solve(task, network, SCALES)}
        for chi in SCALES:
            options = {"chains": 8, "seed": 0, "steps": 600}
            found[f"langevin_{chi:g}"] = msat.train(task, network.at(chi), **options)
        found["reference_4"] = msat.train(task, network.at(4.0), sampler="hmc", chains=8, seed=0, steps=200)
        for kind, dataset in found.items():
            dataset.attrs["label"] = name
            save_dataset(path / f"{name}_{kind}.nc", dataset)
            paths[kind.partition("_")[0]].append(path / f"{name}_{kind}.nc")
    collect_files(paths["theory"], paths["langevin"], path, paths["reference"])
    return path


def test_a_theory_of_several_outputs_runs_again_when_its_solvers_change():
    one, three = code.theory("linear", ["exact", "laplace"]), code.theory("linear", ["exact", "laplace"], OUTPUTS)
    assert one != three
    assert one == code.theory("linear", ["exact", "laplace"], 1)


def test_only_several_outputs_have_a_dimension_for_them(folder):
    for kind in ("theory", "langevin_1", "reference_4"):
        three, one = (
            load_dataset(folder / f"{name}_{kind}.nc", kind.partition("_")[0].replace("reference", "langevin"))
            for name in ("three", "one")
        )
        assert three.sizes["output"] == OUTPUTS
        assert not {"output", "output_", "output_pair", "readout_pair"} & set(one.sizes)
        assert three["covariance_train"].dims[-4:] == ("train", "output", "train_", "output_")
        several = set(three.data_vars) - set(one.data_vars)
        assert {"readout_covariance", "readout_spectrum", "relative_discrepancy", "test_accuracy"} <= several
        assert {name for name in one.data_vars if "output" in name or "readout_cov" in name} == set()


def test_files_hold_what_the_observables_are_of(folder):
    theory = load_dataset(folder / "three_theory.nc", "theory")
    y = theory["y_train"].to_numpy()
    at = theory.sel(level="exact", chi=4.0)
    covariance = read_matrix(theory, "covariance_train", "exact", 4.0)
    assert covariance.shape == (21, 21)
    assert float(at["variance_along_target"]) == pytest.approx(functions.along_target(y.ravel(), covariance))
    assert float(at["covariance_outlier"]) == pytest.approx(np.linalg.eigvalsh(covariance)[-1])
    difference = y - at["mean_train"].to_numpy()
    assert float(at["train_discrepancy"]) == pytest.approx(np.sum(y * difference) / 21)
    assert float(at["relative_discrepancy"]) == pytest.approx(np.sum(y * difference) / np.sum(y**2))
    kernel = at["hidden_kernel"].to_numpy()
    assert float(at["hidden_kernel_along_target"]) == pytest.approx(np.trace(y.T @ kernel @ y) / np.sum(y**2))
    best = np.argmax(at["mean_test"].to_numpy(), axis=1) == np.argmax(theory["y_test"].to_numpy(), axis=1)
    assert float(at["test_accuracy"]) == pytest.approx(best.mean())
    S, g = at["readout_covariance"].to_numpy(), 0.5 / 4
    np.testing.assert_allclose(at["readout_spectrum"], np.linalg.eigvalsh(S)[::-1] / g)
    assert float(at["readout_norm"]) == pytest.approx(np.trace(S))
    slope = 21 / 2 * (1 - np.sum(y * difference) / 21 / 0.25)
    assert float(at["evidence_slope"]) == pytest.approx(slope)


def test_reading_a_training_gives_what_was_written(folder):
    path = folder / "three_langevin_4.nc"
    written, again = load_dataset(path, "langevin"), measured.load(path)
    for name in (
        "readout_outlier",
        "covariance_outlier",
        "hidden_kernel_alignment",
        "train_discrepancy",
        "test_accuracy",
    ):
        for part in (name, f"{name}_error"):
            np.testing.assert_allclose(again[part], written[part], rtol=1e-12, err_msg=part)
    assert set(again.data_vars) == set(written.data_vars)
    by_hand = written["moment_f_train"].isel(chi=0).mean("chain")
    np.testing.assert_allclose(by_hand, written["mean_train"].isel(chi=0), atol=1e-12)


def test_tables_count_outputs_where_there_are_several(folder):
    samples, theory, evidence = (read_table(folder / f"{name}.parquet") for name in ("samples", "theory", "evidence"))
    three = samples[samples["experiment"] == "three"]
    assert len(three) == 2 * OUTPUTS * (7 + 6)
    assert sorted(three["output"].unique()) == [0, 1, 2]
    assert samples[samples["experiment"] == "one"]["output"].isna().all()
    for table in (theory, evidence):
        assert set(table[table["experiment"] == "three"]["n_outputs"]) == {OUTPUTS}
        assert table[table["experiment"] == "one"]["n_outputs"].isna().all()
    y = msat.tasks.teacher_student(n_train=7, n_test=6, dimension=8, outputs=OUTPUTS, noise=0.2, seed=1).y_train
    row = three[(three["part"] == "train") & (three["sample"] == 4) & (three["output"] == 2)]
    np.testing.assert_array_equal(row["y"], [y[4, 2]] * 2)


def test_the_evidence_integrates_the_slope_of_all_outputs(folder):
    """The spline through slope and bend at two scales gives exact's own change of the log evidence."""
    evidence = read_table(folder / "evidence.parquet")
    at = evidence[(evidence["experiment"] == "three") & (evidence["chi"] == 4.0)].set_index("source")
    change = at.loc["exact", "log_evidence_change"]
    measured_change, error = at.loc["langevin", "log_evidence_change"], at.loc["langevin", "error"]
    assert abs(measured_change - change) < Z_LIMIT * np.hypot(error, at.loc["exact", "error"]) + 0.01 * abs(change)


def test_exact_and_both_samplers_agree_in_every_observable(folder):
    checks = read_table(folder / "checks.parquet")
    assert disagreements(checks, 1e-6) == []
    exact = checks[(checks["level"] == "exact")].set_index("experiment")
    assert exact.loc["three", "chi2_dof"].tolist() == [21, 21]
    assert exact.loc["three", "readout_outlier_z"].notna().all()
    assert exact.loc["one", "readout_outlier_z"].isna().all()
    assert "three" in summary(checks)


def test_a_wrong_level_of_several_outputs_is_found(folder):
    """What is missing of one output is no excuse for several: a number that an exact level lacks is a disagreement."""
    checks = read_table(folder / "checks.parquet")
    wrong = checks.copy()
    rows = (wrong["experiment"] == "three") & (wrong["level"] == "exact") & (wrong["chi"] == 4.0)
    wrong.loc[rows, ["readout_outlier_z", "readout_outlier_p"]] = 30.0, 1e-100
    assert any("readout_outlier" in line for line in disagreements(wrong, 1e-6))
    wrong.loc[rows, "readout_outlier_p"] = np.nan
    assert any("readout_outlier" in line for line in disagreements(wrong, 1e-6))


NAMES = figures_of(["nngp", "rescaling", "tree_level", "laplace", "exact"], has_direction=False)


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_several_outputs_are_drawn(folder, tmp_path, name):
    source = {"tables": folder, "experiment": "three"}
    if declaration(name).kind == "runs":
        source = {"theory": folder / "three_theory.nc"}
        source["langevin"] = [folder / f"three_langevin_{chi:g}.nc" for chi in SCALES]
    draw(name, [tmp_path / "figure.pdf"], **source)
    assert (tmp_path / "figure.pdf").stat().st_size > 5000


def test_labels_count_outputs(folder):
    """A discrepancy is over P m labels where there are several outputs, and over P where there is one."""
    tables = {name: read_table(folder / f"{name}.parquet") for name in ("theory", "langevin")}
    for experiment, train, across in (("three", "/(Pm)$", "/(Pm-1)$"), ("one", "/P$", "/(P-1)$")):
        rows = [table[table["experiment"] == experiment] for table in tables.values()]
        above = discrepancies.draw(*rows).axes
        assert above[0].get_ylabel().endswith(train)
        assert above[1].get_ylabel().endswith(train.replace("P", "Q"))
        titles = [axes.get_title() for axes in directions.draw(*rows).axes[:3]]
        assert titles[0].endswith(train)
        assert titles[2].endswith(across)


def test_the_evidence_figure_says_which_level_to_quote(folder):
    """Without the exact level it depends on the activation, of which the tables say nothing."""
    tables = [read_table(folder / f"{name}.parquet") for name in ("evidence", "evidence_maximum")]
    whole = [table[table["experiment"] == "three"] for table in tables]
    without = [table[table["source"] != EXACT.name] for table in whole]
    for rows, expected in (
        (whole, "to quote: exact"),
        (without, "to quote: rescaling if linear,\nelse differences of"),
    ):
        assert evidence.draw(*rows).axes[2].get_title().startswith(expected)
