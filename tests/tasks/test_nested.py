"""Data of several numbers of samples: the first rows of one data set, with the same test data."""

import numpy as np
import pytest

import msat
from msat.cli import main
from msat.errors import InputError
from msat.tasks.storage import load_task

TEACHER = {"dimension": 5, "coefficients": [1.0, 0.0, 0.3], "noise": 0.1}


def _tasks(tmp_path):
    """Makers of a data set with so many samples out of so many, by task."""
    rng = np.random.default_rng(5)
    np.savez(tmp_path / "table.npz", x=rng.normal(size=(40, 3)), y=rng.normal(size=40))
    return {
        "ising": lambda **sizes: msat.tasks.ising(n_test=6, dimension=7, seed=3, **sizes),
        "teacher_student": lambda **sizes: msat.tasks.teacher_student(n_test=6, seed=3, **TEACHER, **sizes),
        "network teacher": lambda **sizes: msat.tasks.teacher_student(
            n_test=6, dimension=5, teacher="network", teacher_width=4, noise=0.1, seed=3, **sizes
        ),
        "table": lambda **sizes: msat.tasks.table(tmp_path / "table.npz", seed=3, **sizes),
        "table with n_test": lambda **sizes: msat.tasks.table(tmp_path / "table.npz", n_test=6, seed=3, **sizes),
    }


def test_a_smaller_data_set_is_the_first_rows_of_a_larger_one(tmp_path):
    for name, make in _tasks(tmp_path).items():
        whole = make(n_train=20)
        for n_train in (1, 7, 20):
            part = make(n_train=n_train, n_drawn=20)
            assert (part.n_train, part.n_test) == (n_train, whole.n_test), name
            for array in ("x", "y"):
                np.testing.assert_array_equal(
                    getattr(part, f"{array}_train"), getattr(whole, f"{array}_train")[:n_train]
                )
                np.testing.assert_array_equal(getattr(part, f"{array}_test"), getattr(whole, f"{array}_test"))
            assert part.provenance == {**whole.provenance, "n_train": n_train, "n_drawn": 20}
        assert part.digest() == whole.digest()


def test_not_every_task_is_nested_by_itself(tmp_path):
    """Without n_drawn these are other data: what the option is there for."""
    for name, make in _tasks(tmp_path).items():
        small, whole = make(n_train=7), make(n_train=20)
        same = np.array_equal(small.y_train, whole.y_train[:7]) and np.array_equal(small.y_test, whole.y_test)
        assert not same, name
        assert "n_drawn" not in small.provenance


def test_labels_are_balanced_over_all_that_are_drawn():
    """The first rows hold either sign in numbers as of draws without replacement."""
    firsts = [msat.tasks.ising(n_train=20, n_drawn=40, n_test=0, dimension=3, seed=seed).y_train for seed in range(400)]
    sums = np.array([y.sum() for y in firsts])
    # hypergeometric: variance of the sum 20 (40 - 20)/(40 - 1); 5 standard errors of mean and variance
    variance = 20 * 20 / 39
    assert abs(sums.mean()) < 5 * np.sqrt(variance / 400)
    assert abs(sums.var() / variance - 1) < 5 * np.sqrt(2 / 400)
    assert msat.tasks.ising(n_train=40, n_drawn=40, n_test=0, dimension=3).y_train.sum() == 0


def test_the_command_line_has_it_too(tmp_path):
    arguments = ["--n-test", "6", "--dimension", "7", "--seed", "3", "--out"]
    assert main(["task", "ising", "--n-train", "7", "--n-drawn", "20", *arguments, str(tmp_path / "a.npz")]) == 0
    found = load_task(tmp_path / "a.npz")
    assert found.digest() == _tasks(tmp_path)["ising"](n_train=7, n_drawn=20).digest()
    assert (found.provenance["n_train"], found.provenance["n_drawn"]) == (7, 20)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: msat.tasks.ising(n_train=8, n_drawn=7), r"^n_drawn = 7: must be at least n_train = 8$"),
        (lambda: msat.tasks.ising(n_train=8, n_drawn=0), r"^n_drawn = 0: input should be greater than or equal to 1$"),
        (
            lambda: msat.tasks.table("a.csv", target="y", split="part", n_drawn=8),
            r"^n_drawn = 8: split = 'part' says which rows are training samples; leave it out$",
        ),
    ],
)
def test_what_cannot_be_nested_is_one_line(make, message):
    with pytest.raises(InputError, match=message):
        make()
