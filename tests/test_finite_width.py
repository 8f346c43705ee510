"""The errors' powers of the width: predicted at fixed P, and what does and does not fall at fixed P/N."""

import numpy as np
import pytest

from msat.network import Network
from msat.observables.functions import discrepancy
from msat.stages.finite_width import LEVELS, finite_width
from msat.tasks.ising import ising
from msat.theory.anneal import anneal

NETWORK = Network(1, "linear", 0.5, 0.5, 1.0)


@pytest.fixture(scope="module")
def table():
    return finite_width(NETWORK, [20, 40, 80, 160], 20, 0.8, 2.5, [0.0, 1.0], 0.1, [0, 1, 2])


def _line(table, regime, gamma, level):
    at = table[(table["regime"] == regime) & (table["gamma"] == gamma) & (table["level"] == level)]
    return at.groupby("width")["relative_error"].agg(lambda values: np.mean(np.abs(values)))


def test_shape(table):
    assert len(table) == 2 * 4 * 2 * len(LEVELS) * 3
    at = table[(table["regime"] == "fixed_ratio") & (table["width"] == 80)]
    assert set(at["n_train"]) == {64}
    assert set(at["dimension"]) == {160}
    assert set(table[table["regime"] == "fixed_samples"]["n_train"]) == {20}


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_predicted_powers_at_fixed_samples(table, gamma):
    """Fitted powers within 0.15 of the predicted ones."""
    at = table[(table["regime"] == "fixed_samples") & (table["gamma"] == gamma)].groupby("level").first()
    for level, row in at.iterrows():
        assert row["slope"] == pytest.approx(row["predicted_slope"], abs=0.15), level


def test_tree_level_does_not_improve_with_width_at_fixed_ratio_and_laplace_does(table):
    tree, laplace = (_line(table, "fixed_ratio", 0.0, level) for level in ("tree_level", "laplace"))
    assert tree[160] > tree[20]
    assert tree.min() > 0.04
    assert laplace[160] < 0.5 * laplace[20]
    assert np.all(np.diff(laplace) < 0)
    assert np.all(laplace < 0.1 * tree)


def test_laplace_at_fixed_ratio_is_of_second_order_in_the_tree_levels_error():
    """With the signal eigenvalue held fixed (delta_p as N^-1/2) both tend to constants: 6.5 % and 0.16 %."""
    errors = {}
    for width in (100, 400):
        task = ising(
            n_train=4 * width // 5, n_test=0, dimension=2 * width, delta_p=0.1 * (100 / width) ** 0.5, seed=0
        )
        found = {
            level: discrepancy(task.y_train, prediction.mean_train)
            for _, level, prediction in anneal(
                task.x_train,
                task.y_train,
                task.x_test,
                Network(width, "linear", 0.5, 0.5, 1.0),
                [1.0],
                ["tree_level", "laplace", "rescaling", "exact"],
            )
        }
        errors[width] = {level: abs(value / found["exact"] - 1) for level, value in found.items()}
    for level in ("tree_level", "laplace"):
        assert errors[400][level] == pytest.approx(errors[100][level], rel=0.1), level
    assert errors[400]["laplace"] == pytest.approx(0.39 * errors[400]["tree_level"] ** 2, rel=0.15)
    assert errors[400]["rescaling"] == pytest.approx(errors[100]["rescaling"] / 4, rel=0.1)
