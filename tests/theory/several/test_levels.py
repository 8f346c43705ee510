"""The levels of several outputs of linear networks: the numbers of docs/theory.md, symmetries, and one output."""

import importlib

import numpy as np
import pytest

from msat.errors import InputError
from msat.geometry import Geometry
from msat.levels import LEVELS, NAMES, check_levels, defined_levels
from msat.network import Network
from msat.theory.anneal import anneal
from tests.conftest import Z_LIMIT
from tests.theory.references import solved as solved_alone
from tests.theory.several.references import CLOSED, classes, error_of, geometry_of_classes, paper, rotation, solved

pytestmark = pytest.mark.slow

FIELDS = ("mean_train", "mean_test", "covariance_train", "variance_test", "hidden_kernel", "readout_covariance")


def discrepancy(geometry, outputs):
    return float(np.mean(geometry.y_train * (geometry.y_train - outputs.mean_train)))


@pytest.mark.parametrize(
    ("chi", "exact", "deviations"),
    [
        (1.0, 0.69927, {"nngp": 0.58, "rescaling": -0.37, "tree_level": -3.67, "laplace": 0.19, "one_loop": 0.45}),
        (10.0, 0.50428, {"nngp": 39, "rescaling": -0.43, "tree_level": -4.09, "laplace": -0.01, "one_loop": 0.77}),
        (100.0, 0.20666, {"nngp": 240, "rescaling": -0.13, "tree_level": -2.06, "laplace": -0.02, "one_loop": 0.36}),
    ],
)
def test_the_table_of_three_outputs(chi, exact, deviations):
    geometry = geometry_of_classes(3, 60)
    found = solved(geometry, paper(chi), [*CLOSED, "exact"])
    assert all(prediction.converged for prediction in found.values())
    value, error = error_of(found["exact"], lambda outputs: discrepancy(geometry, outputs))
    assert error < 5e-5
    assert abs(value - exact) < 1e-5 + Z_LIMIT * error  # the table's own error and rounding
    for level, expected in deviations.items():
        tolerance = 0.5 if abs(expected) > 10 else 0.006
        assert 100 * (discrepancy(geometry, found[level]) / exact - 1) == pytest.approx(expected, abs=tolerance), level
    if chi == 10:
        np.testing.assert_allclose(found["exact"].readout_covariance[0], [0.10946, -0.02276, -0.02314], atol=1e-4)
    along = {10.0: 2.354, 100.0: 9.170}.get(chi)
    if along:  # H along y
        hidden, y = found["exact"].hidden_kernel, geometry.y_train
        assert np.sum(y * (hidden @ y)) / np.sum(y**2) == pytest.approx(along, abs=1e-3)
    truth = found["exact"].log_evidence
    assert abs(found["rescaling"].log_evidence - truth) < 0.05
    assert abs(found["laplace"].log_evidence - truth) > 0.8


@pytest.mark.parametrize(("coding", "expected"), [("one_hot", 0.659), ("centred", 0.649)])
def test_a_coding_is_a_different_model(coding, expected):
    """tr y^T Delta / |y|^2 at chi = 10; labels +-1 have 0.504, as above."""
    x, y, _ = classes(3, 60)
    labels = (y + 1) / 2 - (1 / 3 if coding == "centred" else 0.0)
    geometry = Geometry(x, labels, x[:0], labels[:0], 0.5, "linear")
    found = solved(geometry, paper(10.0), ["exact"])["exact"]
    assert np.sum(labels * (labels - found.mean_train)) / np.sum(labels**2) == pytest.approx(expected, abs=5.1e-4)


@pytest.mark.parametrize("chi", [1.0, 10.0, 100.0])
def test_ten_outputs(chi):
    """m = 10, P = 80: the error of exact's discrepancy, its effective sample size, and what log evidences miss."""
    geometry = geometry_of_classes(10, 80)
    found = solved(geometry, paper(chi), ["rescaling", "laplace", "exact"])
    exact = found["exact"]
    _, error = error_of(exact, lambda outputs: discrepancy(geometry, outputs))
    assert error < 1e-4
    assert exact.effective_sample_size / exact.iterations == pytest.approx(ESS[chi], abs=0.2)
    assert exact.log_evidence_mc_error < 5e-3
    assert abs(found["rescaling"].log_evidence - exact.log_evidence) < 1
    assert 5 < exact.log_evidence - found["laplace"].log_evidence < 11


ESS = {1.0: 0.88, 10.0: 0.67, 100.0: 0.97}  # shares that another implementation had at twice the points


def test_log_evidences_miss_one_over_the_width():
    """At fixed P: laplace and rescaling each a tenth at ten times the width."""
    geometry, off = geometry_of_classes(2, 12, dimension=20), []
    for width in (30, 300, 3000):
        found = solved(geometry, paper(5.0, width), ["rescaling", "laplace", "exact"])
        exact = found["exact"]
        off.append([found[level].log_evidence - exact.log_evidence for level in ("laplace", "rescaling")])
        assert np.all(np.abs(off[-1]) > 20 * exact.log_evidence_mc_error)
    by_laplace, by_rescaling = np.array(off).T
    for found in (by_laplace, by_rescaling):
        assert found[1] / found[2] == pytest.approx(10, rel=0.15)
    assert np.all(np.abs(by_rescaling) < 0.4 * np.abs(by_laplace))


def test_wide_replicas_tend_to_the_tree_level_as_one_over_their_number():
    """(N, g, kappa) -> (c N, g/c, kappa/c), of which the tree level is the limit."""
    geometry, off = geometry_of_classes(3, 60), []
    for c in (1, 4, 16, 64):
        network = Network(width=100 * c, g_w=0.5 / c, g_v=0.5, kappa_0=1 / c, chi=10)
        found = solved(geometry, network, ["tree_level", "exact"])
        exact, tree = (discrepancy(geometry, found[level]) for level in ("exact", "tree_level"))
        off.append(1 - tree / exact)
    assert off[0] == pytest.approx(0.0409, abs=1e-4)
    assert off[2] / off[3] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("level", CLOSED)
@pytest.mark.parametrize("chi", [0.5, 2.0, 50.0])
def test_one_output_is_what_it_was(small_task, level, chi):
    network = Network(width=30, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=chi)
    x, y, x_test = small_task.x_train, small_task.y_train, small_task.x_test
    (alone,) = solved_alone(x, y, x_test, network, [chi], [level]).values()
    here = solved(Geometry(x, y[:, None], x_test, np.zeros((4, 1)), 0.8, "linear"), network, [level])[level]
    assert here.converged == alone.converged
    for name in FIELDS[:-1]:
        expected = np.asarray(getattr(alone, name))
        np.testing.assert_allclose(np.reshape(getattr(here, name), expected.shape), expected, rtol=1e-10, atol=1e-10)
    assert here.readout_covariance[0, 0] == pytest.approx(alone.readout_norm, rel=1e-10)
    assert here.readout_norm == pytest.approx(alone.readout_norm, rel=1e-10)
    for name in ("log_evidence", "action", "loop_strength"):
        assert getattr(here, name) == pytest.approx(getattr(alone, name), rel=1e-10, nan_ok=True), name
    u = np.arange(1.0, 1 + np.linalg.matrix_rank(x))
    assert here.first_layer(u) == pytest.approx(alone.first_layer(u), rel=1e-9)


@pytest.mark.parametrize("width", [4, 30])
def test_one_output_of_exact_is_the_quadrature(small_task, width):
    network = Network(width=width, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0)
    x, y, x_test = small_task.x_train, small_task.y_train, small_task.x_test
    (alone,) = solved_alone(x, y, x_test, network, [2.0], ["exact"]).values()
    here = solved(Geometry(x, y[:, None], x_test, np.zeros((4, 1)), 0.8, "linear"), network, ["exact"])["exact"]
    assert abs(here.log_evidence - alone.log_evidence) < Z_LIMIT * here.log_evidence_mc_error < 1e-2
    for name in ("mean_train", "mean_test", "covariance_train", "hidden_kernel"):
        value, error = error_of(here, lambda outputs, name=name: getattr(outputs, name))
        expected = np.reshape(getattr(alone, name), value.shape)
        assert np.all(np.abs(value - expected) < 8 * error + 1e-9), name  # 8: eight scrambles, Student's t
    np.testing.assert_allclose(here.variance_test[:, 0], alone.variance_test, rtol=1e-3)


@pytest.mark.parametrize("level", [*CLOSED, "exact"])
@pytest.mark.parametrize("turn", [rotation(3), np.eye(3)[[2, 0, 1]]], ids=["rotated", "permuted"])
def test_rotating_outputs_rotates_the_answer(level, turn):
    geometry = geometry_of_classes(3, 20, n_test=4, dimension=30)
    other = Geometry(geometry.x_train, geometry.y_train @ turn, geometry.x_test, geometry.y_test @ turn, 0.5, "linear")
    network = Network(width=15, g_w=0.5, g_v=0.5, kappa_0=1.0, chi=5.0)
    before, after = (solved(data, network, [level])[level] for data in (geometry, other))
    for name in ("mean_train", "mean_test"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name) @ turn, atol=1e-10)
    whole = np.kron(np.eye(20), turn)
    np.testing.assert_allclose(after.covariance_train, whole.T @ before.covariance_train @ whole, atol=1e-10)
    np.testing.assert_allclose(after.readout_covariance, turn.T @ before.readout_covariance @ turn, atol=1e-10)
    np.testing.assert_allclose(after.hidden_kernel, before.hidden_kernel, atol=1e-10)
    np.testing.assert_allclose(after.log_evidence, before.log_evidence, rtol=1e-10)
    if level != "one_loop":  # of which this width may have no root
        assert np.isfinite(after.mean_train).all()


@pytest.mark.parametrize("level", ["nngp", "rescaling", "tree_level", "laplace", "exact"])
def test_copies_of_one_target(level):
    """m copies of y are, after a rotation, one output sqrt(m) y and m - 1 outputs of zeros.

    Each copy's mean is that of the first of these over sqrt(m): more signal adapts the neurons more. Saddle points
    separate into directions, so tree level and rescaling are the answer of one output sqrt(m) y; the nngp does not
    adapt, so it is that of one output y. laplace and exact also feel the zeros, which draw on the same neurons, as
    fluctuations of S between outputs: neither of the two.
    """
    one = geometry_of_classes(2, 20, dimension=30, n_test=3)
    y = one.y_train[:, 0]
    network = Network(width=15, g_w=0.5, g_v=0.5, kappa_0=1.0, chi=5.0)
    geometry = Geometry(one.x_train, np.stack([y] * 3, axis=1), one.x_test, np.zeros((3, 3)), 0.5, "linear")
    copies = solved(geometry, network, [level])[level]
    for c in (1, 2):
        tolerance = 1e-3 if level == "exact" else 1e-9  # its points do not have this symmetry
        np.testing.assert_allclose(copies.mean_train[:, c], copies.mean_train[:, 0], atol=tolerance)
    scaled, plain = (
        next(iter(solved_alone(one.x_train, f * y, one.x_test, network, [5.0], [level]).values())).mean_train / f
        for f in (np.sqrt(3), 1.0)
    )
    differences = [np.abs(copies.mean_train[:, 0] - other).max() for other in (scaled, plain)]
    if level in ("tree_level", "rescaling"):
        assert differences[0] < 1e-8
    elif level == "nngp":
        assert differences[1] < 1e-10
    else:
        assert min(differences) > 3e-3


def test_wide_networks_at_standard_scaling_are_the_nngp():
    geometry = geometry_of_classes(3, 12, n_test=4, dimension=20)
    found = solved(geometry, Network(width=10**7, g_w=0.5, g_v=0.5, kappa_0=1.0), [*CLOSED, "exact"])
    for level, prediction in found.items():
        for name in FIELDS:
            np.testing.assert_allclose(
                getattr(prediction, name), getattr(found["nngp"], name), atol=2e-5, err_msg=f"{level} {name}"
            )


def test_more_samples_than_dimensions():
    """A singular kernel: outputs exist in its range only, on train and test."""
    geometry = geometry_of_classes(2, 14, dimension=5, n_test=4)
    for level, prediction in solved(geometry, Network(width=12, g_w=1.0, chi=3.0), ["laplace", "exact"]).items():
        weights = np.linalg.lstsq(geometry.x_train, prediction.mean_train, rcond=None)[0]
        np.testing.assert_allclose(geometry.x_train @ weights, prediction.mean_train, atol=1e-9, err_msg=level)
        np.testing.assert_allclose(geometry.x_test @ weights, prediction.mean_test, atol=1e-9)
        assert np.linalg.eigvalsh(prediction.covariance_train)[0] > -1e-10
        assert np.all(prediction.variance_test > 0)


def test_by_the_anneal_with_every_level():
    geometry = geometry_of_classes(3, 12, n_test=2, dimension=20)
    found = list(anneal(geometry, paper(1.0), [10.0, 1.0], NAMES, seed=3))
    assert sorted((index, level) for index, level, _ in found) == sorted((i, n) for i in (0, 1) for n in NAMES)
    for index, level, prediction in found:
        assert prediction.mean_train.shape == (12, 3)
        assert prediction.mean_test.shape == prediction.variance_test.shape == (2, 3)
        assert prediction.covariance_train.shape == (36, 36)
        if level == "nngp":
            np.testing.assert_allclose(prediction.readout_covariance, [0.05, 0.5][index] * np.eye(3))
    again = {level: p for index, level, p in anneal(geometry, paper(1.0), [10.0], ["exact"], seed=3)}
    first = next(p for index, level, p in found if (index, level) == (0, "exact"))
    np.testing.assert_array_equal(again["exact"].mean_train, first.mean_train)


def test_what_several_outputs_refuse():
    message = r"^level = 'exact' with activation = 'linear' and 3 outputs: width = 2: must be at least the number of"
    with pytest.raises(InputError, match=message):
        list(anneal(geometry_of_classes(3, 6), paper(1.0, width=2), [1.0], ["exact"]))
    with pytest.raises(
        InputError, match=r"level = 'one_loop' with activation = 'erf' and 3 outputs: .* needs activation"
    ):
        check_levels(["one_loop"], "erf", outputs=3)
    assert defined_levels("erf", 3, 100) == ["nngp", "rescaling", "tree_level", "laplace"]
    assert defined_levels("linear", 3, 2) == [name for name in NAMES if name != "exact"]
    assert defined_levels("linear", 1, 1) == list(NAMES)
    narrow = solved(geometry_of_classes(3, 6), paper(1.0, width=2), ["rescaling"])["rescaling"]
    assert np.isnan(narrow.log_evidence)
    assert "width" in narrow.note


def test_levels_of_the_kernel_have_a_module():
    for level in LEVELS.values():
        if level.method == "kernel":
            assert callable(importlib.import_module(f"msat.theory.several.{level.name}").predict)
