"""Tables over files, one scale of one run at a time, against tables of all datasets at once."""

import gc
import re
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import msat
from msat.errors import InputError
from msat.levels import LAPLACE, NNGP
from msat.stages import measured, tables
from msat.stages.plan import read_list
from msat.store import load_dataset, save_dataset
from msat.tables import TABLES, spool
from msat.tables.checks import check_table, disagreements
from msat.tables.compare import compare, compare_samplers, printed
from msat.tables.evidence import evidence_tables
from msat.tables.files import read_table
from msat.tables.half_learned import half_learned_table
from msat.tables.rows import chains_table, components_table, langevin_table, samples_table, theory_table
from tests.conftest import Z_LIMIT


@pytest.fixture(scope="module")
def sweep(small_task, small_network, tmp_path_factory):
    """Two experiments with different levels, two seeds of one, two scales: files, datasets, and their list."""
    folder = tmp_path_factory.mktemp("sweep")
    theories, trained, lines = [], [], ["experiment,seed,chi,theory,langevin"]
    for label, levels, seeds in (("b_all", None, (1, 0)), ("a_some", [NNGP.name, LAPLACE.name], (0,))):
        for seed in seeds:
            theory = msat.solve(small_task, small_network, chi=[2.0, 1.0], levels=levels, seed=seed)
            theory.attrs["label"] = label
            theory_path = folder / f"{label}-{seed}.nc"
            save_dataset(theory_path, theory)
            theories.append(theory)
            for chi in (2.0, 1.0):
                run = msat.train(small_task, small_network.at(chi), seed=seed, steps=200, chains=4)
                run.attrs["label"] = label
                path = folder / f"{label}-{seed}-{chi:g}.nc"
                save_dataset(path, run)
                trained.append(run)
                lines.append(f"{label},{seed},{chi:g},{theory_path},{path}")
    (folder / "plan.csv").write_text("\n".join(lines) + "\n")
    return folder, theories, trained


def _stacked(tables):
    return pd.concat(tables, ignore_index=True).sort_values(["experiment", "seed", "chi"], kind="stable")


def _expected(theories, trained):
    """The tables of all results at once, from their definitions."""
    by_key = {(item.attrs["label"], item.attrs["seed"]): item for item in theories}
    pairs = [(by_key[item.attrs["label"], item.attrs["seed"]], item) for item in trained]
    found = {
        "theory": _stacked([theory_table(item) for item in theories]),
        "langevin": _stacked([langevin_table(item) for item in trained]),
        "reference": pd.DataFrame(),
        "comparison": _stacked([compare(*pair) for pair in pairs]),
        "samples": _stacked([samples_table(*pair) for pair in pairs]),
        "chains": _stacked([chains_table(item) for item in trained]),
        "components": _stacked([components_table(item) for item in (*theories, *trained)]),
    }
    found |= evidence_tables(found["theory"], found["langevin"])
    found["half_learned"] = half_learned_table(found["components"], found["langevin"], {})
    return found | {"checks": check_table(found["comparison"])}


@pytest.mark.parametrize(("held", "processes"), [(spool.ROWS_HELD, 1), (3, 1), (spool.ROWS_HELD, 2)])
def test_files_give_the_tables_of_datasets(sweep, tmp_path, held, processes, monkeypatch):
    folder, theories, trained = sweep
    monkeypatch.setattr(spool, "ROWS_HELD", held)
    assert tables.run(tmp_path, plan=folder / "plan.csv", processes=processes) == ""
    expected = _expected(theories, trained)
    assert {path.stem for path in tmp_path.iterdir()} == set(expected) == set(TABLES)
    assert len(expected["theory"]) == 2 * (2 * theories[0].sizes["level"] + 2)
    assert len(expected["checks"]) == 2 * (theories[0].sizes["level"] + 2)
    for name, table in expected.items():
        if not len(table):
            continue
        columns = sorted(table.columns)
        for suffix in ("csv", "parquet"):
            found = read_table(tmp_path / f"{name}.{suffix}")
            assert sorted(found.columns) == columns
            pd.testing.assert_frame_equal(
                found[columns], table[columns].reset_index(drop=True), check_dtype=False, check_exact=True
            )


def test_levels_are_compared_with_the_better_of_two_samplers(small_task, tmp_path):
    """A reference of many steps and one of few: the first judges levels, the second is judged alone."""
    network = msat.Network(width=7, activation="erf", kappa_0=0.4)
    options = {"chains": 8, "seed": 3}
    found = {
        "theory": msat.solve(small_task, network, levels=["nngp", "rescaling"]),
        "langevin": msat.train(small_task, network, steps=3000, **options),
        "good": msat.train(small_task, network, sampler="hmc", steps=1500, **options),
        "poor": msat.train(small_task, network, sampler="hmc", steps=64, **options),
    }
    for name, result in found.items():
        result.attrs |= {"label": "a", "seed": 3}
        save_dataset(tmp_path / f"{name}.nc", result)
    for name, judge in (("good", "hmc"), ("poor", "langevin")):
        row = f"a,3,1,{tmp_path}/theory.nc,{tmp_path}/langevin.nc,{tmp_path}/{name}.nc"
        (tmp_path / "plan.csv").write_text(f"experiment,seed,chi,theory,langevin,reference\n{row}\n")
        (tmp_path / name).mkdir()
        tables.run(tmp_path / name, plan=tmp_path / "plan.csv")
        comparison = read_table(tmp_path / name / "comparison.parquet").set_index("level")
        assert comparison["measured_by"].to_dict() == {"nngp": judge, "rescaling": judge, "reference": "langevin"}
        against = comparison.loc["reference"]
        expected = [float(found[key]["train_discrepancy"][0]) for key in ("langevin", name)]
        errors = [float(found[key]["train_discrepancy_error"][0]) for key in ("langevin", name)]
        assert against["train_discrepancy_z"] == pytest.approx((expected[0] - expected[1]) / np.hypot(*errors))
        assert abs(against["train_discrepancy_z"]) < Z_LIMIT
        assert against["jackknife_dof"] == 7
        assert against["rhat_max"] == max(found[key].attrs["rhat_max"] for key in ("langevin", name))
        reference = read_table(tmp_path / name / "reference.parquet")
        assert reference["sampler"].tolist() == ["hmc"]
        assert 0.5 < reference["acceptance_mean"][0] < 1
        checks = read_table(tmp_path / name / "checks.parquet")
        assert not disagreements(checks, 1e-6)
        shifted = checks.assign(readout_norm_p=checks["readout_norm_p"].where(checks["level"] != "reference", 1e-12))
        assert "a, chi = 1: reference and Langevin disagree in readout_norm" in disagreements(shifted, 1e-6)[0]
    names = {"theory": "theory", "langevin": "langevin", "reference": "poor"}
    flags = {option: [tmp_path / f"{name}.nc"] for option, name in names.items()}
    (tmp_path / "flags").mkdir()
    tables.run(tmp_path / "flags", **flags)
    for path in (tmp_path / "flags").glob("*.csv"):
        assert path.read_text() == (tmp_path / "poor" / path.name).read_text()


def test_a_reference_of_another_network_is_refused(small_task, small_network):
    trained = msat.train(small_task, small_network, steps=64, chains=4)
    other = msat.train(small_task, small_network.at(3.0), steps=64, chains=4)
    with pytest.raises(InputError, match="of different scales"):
        compare_samplers(other, trained)
    other.attrs["width"] = 8
    with pytest.raises(InputError, match="the reference and training differ in width: 8 against 7"):
        compare_samplers(other, trained)


def test_flags_give_the_same_as_a_list(sweep, tmp_path):
    folder, _, _ = sweep
    planned = read_list(folder / "plan.csv")
    theory, langevin = ([Path(path) for path in planned[name]] for name in ("theory", "langevin"))
    for name, given in (
        ("files", {"theory": theory, "langevin": langevin[::-1]}),
        ("list", {"plan": folder / "plan.csv"}),
    ):
        (tmp_path / name).mkdir()
        tables.run(tmp_path / name, **given)
    for path in (tmp_path / "files").glob("*.csv"):
        assert path.read_text() == (tmp_path / "list" / path.name).read_text()


def test_partial_tables_say_what_is_missing(sweep, tmp_path):
    folder, _, _ = sweep
    lines = (folder / "plan.csv").read_text().splitlines()
    # a run whose training is missing, and a seed that has nothing
    lines[1] = lines[1].replace("b_all-1-2.nc", "absent.nc")
    lines.append("a_some,5,2,none.nc,none-either.nc")
    (tmp_path / "plan.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "partial"
    assert tables.run(out, plan=tmp_path / "plan.csv", partial=True).splitlines() == [
        "5 of 7 runs are in",
        "b_all, chi = 2: 1 of 2 seeds, missing: 1",
        "a_some, chi = 2: 1 of 2 seeds, missing: 5",
    ]
    missing = pd.read_csv(out / "missing.csv")
    assert list(missing.columns) == ["experiment", "seed", "chi", "missing"]
    assert list(missing["missing"]) == ["training", "theory and training"]
    checks = pd.read_csv(out / "checks.csv").set_index(["experiment", "chi", "level"])
    assert tuple(checks.loc[("b_all", 2.0, LAPLACE.name), ["seeds", "seeds_planned"]]) == (1, 2)
    assert tuple(checks.loc[("b_all", 1.0, LAPLACE.name), ["seeds", "seeds_planned"]]) == (2, 2)
    assert len(pd.read_parquet(out / "langevin.parquet")) == 5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give --theory and --langevin, or --list"),
        ({"theory": [Path("x.nc")]}, "give --theory and --langevin, or --list"),
        ({"theory": [Path("x.nc")], "plan": Path("y.csv")}, "give --theory and --langevin, or --list"),
        (
            {"theory": [Path("x.nc")], "langevin": [Path("y.nc")], "partial": True},
            "--partial needs --list: it says what is still to come",
        ),
        ({"plan": Path("nowhere.csv")}, "--list nowhere.csv: no such file"),
        (
            {"plan": Path(__file__)},
            f"--list {__file__}: must be CSV with the columns experiment, seed, chi, theory, langevin",
        ),
    ],
)
def test_bad_arguments_are_one_line(given, message, tmp_path):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        tables.run(tmp_path, **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "partial", "message"),
    [("a,0,1,no.nc,none.nc\n", True, "no run has finished yet"), ("", False, "names no run")],
)
def test_nothing_to_collect_is_said(tmp_path, line, partial, message):
    (tmp_path / "plan.csv").write_text(f"experiment,seed,chi,theory,langevin\n{line}")
    with pytest.raises(InputError, match=message):
        tables.run(tmp_path, plan=tmp_path / "plan.csv", partial=partial)


def test_training_without_theory_is_refused(sweep, tmp_path):
    folder, _, _ = sweep
    with pytest.raises(InputError, match="no theory result for experiment 'b_all', seed 1, n_train 6"):
        tables.run(tmp_path, [folder / "b_all-0.nc"], [folder / "b_all-1-2.nc"])
    theory = load_dataset(folder / "b_all-1.nc", "theory").isel(chi=[0])
    save_dataset(tmp_path / "one-scale.nc", theory)
    for processes in (1, 2):
        with pytest.raises(InputError, match=re.escape("theory holds no scale chi = 1, only 2")):
            tables.run(tmp_path, [tmp_path / "one-scale.nc"], [folder / "b_all-1-1.nc"], processes=processes)
    assert [path.name for path in tmp_path.iterdir()] == ["one-scale.nc"]


def test_one_run_is_in_memory_at_a_time(sweep, tmp_path, monkeypatch):
    folder, _, _ = sweep
    loaded, most = [], 0

    def counted(load):
        def counting(*arguments):
            nonlocal most
            gc.collect()
            most = max(most, 1 + sum(reference() is not None for reference in loaded))
            dataset = load(*arguments)
            loaded.append(weakref.ref(dataset))
            return dataset

        return counting

    monkeypatch.setattr(tables, "load_dataset", counted(tables.load_dataset))
    monkeypatch.setattr(measured, "load", counted(measured.load))
    tables.run(tmp_path, plan=folder / "plan.csv")
    assert len(loaded) == 3 + 6
    assert most <= 3  # a theory result, a training result, and the one before it


def test_two_files_are_compared(sweep, tmp_path):
    folder, theories, trained = sweep
    theory, langevin, csv = folder / "b_all-1.nc", folder / "b_all-1-2.nc", tmp_path / "table.csv"
    expected = compare(theories[0], trained[0])
    assert tables.compare_files(theory, langevin) == tables.compare_files(theory, langevin, csv) == printed(expected)
    pd.testing.assert_frame_equal(pd.read_csv(csv), expected, check_dtype=False)
    with pytest.raises(InputError, match=r"--csv .*does not exist"):
        tables.compare_files(theory, langevin, tmp_path / "nowhere" / "table.csv")


def test_runs_of_several_numbers_of_samples_are_told_apart(small_network, tmp_path):
    """Experiment, seed and scale are the same: each training has the theory of its own data."""
    lines, rows = ["experiment,seed,chi,theory,langevin,reference,n_train"], {}
    for n_train in (8, 3):
        task = msat.tasks.teacher_student(n_train=n_train, n_drawn=8, n_test=6, dimension=4, coefficients=[1, 0, 0.3])
        names = {kind: tmp_path / f"{kind}{n_train}.nc" for kind in ("theory", "langevin")}
        theory, run = msat.solve(task, small_network), msat.train(task, small_network, steps=200, chains=4)
        for name, result in (("theory", theory), ("langevin", run)):
            result.attrs["label"] = "a"
            save_dataset(names[name], result)
        assert (theory.attrs["n_drawn"], theory.attrs["dimension"]) == (8, 4)
        rows[n_train] = compare(theory, run)
        lines.append(f"a,0,2,{names['theory']},{names['langevin']},,{n_train}")
    lines.append("a,0,2,none.nc,none.nc,,5")
    (tmp_path / "plan.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    said = tables.run(out, plan=tmp_path / "plan.csv", partial=True).splitlines()
    assert said == ["2 of 3 runs are in", "a, P = 5, chi = 2: 0 of 1 seeds, missing: 0"]
    assert pd.read_csv(out / "missing.csv")["n_train"].tolist() == [5]
    comparison = read_table(out / "comparison.parquet")
    expected = pd.concat([rows[3], rows[8]], ignore_index=True)
    pd.testing.assert_frame_equal(comparison, expected, check_dtype=False)
    checks = read_table(out / "checks.csv")
    assert checks.groupby("n_train", sort=False)["level"].count().to_dict() == {3: 6, 8: 6}
    assert (checks["seeds_planned"] == 1).all()
    for name in TABLES:
        table = read_table(out / f"{name}.parquet")
        if name == "half_learned":
            assert set(table["source"]) == {*theory["level"].to_numpy(), "langevin"}
            assert set(table["n_above"].dropna()) <= {3, 8}
        elif name != "reference":
            assert table["n_train"].unique().tolist() == [3, 8], name
    maximum = read_table(out / "evidence_maximum.parquet")
    assert not maximum.duplicated(["source", "n_train"]).any()
