"""What a training asks for: the measured sizes of docs/cluster.md, and growth with every size."""

import pytest

from msat.langevin.cost import LONGEST, asked_minutes, expected_minutes, is_short, training_mb

PAPER = {"chains": 16, "width": 100, "n_train": 80, "n_test": 1000, "dimension": 200}
TIMED = {name: PAPER[name] for name in ("chains", "width", "n_train", "dimension")}


@pytest.mark.parametrize(
    ("sizes", "measured_mb"),
    [
        (PAPER, 542),
        (PAPER | {"chains": 64}, 871),
        (PAPER | {"width": 1000}, 606),
        (PAPER | {"n_train": 400, "dimension": 400}, 2109),
    ],
)
def test_memory_covers_what_was_measured_and_not_many_times_it(sizes, measured_mb):
    assert measured_mb < training_mb(**sizes) < 3 * measured_mb


def test_a_step_is_not_underestimated():
    """1.5 ms (linear) and 2.1 ms (erf) at the paper's sizes on one core (docs/cluster.md)."""
    assert 2.1 < expected_minutes(**TIMED, steps=60_000, burn_in=0) < 2 * 2.1


@pytest.mark.parametrize("name", list(PAPER))
def test_memory_grows_with_every_size(name):
    assert training_mb(**(PAPER | {name: 4 * PAPER[name] if name != "dimension" else 60})) != training_mb(**PAPER)


@pytest.mark.parametrize("name", ["chains", "width", "n_train"])
def test_time_grows_with_every_size(name):
    run = {"steps": 10_000, "burn_in": 100_000}
    assert expected_minutes(**(TIMED | {name: 3 * TIMED[name]}), **run) > expected_minutes(**TIMED, **run)


def test_a_step_of_burn_in_takes_as_long_as_one_that_is_kept():
    """Burn-in may reach its bound however few steps are kept."""
    assert expected_minutes(**TIMED, steps=1000, burn_in=100_000) == expected_minutes(**TIMED, steps=101_000, burn_in=0)


@pytest.mark.parametrize(
    ("sizes", "mb", "minutes"),
    [
        ({"chains": 16, "width": 20, "n_train": 20, "n_test": 100, "dimension": 40}, 716, 0.047992),
        (PAPER, 891, 0.31276),
        ({"chains": 64, "width": 1000, "n_train": 400, "n_test": 10_000, "dimension": 784}, 15_486, 74.70166666665),
    ],
)
def test_values(sizes, mb, minutes):
    """Of a run of 3000 steps and 4000 of burn-in, by the formulas as they first stood in the rules."""
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
