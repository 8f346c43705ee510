"""What adapted networks learn of the teacher at P of order D and rescaled kernels do not: theory and training."""

import numpy as np
import pytest
from numpy.polynomial import hermite_e

import msat
from msat.activations import get_activation
from msat.levels import LAPLACE, NNGP, RESCALING
from tests.conftest import Z_LIMIT

pytestmark = pytest.mark.slow

N = 100


@pytest.mark.parametrize(
    ("activation", "dimension", "coefficients"),
    [("erf", 12, [1.0, 0.0, -0.1]), ("relu", 24, [1.0, 0.3])],
    ids=["erf", "relu"],
)
def test_theory_and_networks_learn_it_and_rescaled_kernels_do_not(activation, dimension, coefficients):
    """At chi = N and P/D = 4 the highest component: He_3 for erf, and He_2 for ReLU, whose odd part is linear."""
    degree, teacher = len(coefficients), coefficients[-1]
    task = msat.tasks.teacher_student(
        n_train=4 * dimension, n_test=1000, dimension=dimension, coefficients=coefficients
    )
    network = msat.Network(width=N, activation=activation, g_w=1.0, g_v=1.0, kappa_0=0.2, chi=N)
    theory = msat.solve(task, network, levels=[NNGP.name, RESCALING.name, LAPLACE.name]).isel(chi=0)
    trained = msat.train(task, network, sampler="hmc", target_error=0.002).isel(chi=0)
    assert trained.attrs["mixed"]
    shares = theory.assign_coords(degree=theory["degree"])["learned_component"].isel(degree=degree - 1) / teacher
    noise = theory["learned_component_mc_error"].isel(degree=degree - 1) / abs(teacher)
    share = float(trained["learned_component"][degree - 1]) / teacher
    error = np.hypot(
        float(trained["learned_component_error"][degree - 1]) / abs(teacher), float(noise.sel(level=LAPLACE.name))
    )
    assert abs(share - float(shares.sel(level=LAPLACE.name))) < Z_LIMIT * error
    assert error < 0.01
    for level in (NNGP.name, RESCALING.name):
        assert float(shares.sel(level=level)) < share / 2


def test_one_erf_neuron_has_the_components_of_equation_7():
    points, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    phi = get_activation("erf").phi
    ratios = []
    for a in (0.3, 2.0, np.sqrt(0.75)):
        first, third = (
            float(weights @ (hermite_e.hermeval(points, np.eye(4)[k]) * phi(a * points))) / norm
            for k, norm in ((1, 1), (3, 6))
        )
        assert first == pytest.approx(2 / np.sqrt(np.pi) * a / np.sqrt(1 + 2 * a**2), rel=1e-10)
        ratios.append(third / first)
        assert ratios[-1] == pytest.approx(-(a**2) / (3 * (1 + 2 * a**2)), rel=1e-8)
    assert ratios[-1] == pytest.approx(-0.1, rel=1e-8)  # one aligned neuron is He_1 - 0.1 He_3


def test_a_relu_network_has_no_odd_component_but_the_linear_one():
    rng = np.random.default_rng(2)
    x, first, readout = rng.normal(size=(50, 6)), rng.normal(size=(20, 6)), rng.normal(size=20)
    phi = get_activation("relu").phi
    odd = (phi(x @ first.T) - phi(-x @ first.T)) @ readout
    np.testing.assert_allclose(odd, x @ (readout @ first), atol=1e-12)
