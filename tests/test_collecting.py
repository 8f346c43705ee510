"""Tables over files, one scale of one run at a time, against tables of all datasets at once."""

import gc
import weakref

import pandas as pd
import pytest

import msat
from msat.cli import main
from msat.stages import tables as collecting
from msat.store import load_dataset, save_dataset
from msat.tables import rows as tables
from msat.tables.checks import check_table


@pytest.fixture(scope="module")
def sweep(small_task, small_network, tmp_path_factory):
    """Two experiments with different levels, two seeds of one, two scales: files, datasets, and their list."""
    folder = tmp_path_factory.mktemp("sweep")
    theories, trained, lines = [], [], ["experiment,seed,chi,theory,langevin"]
    for label, levels, seeds in (("b_all", None, (1, 0)), ("a_some", ["nngp", "laplace"], (0,))):
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


@pytest.mark.parametrize("held", [collecting._ROWS_HELD, 3])
def test_files_give_the_tables_of_datasets(sweep, tmp_path, held, monkeypatch):
    folder, theories, trained = sweep
    monkeypatch.setattr(collecting, "_ROWS_HELD", held)
    assert main(["collect", "--list", f"{folder}/plan.csv", "--out", str(tmp_path)]) == 0
    expected = tables.collect(theories, trained)
    expected["checks"] = check_table(expected["comparison"])
    assert {path.stem for path in tmp_path.iterdir()} == set(expected)
    for name, table in expected.items():
        if not len(table):
            continue
        columns = sorted(table.columns)
        for suffix in ("csv", "parquet"):
            found = tables.read_table(tmp_path / f"{name}.{suffix}")
            assert sorted(found.columns) == columns
            pd.testing.assert_frame_equal(found[columns], table[columns], check_dtype=False, check_exact=True)


def test_flags_give_the_same_as_a_list(sweep, tmp_path):
    folder, _, _ = sweep
    planned = collecting.read_list(folder / "plan.csv")
    flags = [f"--theory={path}" for path in dict.fromkeys(item.theory for item in planned)]
    flags += [f"--langevin={item.langevin}" for item in reversed(planned)]
    for name, arguments in (("flags", flags), ("list", ["--list", f"{folder}/plan.csv"])):
        (tmp_path / name).mkdir()
        assert main(["collect", *arguments, "--out", f"{tmp_path}/{name}"]) == 0
    for path in (tmp_path / "flags").glob("*.csv"):
        assert path.read_text() == (tmp_path / "list" / path.name).read_text()


def test_partial_tables_say_what_is_missing(sweep, tmp_path, capsys):
    folder, _, _ = sweep
    lines = (folder / "plan.csv").read_text().splitlines()
    # a run whose training is missing, and a seed that has nothing
    lines[1] = lines[1].replace("b_all-1-2.nc", "absent.nc")
    lines.append("a_some,5,2,none.nc,none-either.nc")
    (tmp_path / "plan.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "partial"
    assert main(["collect", "--partial", "--list", f"{tmp_path}/plan.csv", "--out", str(out)]) == 0
    report = capsys.readouterr().out
    assert report.splitlines() == [
        "5 of 7 runs are in",
        "b_all, chi = 2: 1 of 2 seeds, missing: 1",
        "a_some, chi = 2: 1 of 2 seeds, missing: 5",
    ]
    missing = pd.read_csv(out / "missing.csv")
    assert list(missing["missing"]) == ["training", "theory and training"]
    checks = pd.read_csv(out / "checks.csv").set_index(["experiment", "chi", "level"])
    assert tuple(checks.loc[("b_all", 2.0, "laplace"), ["seeds", "seeds_planned"]]) == (1, 2)
    assert tuple(checks.loc[("b_all", 1.0, "laplace"), ["seeds", "seeds_planned"]]) == (2, 2)
    assert len(pd.read_parquet(out / "langevin.parquet")) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --theory and --langevin, or --list"),
        (["--theory", "x.nc"], "give --theory and --langevin, or --list"),
        (["--theory", "x.nc", "--list", "y.csv"], "give --theory and --langevin, or --list"),
        (["--theory", "x.nc", "--langevin", "y.nc", "--partial"], "--partial needs --list"),
        (["--list", "nowhere.csv"], "--list nowhere.csv: no such file"),
        (["--list", "pyproject.toml"], "must be CSV with the columns experiment, seed, chi"),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, tmp_path, capsys):
    assert main(["collect", *arguments, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_nothing_finished_is_said(tmp_path, capsys):
    (tmp_path / "plan.csv").write_text("experiment,seed,chi,theory,langevin\na,0,1,no.nc,none.nc\n")
    arguments = ["--partial", "--list", f"{tmp_path}/plan.csv", "--out", f"{tmp_path}/out"]
    assert main(["collect", *arguments]) == 2
    assert "no run has finished yet" in capsys.readouterr().err


def test_one_run_is_in_memory_at_a_time(sweep, tmp_path, monkeypatch):
    folder, _, _ = sweep
    planned = collecting.read_list(folder / "plan.csv")
    loaded, most = [], 0

    def load(path, kind):
        nonlocal most
        gc.collect()
        most = max(most, 1 + sum(reference() is not None for reference in loaded))
        dataset = load_dataset(path, kind)
        loaded.append(weakref.ref(dataset))
        return dataset

    monkeypatch.setattr(collecting, "load_dataset", load)
    theory = list(dict.fromkeys(item.theory for item in planned))
    collecting.collect_files(theory, [item.langevin for item in planned], tmp_path, {})
    assert len(loaded) == 3 + 6
    assert most <= 3  # a theory result, a training result, and the one before it
