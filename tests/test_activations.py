import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import integrate

from msat.activations import NAMES as ACTIVATIONS
from msat.activations import get_activation
from msat.errors import InputError

NAMES = sorted(ACTIVATIONS)
GRID = np.linspace(-3, 3, 41) + 0.013  # off the kink of relu


def gaussian_average(function, low=-10.0, high=10.0, points=None):
    def density(t):
        return np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)

    return integrate.quad(lambda t: function(t) * density(t), low, high, epsabs=1e-12, limit=400, points=points)[0]


def reference_kernel(activation, va, vb, c):
    """Nested adaptive quadrature, with the kinks of the integrand given to it."""
    slope, rest = c / np.sqrt(va), np.sqrt(max(vb - c**2 / va, 0))

    def inner(t):
        m = slope * t
        kink = [np.clip(-m / rest, -9.9, 9.9)] if rest > 0 else None
        return gaussian_average(lambda s: float(activation.phi(m + rest * s)), points=kink)

    return gaussian_average(lambda t: float(activation.phi(np.sqrt(va) * t)) * inner(t), points=[0.0])


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_the_derivative_of_phi(name):
    activation = get_activation(name)
    step = 1e-6
    numeric = (activation.phi(GRID + step) - activation.phi(GRID - step)) / (2 * step)
    np.testing.assert_allclose(activation.derivative(GRID), numeric, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_torch_and_numpy_agree(name, dtype):
    activation = get_activation(name)
    tensor = torch.tensor(GRID, dtype=dtype)
    for function in (activation.phi, activation.derivative):
        result = function(tensor)
        assert result.dtype == dtype
        tolerance = 1e-14 if dtype == torch.float64 else 3e-6
        np.testing.assert_allclose(result.double().numpy(), function(GRID), atol=tolerance, rtol=tolerance)


def test_extreme_arguments_are_finite():
    far = np.array([-1e4, -800.0, 800.0, 1e4])
    for name in NAMES:
        activation = get_activation(name)
        assert np.all(np.isfinite(activation.phi(far)))
        assert np.all(np.isfinite(activation.derivative(far)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("va", "vb", "c"), [(0.7, 1.9, 0.4), (1.3, 0.2, -0.45), (2.0, 2.0, 1.99)])
def test_cross_dual_kernel_against_nested_quadrature(name, va, vb, c):
    activation = get_activation(name)
    kernel = activation.cross_dual_kernel(np.array([va]), np.array([vb]), np.array([[c]]))
    np.testing.assert_allclose(kernel[0, 0], reference_kernel(activation, va, vb, c), atol=2e-8)


@pytest.mark.parametrize("name", NAMES)
def test_dual_kernel_is_consistent_and_positive(name):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(12, 5))
    x[3] = x[2]  # a repeated point: correlation exactly 1
    x[4] = -x[2]
    covariance = x @ x.T / 5
    activation = get_activation(name)
    kernel = activation.dual_kernel(covariance)
    np.testing.assert_array_equal(kernel, kernel.T)
    np.testing.assert_allclose(kernel[2, 3], kernel[2, 2], atol=1e-8)
    np.testing.assert_allclose(np.diagonal(kernel), activation.dual_variance(np.diagonal(covariance)))
    assert np.linalg.eigvalsh(kernel)[0] > -1e-8
    variances = np.diagonal(covariance)
    cross = activation.cross_dual_kernel(variances[:4], variances[4:], covariance[:4, 4:])
    np.testing.assert_allclose(cross, kernel[:4, 4:], atol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus"])
@pytest.mark.parametrize("variance", [0.0, 0.3, 4.0])
def test_stated_accuracy_of_the_quadrature(name, variance):
    activation = get_activation(name)
    expected = gaussian_average(lambda t: float(activation.phi(np.sqrt(variance) * t)) ** 2)
    v = np.array([variance])
    np.testing.assert_allclose(activation.dual_variance(v), expected, atol=1e-8)
    np.testing.assert_allclose(activation.cross_dual_kernel(v, v, v[:, None]), expected, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("m", [-1.7, 0.0, 0.6])
@pytest.mark.parametrize("sd", [0.0, 0.3, 1.0])
def test_smoothed_moments(name, m, sd):
    activation = get_activation(name)
    kink = [np.clip(-m / sd, -9.9, 9.9)] if sd > 0 else None
    mean = gaussian_average(lambda t: float(activation.phi(m + sd * t)), points=kink)
    square = gaussian_average(lambda t: float(activation.phi(m + sd * t)) ** 2, points=kink)
    arguments = np.array([m]), np.array([sd])
    np.testing.assert_allclose(activation.smoothed_mean(*arguments), mean, atol=2e-5)
    np.testing.assert_allclose(activation.smoothed_square(*arguments), square, atol=2e-4)


def test_smoothed_moments_broadcast():
    m, sd = np.zeros((5, 3)), np.array([0.0, 0.1, 1.0])
    for name in NAMES:
        activation = get_activation(name)
        assert activation.smoothed_mean(m, sd).shape == (5, 3)
        assert activation.smoothed_square(m, 0 * sd).shape == (5, 3)


def test_only_quadratic_grows_faster_than_linearly():
    assert [name for name in NAMES if not get_activation(name).linear_growth] == ["quadratic"]


def test_an_activation_is_found_by_the_name_of_its_file():
    assert NAMES == ["erf", "gelu", "linear", "quadratic", "relu", "softplus", "tanh"]
    assert all(get_activation(name).name == name for name in NAMES)
    assert ACTIVATIONS[0] == "linear"  # lists in messages begin with it


def test_unknown_name_is_refused_with_the_list():
    with pytest.raises(InputError, match=r"activation = 'swish': must be one of linear, erf"):
        get_activation("swish")


def test_numpy_use_does_not_import_torch():
    code = (
        "import sys, numpy as np; from msat.activations import get_activation as g;"
        "g('gelu').phi(np.ones(2)); g('erf').dual_kernel(np.eye(2)); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
