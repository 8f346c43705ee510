import numpy as np
import pytest

from msat.errors import InputError
from msat.network import Network


def test_the_scale_acts_on_readout_prior_and_noise_alike():
    network = Network(width=50, g_w=0.5, g_v=2.0, kappa_0=1.5).at(10.0)
    assert network.g == pytest.approx(0.05)
    assert network.kappa == pytest.approx(0.15)
    assert network.tau == pytest.approx(0.001)
    assert network.g_v == 2.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 0}, "width = 0: must be an integer from 1 to"),
        ({"width": 1.5}, "width = 1.5"),
        ({"width": True}, "width = True"),
        ({"chi": 0.0}, "chi = 0.0: must be a finite number greater than 0"),
        ({"chi": float("inf")}, "chi = inf"),
        ({"kappa_0": -1.0}, "kappa_0 = -1.0"),
        ({"g_w": float("nan")}, "g_w = nan"),
        ({"width": 10**20}, "must be an integer from 1 to"),
        ({"chi": 1e-320}, "must be between 1e-100 and 1e\\+100"),
        ({"kappa_0": 1e-300, "chi": 1e10}, "must be between 1e-100"),
        ({"g_v": "1"}, "g_v = '1': must be a number"),
    ],
)
def test_bad_parameters_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Network(**({"width": 10} | values))


def test_numbers_of_any_kind_are_the_same_network():
    plain = Network(width=10, g_w=1.0, chi=10.0)
    other = Network(width=np.int64(10), g_w=1, chi=np.float32(10))
    assert plain.parameters() == other.parameters()
    assert [type(value) for value in other.parameters().values()] == [int, str, float, float, float, float]
