"""The errors' powers of the width: predicted at fixed P, and what falls at fixed P/N; where one_loop exists."""

import re

import numpy as np
import pandas as pd
import pytest

from msat.errors import InputError
from msat.geometry import decompose
from msat.levels import EXACT, LAPLACE, ONE_LOOP, RESCALING, TREE_LEVEL
from msat.network import Network
from msat.observables.functions import discrepancy
from msat.stages import maps
from msat.stages.maps import LOOP_LEVELS, WIDTH_LEVELS, FiniteWidthSettings, LoopMapSettings, finite_width, loop_map
from msat.tables.files import read_table
from msat.tasks import ising
from msat.theory.anneal import anneal
from msat.validation import validated


@pytest.fixture(scope="module")
def table():
    return finite_width(FiniteWidthSettings(widths=[20, 40, 80, 160], seeds=[0, 1, 2]))


def _line(table, regime, gamma, level):
    at = table[(table["regime"] == regime) & (table["gamma"] == gamma) & (table["level"] == level)]
    return at.groupby("width")["relative_error"].agg(lambda values: np.mean(np.abs(values)))


def test_shape(table):
    assert len(table) == 2 * 4 * 2 * len(WIDTH_LEVELS) * 3
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
    tree, laplace = (_line(table, "fixed_ratio", 0.0, level) for level in (TREE_LEVEL.name, LAPLACE.name))
    assert tree[160] > tree[20]
    assert tree.min() > 0.04
    assert laplace[160] < 0.5 * laplace[20]
    assert np.all(np.diff(laplace) < 0)
    assert np.all(laplace < 0.1 * tree)


def test_laplace_at_fixed_ratio_is_of_second_order_in_the_tree_levels_error():
    """With the signal eigenvalue held fixed (delta_p as N^-1/2) both tend to constants: 6.5 % and 0.16 %."""
    errors = {}
    for width in (100, 400):
        task = ising(n_train=4 * width // 5, n_test=0, dimension=2 * width, delta_p=0.1 * (100 / width) ** 0.5, seed=0)
        network = Network(width, "linear", 0.5, 0.5, 1.0)
        names = [TREE_LEVEL.name, LAPLACE.name, RESCALING.name, EXACT.name]
        found = {
            level: discrepancy(task.y_train, prediction.mean_train)
            for _, level, prediction in anneal(decompose(task, network), network, [1.0], names)
        }
        errors[width] = {level: abs(value / found[EXACT.name] - 1) for level, value in found.items()}
    for level in (TREE_LEVEL.name, LAPLACE.name):
        assert errors[400][level] == pytest.approx(errors[100][level], rel=0.1), level
    assert errors[400][LAPLACE.name] == pytest.approx(0.39 * errors[400][TREE_LEVEL.name] ** 2, rel=0.15)
    assert errors[400][RESCALING.name] == pytest.approx(errors[100][RESCALING.name] / 4, rel=0.1)


def test_one_loop_exists_where_the_map_says(tmp_path):
    """Every row from a solution of its own; one_loop has none for few neurons and many samples."""
    settings = LoopMapSettings(widths=[10, 57], n_train=[20, 40], gamma=[0.0, 1.0], dimension=100)
    maps.run("loop_map", settings, tmp_path)
    table = read_table(tmp_path / "loop_map.parquet")
    assert len(table) == 2 * 2 * 2 * len(LOOP_LEVELS)
    one_loop = table[table["level"] == ONE_LOOP.name].set_index(["width", "n_train", "gamma"])
    assert one_loop["converged"].nunique() == 2
    assert (one_loop["converged"] == (one_loop["loop_strength"] == 1)).all()
    assert (one_loop["converged"] == one_loop["relative_error"].notna()).all()
    others = table[table["level"] != ONE_LOOP.name]
    assert others["converged"].all()
    network = Network(57, g_w=0.5, g_v=0.5, chi=57.0)
    task = ising(n_train=40, n_test=0, dimension=100, seed=0)
    means = {
        level: prediction.mean_train
        for _, level, prediction in anneal(decompose(task, network), network, [57.0], [TREE_LEVEL.name, EXACT.name])
    }
    expected = discrepancy(task.y_train, means[TREE_LEVEL.name]) / discrepancy(task.y_train, means[EXACT.name]) - 1
    at = others.set_index(["width", "n_train", "gamma", "level"]).loc[(57, 40, 1.0, TREE_LEVEL.name)]
    assert at["relative_error"] == pytest.approx(expected)
    pd.testing.assert_frame_equal(loop_map(settings), table)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widths": [0]}, "widths.0 = 0"),
        ({"widths": [20]}, "widths = "),
        ({"samples_per_neuron": 0.0}, "samples_per_neuron = 0.0: input should be greater than 0"),
        ({"inputs_per_sample": 1e6}, "inputs_per_sample = 1000000.0: input should be less than"),
        ({"g_w": -1.0}, "g_w = -1.0: must be a finite number greater than 0"),
        ({"gamma": [3.0]}, "gamma.0 = 3.0"),
        ({"width": 3}, "width: unknown key"),
    ],
)
def test_settings_have_ranges(values, message):
    with pytest.raises(InputError, match=re.escape(message)):
        validated(FiniteWidthSettings, values)
