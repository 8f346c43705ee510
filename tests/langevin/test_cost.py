"""What a training asks for: the measured sizes of docs/cluster.md, and growth with every size."""

import pytest

from msat.langevin.cost import LONGEST, asked_minutes, expected_minutes, is_short, training_mb

PAPER = {"chains": 16, "widths": (100,), "n_train": 80, "n_test": 1000, "dimension": 200}
TIMED = {name: PAPER[name] for name in ("chains", "widths", "n_train", "dimension")}


# peak MB of erf networks, 16 chains, 64 steps and 16 of burn-in: the largest of langevin, hmc and underdamped
MEASURED = [
    (PAPER, 524),
    (PAPER | {"widths": (1000,)}, 1119),
    (PAPER | {"widths": (2000,)}, 1668),
    (PAPER | {"widths": (500,), "n_train": 500, "dimension": 500}, 1678),
    (PAPER | {"n_test": 10_000}, 1489),
]


@pytest.mark.parametrize(("sizes", "measured_mb"), MEASURED)
def test_memory_covers_what_was_measured_by_10_to_40_per_cent(sizes, measured_mb):
    assert 1.1 * measured_mb < training_mb(**sizes) < 1.4 * measured_mb


def test_a_step_is_not_underestimated():
    """1.5 ms (linear) and 2.1 ms (erf) at the paper's sizes on one core (docs/cluster.md)."""
    assert 2.1 < expected_minutes(**TIMED, steps=60_000, burn_in=0) < 2 * 2.1


@pytest.mark.parametrize("name", list(PAPER))
def test_memory_grows_with_every_size(name):
    assert training_mb(**(PAPER | {name: 4 * PAPER[name] if name != "dimension" else 60})) != training_mb(**PAPER)


@pytest.mark.parametrize("name", ["chains", "widths", "n_train"])
def test_time_grows_with_every_size(name):
    run = {"steps": 10_000, "burn_in": 100_000}
    assert expected_minutes(**(TIMED | {name: 3 * TIMED[name]}), **run) > expected_minutes(**TIMED, **run)


def test_a_step_of_burn_in_takes_as_long_as_one_that_is_kept():
    """Burn-in may reach its bound however few steps are kept."""
    assert expected_minutes(**TIMED, steps=1000, burn_in=100_000) == expected_minutes(**TIMED, steps=101_000, burn_in=0)


@pytest.mark.parametrize(
    ("sizes", "mb", "minutes"),
    [
        ({"chains": 16, "widths": (20,), "n_train": 20, "n_test": 100, "dimension": 40}, 554, 0.047992),
        (PAPER, 726, 0.31276),
        ({"chains": 64, "widths": (1000,), "n_train": 400, "n_test": 10_000, "dimension": 784}, 33_410, 74.70166666665),
    ],
)
def test_values(sizes, mb, minutes):
    """Of a run of 3000 steps and 4000 of burn-in, by the formulas as they stand."""
    assert training_mb(**sizes) == mb
    timed = {name: value for name, value in sizes.items() if name != "n_test"}
    assert expected_minutes(**timed, steps=3000, burn_in=4000) == pytest.approx(minutes, rel=1e-9)


def test_retries_ask_for_more_and_never_for_more_than_a_day():
    assert asked_minutes(5.0) == 20
    assert asked_minutes(5.0, attempt=2) == 40
    assert asked_minutes(1e6) == LONGEST


def test_short_trainings_share_a_submission():
    assert is_short(1.0)
    assert not is_short(60.0)


def test_memory_covers_several_outputs():
    """Ten outputs: 897 MB at the same sizes and steps as above, a run of any length less than twice that."""
    assert 1.1 * 897 < training_mb(**PAPER, n_outputs=10) < 2.5 * 897
    assert training_mb(**PAPER, n_outputs=1) == training_mb(**PAPER)
