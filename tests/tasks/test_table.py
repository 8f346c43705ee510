"""Tables of the user's own: formats, columns, splits, standardisation, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from msat.cli import main
from msat.errors import InputError
from msat.tasks import table

ROWS = 30


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, ROWS),
            "bmi": rng.normal(26, 4, ROWS),
            "name": [f"person {i}" for i in range(ROWS)],
            "smoker": rng.random(ROWS) < 0.5,
            "part": np.where(np.arange(ROWS) % 3 == 0, "test", "train"),
            "y": rng.normal(150, 40, ROWS),
        }
    )


@pytest.fixture
def file(frame, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    frame.to_csv("data.csv", index=False)
    return "data.csv"


def test_all_formats_give_the_same(frame, file):
    frame.to_parquet("data.parquet")
    x = frame[["age", "bmi", "smoker"]].to_numpy(dtype=float)
    np.savez("data.npz", x=x, y=frame["y"].to_numpy(), labels=frame["y"].to_numpy(), inputs=x)
    digest = table(file, target="y", n_train=10, n_test=8, seed=4).digest()
    for other in (
        table("data.parquet", target="y", n_train=10, n_test=8, seed=4),
        table("data.npz", n_train=10, n_test=8, seed=4),
        table("data.npz", target="labels", features=["inputs"], n_train=10, n_test=8, seed=4),
        table("data.npz", target="labels", features=["x[0]", "x[1]", "x[2]"], n_train=10, n_test=8, seed=4),
        table(file, target="y", features=["age", "bmi", "smoker"], n_train=10, n_test=8, seed=4),
    ):
        assert other.digest() == digest


def test_columns_of_text_are_left_out_and_named(file, capsys):
    command = "task table --file data.csv --target y --n-train 10 --out out.npz"
    assert main(command.split()) == 0
    assert "left out columns of text: name, part" in capsys.readouterr().err
    with np.load("out.npz") as data:
        provenance = json.loads(str(data["provenance"]))
        assert data["x_train"].shape == (10, 3)
        assert data["x_test"].shape == (20, 3)
    assert provenance["features"] == ["age", "bmi", "smoker"]
    assert provenance["left_out"] == ["name", "part"]


def test_features_keep_their_order(frame, file):
    task = table(file, target="y", features=["bmi", "age"], n_train=ROWS, standardise="none")
    order = [int(np.flatnonzero(frame["y"] == y)[0]) for y in task.y_train]
    np.testing.assert_allclose(task.x_train, frame[["bmi", "age"]].to_numpy()[order], rtol=1e-14)


def test_standardisation_uses_the_train_split_only(file):
    plain, features, both = (
        table(file, target="y", n_train=12, seed=1, standardise=choice)
        for choice in ("none", "features", "features_and_target")
    )
    mean, sd = plain.x_train.mean(axis=0), plain.x_train.std(axis=0)
    np.testing.assert_allclose(features.x_test, (plain.x_test - mean) / sd, rtol=1e-12)
    np.testing.assert_array_equal(features.x_train, both.x_train)
    assert np.mean(np.sum(features.x_train**2, axis=1)) == pytest.approx(3, rel=1e-12)
    np.testing.assert_array_equal(features.y_train, plain.y_train)
    y_mean, y_sd = plain.y_train.mean(), plain.y_train.std()
    np.testing.assert_allclose(both.y_test, (plain.y_test - y_mean) / y_sd, rtol=1e-12)
    assert (both.provenance["target_mean"], both.provenance["target_sd"]) == (y_mean, y_sd)


def test_rows_are_drawn_once_and_train_does_not_depend_on_n_test(file):
    few, all_ = (table(file, target="y", n_train=12, n_test=n, seed=1, standardise="none") for n in (5, None))
    np.testing.assert_array_equal(few.x_train, all_.x_train)
    assert (few.n_test, all_.n_test) == (5, ROWS - 12)
    assert len({*all_.y_train, *all_.y_test}) == ROWS
    other = table(file, target="y", n_train=12, n_test=5, seed=2, standardise="none")
    assert not np.array_equal(few.y_train, other.y_train)


def test_a_column_can_say_the_split(frame, file):
    task = table(file, target="y", split="part", standardise="none", seed=3)
    np.testing.assert_allclose(task.y_train, frame["y"][frame["part"] == "train"])
    np.testing.assert_allclose(task.y_test, frame["y"][frame["part"] == "test"])
    assert "part" not in task.provenance["features"] + task.provenance["left_out"]
    with pytest.raises(InputError, match=r"n_train = 3: column 'part' of data\.csv gives 20"):
        table(file, target="y", split="part", n_train=3)


BAD = {
    "text in a column": ("--target y --n-train 10", {"bmi": "tall"}, "column 'bmi', row 4 is 'tall': must be a finite"),
    "missing value": ("--target y --n-train 10", {"age": None}, "column 'age', row 4 is missing: must be a finite"),
    "missing label": ("--target y --n-train 10", {"y": None}, "column 'y', row 4 is missing"),
    "infinite": ("--target y --n-train 10", {"bmi": np.inf}, "column 'bmi', row 4 is inf"),
    "text as a feature": ("--target y --features name --n-train 10", {}, "column 'name', row 1 is 'person 0'"),
    "text as the target": ("--target name --n-train 10", {}, "column 'name', row 1 is 'person 0' (30 such rows)"),
    "no such target": ("--target z --n-train 10", {}, "target = 'z': no such column in data.csv; it has age, bmi"),
    "no target": ("--n-train 10", {}, "target: required but missing; name the column of the labels"),
    "no such feature": ("--target y --features age,height --n-train 10", {}, "features = 'height': no such column"),
    "feature twice": ("--target y --features age,age --n-train 10", {}, "a column is named twice"),
    "target as feature": ("--target y --features age,y --n-train 10", {}, "target = 'y': is among the features"),
    "too few rows": (
        "--target y --n-train 25 --n-test 6",
        {},
        "n_train = 25, n_test = 6: data.csv has 30 rows, too few",
    ),
    "n_train too large": ("--target y --n-train 31", {}, "n_train = 31: data.csv has 30 rows, too few"),
    "no split": ("--target y", {}, "n_train: required but missing; give n_train, or a split column"),
    "no such split": ("--target y --split fold", {}, "split = 'fold': no such column"),
    "split column": (
        "--target y --split part",
        {"part": "val"},
        "column 'part', row 4 is 'val': must be train or test",
    ),
    "choice": ("--target y --n-train 10 --standardise minmax", {}, "standardise = 'minmax': input should be 'none'"),
    "constant": ("--target y --features age --n-train 1", {}, "column 'age' is constant over the train split"),
    "n_train 0": ("--target y --n-train 0", {}, "n_train = 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_tables_are_refused_in_one_line(frame, file, capsys, case):
    options, changes, message = BAD[case]
    for column, value in changes.items():
        frame[column] = frame[column].astype(object)
        frame.loc[3, column] = value
    frame.to_csv(file, index=False)
    _refused(f"task table --file data.csv {options} --out out.npz", message, capsys)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.xlsx", b"", "file = 'data.xlsx': must end in .csv, .parquet, .npz"),
        ("none.csv", None, "none.csv: no such file"),
        ("empty.csv", b"", "empty.csv: not a readable .csv file (No columns to parse from file)"),
        ("binary.csv", bytes(range(128, 256)), "binary.csv: not a readable .csv file"),
        ("text.parquet", b"x,y\n1,2\n", "text.parquet: not a readable .parquet file"),
        ("text.npz", b"x,y\n1,2\n", "text.npz: not a readable .npz file"),
        ("header.csv", b"x,y\n", "header.csv has 0 rows, too few"),
        ("semicolon.csv", b"x;y\n1;2\n", "target = 'y': no such column in semicolon.csv; it has x;y"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, monkeypatch, capsys, name, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    _refused(f"task table --file {name} --target y --n-train 2 --out out.npz", message, capsys)


def test_bad_arrays_are_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, y = np.ones((5, 2)), np.ones(5)
    for arrays, message in (
        ({"x": x, "y": y[:3]}, "arrays of different lengths (x 5, y 3)"),
        ({"x": x}, "target = 'y': no such column in data.npz; it has x[0], x[1]"),
        ({"x": x + 1j, "y": y}, "column 'x[0]' has dtype complex128: must be real numbers"),
        ({"x": x, "y": np.array([{}] * 5, dtype=object)}, "not a readable .npz file"),
    ):
        np.savez("data.npz", **arrays)
        _refused("task table --file data.npz --n-train 2 --out out.npz", message, capsys)


def _refused(command: str, message: str, capsys) -> None:
    capsys.readouterr()
    assert main(command.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_the_table_is_not_overwritten(file, capsys):
    frame = pd.read_csv(file)
    np.savez("data.npz", x=frame[["age", "bmi"]], y=frame["y"])
    command = "task table --file data.npz --n-train 2 --out data.npz"
    assert main(command.split()) == 2
    assert (
        "--out data.npz: is the data file too; every file of a command needs a name of its own"
        in capsys.readouterr().err
    )


def test_several_targets_are_several_outputs(frame, file):
    one = table(file, target="y", features=["age"], n_train=10, seed=4)
    assert one.provenance["target"] == "y"
    assert one.digest() == table(file, target=["y"], features=["age"], n_train=10, seed=4).digest()
    task = table(file, target=["y", "bmi"], n_train=10, seed=4, standardise="features_and_target")
    assert task.dimension == 2  # age and smoker: a target is no input
    np.testing.assert_allclose(task.y_train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(task.y_train.std(axis=0), 1)
    mean, sd = (np.array(task.provenance[f"target_{name}"]) for name in ("mean", "sd"))
    np.testing.assert_allclose((sd * task.y_train + mean)[:, 0], one.y_train)
    assert task.provenance["target"] == ["y", "bmi"]
    np.savez("data.npz", x=frame[["age", "smoker"]].to_numpy(dtype=float), y=frame[["y", "bmi"]].to_numpy())
    arrays = table("data.npz", n_train=10, seed=4, standardise="features_and_target")
    assert arrays.digest() == task.digest()


def test_targets_on_the_command_line(file, capsys):
    command = "task table --file data.csv --target y,bmi --n-train 10 --out out.npz"
    assert main(command.split()) == 0
    with np.load("out.npz") as data:
        assert data["y_train"].shape == (10, 2)
    capsys.readouterr()
    for targets, message in (
        ("y,y", "target = ['y', 'y']: a column is named twice"),
        ("y,no", "target = 'no': no such"),
    ):
        _refused(f"task table --file data.csv --target {targets} --n-train 10 --out bad.npz", message, capsys)
