"""The number of samples at which half of a component is learned: the place, its error, and where there is none."""

import math

import numpy as np
import pandas as pd
import pytest

from msat.tables.half_learned import HALF_LEARNED, half_learned, half_learned_table
from msat.tables.rows import COMPONENTS

SAMPLES = np.array([10, 20, 40, 80])


def test_the_place_is_linear_in_the_logarithm():
    """Shares linear in ln P cross where they say, whatever the grid."""
    for true in (11.0, 20.0, 33.3, 79.0):
        found = half_learned(SAMPLES, 0.5 + 0.2 * np.log(SAMPLES / true), np.zeros(4))
        assert found["n_half"] == pytest.approx(true, rel=1e-12)
        assert found["n_half_error"] == 0
        assert found["n_below"] < true <= found["n_above"] == 2 * found["n_below"]
        assert found["note"] == ""


def test_its_error_is_that_of_repeated_noise():
    """5000 draws: the standard deviation to 1 %, 5 errors plus 1 % for the curvature of the exponential."""
    rng = np.random.default_rng(0)
    share, error = np.array([0.1, 0.25, 0.6, 0.9]), np.array([0.004, 0.003, 0.006, 0.01])
    expected = half_learned(SAMPLES, share, error)
    places = [half_learned(SAMPLES, share + error * rng.normal(size=4), error)["n_half"] for _ in range(5000)]
    assert np.std(places) == pytest.approx(expected["n_half_error"], rel=5 / math.sqrt(2 * 5000) + 0.01)
    assert np.mean(places) == pytest.approx(
        expected["n_half"], abs=5 * expected["n_half_error"] / math.sqrt(5000) + 0.02
    )


@pytest.mark.parametrize(
    ("share", "note"),
    [
        ([0.0, 0.1, 0.2, 0.49], "not reached"),
        ([0.5, 0.6, 0.7, 0.8], "at the smallest P already"),
        ([0.1, 0.6, 0.4, 0.8], "below half again at P = 40"),
        ([], "no solution"),
    ],
)
def test_where_there_is_no_such_place_a_note_says_so(share, note):
    found = half_learned(SAMPLES[: len(share)], np.array(share), np.full(len(share), 0.01))
    assert found["note"] == note
    assert math.isnan(found["n_half"]) == (not note.startswith("below"))
    if share:
        assert (found["share"], found["share_error"]) == (share[-1], 0.01)


def _components(shares: dict[str, list[float]], teacher: float) -> pd.DataFrame:
    rows = [
        ["a", 0, 1.0, 0.0, source, degree, value * teacher, 0.01, teacher if source != "langevin" else np.nan, n_train]
        for source, values in shares.items()
        for degree in (1, 3)
        for value, n_train in zip(values, SAMPLES, strict=True)
    ]
    return pd.DataFrame(rows, columns=COMPONENTS)


def test_the_table_has_a_row_for_each_source():
    """A negative component of the teacher is learned as a positive one is; levels end where they have no solution."""
    shares = {"nngp": [0.0, 0.0, 0.1, 0.2], "one_loop": [np.nan, np.nan, 0.4, 0.6], "langevin": [0.1, 0.3, 0.7, 0.9]}
    mixed = [False, True, True, False]
    langevin = pd.DataFrame({"experiment": "a", "seed": 0, "chi": 1.0, "n_train": SAMPLES, "mixed": mixed})
    table = half_learned_table(_components(shares, -0.1), langevin, {"a": 20.0})
    assert list(table) == HALF_LEARNED
    found = table.set_index("source")
    assert found["note"].to_dict() == {"nngp": "not reached", "one_loop": "", "langevin": ""}
    assert found.loc["one_loop", ["n_below", "n_above"]].tolist() == [40, 80]
    assert found.loc["langevin", "n_half"] == pytest.approx(20 * math.sqrt(2))
    assert found.loc["langevin", "n_half_error"] > 0
    assert found["mixed"].all()  # the runs around it have mixed
    assert (found[["degree", "dimension", "teacher"]] == [3, 20.0, -0.1]).all(axis=None)
    never = half_learned_table(_components(shares | {"langevin": [0.0, 0.1, 0.2, 0.3]}, -0.1), langevin, {})
    assert not never.set_index("source").loc["langevin", "mixed"]
    assert never["dimension"].isna().all()


def test_one_number_of_samples_and_no_component_give_no_place():
    one = _components({"nngp": [0.1] * 4}, 0.3)
    assert half_learned_table(one[one["n_train"] == 10], pd.DataFrame(), {}).empty
    none = half_learned_table(_components({"nngp": [0.1] * 4}, 0.0), pd.DataFrame(), {})
    assert none["note"].tolist() == ["the teacher has no such component"]
    assert half_learned_table(pd.DataFrame(), pd.DataFrame(), {}).columns.tolist() == HALF_LEARNED
