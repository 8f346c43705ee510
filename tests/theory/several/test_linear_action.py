"""The closed-form action of several outputs against automatic differentiation of W."""

import numpy as np
import pytest
import torch

from msat.geometry import Spectrum
from msat.network import Network
from msat.theory.several.linear.action import linear_action
from msat.theory.several.linear.ladder import saddle
from msat.theory.several.matrices import Blocks
from tests.theory.several.references import derivative


@pytest.fixture(params=[(5, 1), (4, 2), (6, 3)], ids=str)
def case(request):
    samples, outputs = request.param
    rng = np.random.default_rng(3)
    lam = np.sort(3 * rng.random(samples))
    lam[0] = 0  # an output that does not exist
    y = rng.normal(size=(samples, outputs))
    spectrum = Spectrum(lam, np.eye(samples), y, np.zeros((0, samples)), np.zeros(0))
    network = Network(width=20, g_w=1.3, kappa_0=0.4, chi=2.0)
    ft = 0.5 * rng.normal(size=y.size)
    return spectrum, network, ft, linear_action(spectrum, network, ft), rng


def _S(spectrum, network):
    lam, y = torch.tensor(spectrum.lam), torch.tensor(spectrum.y)

    def value(flat):
        ft = flat.reshape(y.shape)
        edge = torch.eye(y.shape[1], dtype=torch.float64) - network.tau * ft.T @ (lam[:, None] * ft)
        W = -network.width / 2 * torch.linalg.slogdet(edge)[1]
        return -(ft * y).sum() + network.kappa / 2 * (ft**2).sum() + W

    return value


def test_action_gradient_curvature_and_propagator(case):
    spectrum, network, ft, action, _ = case
    S, at = _S(spectrum, network), torch.tensor(ft)
    assert action.value == pytest.approx(float(S(at)), rel=1e-13)
    np.testing.assert_allclose(action.gradient, torch.func.grad(S)(at).numpy(), atol=1e-12)
    curvature = torch.func.hessian(S)(at).numpy()
    np.testing.assert_allclose(action.curvature.dense(), curvature, atol=1e-12)
    np.testing.assert_allclose(action.G.dense(), np.linalg.inv(curvature), atol=1e-12)
    assert action.loop == pytest.approx(0.5 * np.linalg.slogdet(curvature)[1], abs=1e-12)
    np.testing.assert_allclose(action.identity.dense(), np.eye(len(ft)))


def test_derivatives_of_the_loop(case):
    spectrum, network, ft, action, rng = case
    S = _S(spectrum, network)
    for index, e in enumerate(np.eye(len(ft))):
        log_det = derivative(
            lambda t, e=e: float(torch.linalg.slogdet(torch.func.hessian(S)(torch.tensor(ft + t * e)))[1]), step=1e-3
        )
        assert network.width * action.T[index] == pytest.approx(log_det, abs=1e-8)
        slope = derivative(lambda t, e=e: action.at(ft + t * e).T)
        np.testing.assert_allclose(action.dT @ e, slope, atol=1e-10)
    p = rng.normal(size=len(ft))
    third = derivative(lambda t: action.at(ft + t * p).curvature.dense()) / network.width
    np.testing.assert_allclose(action.third_cumulant(p).dense(), third, atol=1e-10)


def test_a_field_outside_the_domain_has_no_action(case):
    spectrum, network, ft, _, _ = case
    assert linear_action(spectrum, network, 100 * ft) is None


def test_the_saddle_is_the_minimum_of_S(case):
    spectrum, network, _, _, rng = case
    for chi in (0.01, 1.0, 100.0, 1e4):
        found = saddle(spectrum, network.at(chi))
        assert found.converged
        assert found.iterations < 20
        here = found.action
        for _ in range(5):
            assert here.at(here.ft * (1 + 1e-3 * rng.normal(size=len(here.ft)))).value > here.value
    # from anywhere the same
    far = saddle(spectrum, network, gain=np.diag(10.0 ** rng.uniform(-2, 2, spectrum.y.shape[1])))
    np.testing.assert_allclose(far.action.ft, saddle(spectrum, network).action.ft, rtol=1e-9, atol=1e-10)


def test_blocks_plus_low_rank():
    rng = np.random.default_rng(0)

    def drawn():
        d, core = rng.normal(size=(4, 3, 3)), rng.normal(size=(2, 2))
        return Blocks(d + d.transpose(0, 2, 1), rng.normal(size=(12, 2)), core + core.T)

    a, b, x = drawn(), drawn(), rng.normal(size=(12, 12))
    dense, other = a.dense(), b.dense()
    assert dense[1, 3] == pytest.approx((a.V @ a.S @ a.V.T)[1, 3])  # of different samples
    pairs = [(a + b, dense + other), (a - b, dense - other), (2.0 * a, 2 * dense), (a.T, dense)]
    for found, expected in pairs:
        np.testing.assert_allclose(found.dense(), expected, atol=1e-12)
    for found, expected in [(a + x, dense + x), (x - a, x - dense), (a @ x, dense @ x), (x @ a, x @ dense)]:
        np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(a @ x[0], dense @ x[0], atol=1e-12)
    whole = dense.reshape(4, 3, 4, 3)
    np.testing.assert_allclose(a.traced(), np.einsum("acbc->ab", whole), atol=1e-12)
    np.testing.assert_allclose(a.output_blocks(), np.einsum("acad->acd", whole), atol=1e-12)
