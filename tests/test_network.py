import pytest

from msat.errors import InputError
from msat.network import Network


def test_the_scale_acts_on_readout_prior_and_noise_alike():
    network = Network(width=50, g_w=0.5, g_v=2.0, kappa_0=1.5).at(10.0)
    assert network.g == pytest.approx(0.05)
    assert network.kappa == pytest.approx(0.15)
    assert network.tau == pytest.approx(0.001)
    assert network.g_v == 2.0


def test_parameters_round_trip():
    network = Network(width=50, g_w=0.5, chi=3.0)
    assert Network.from_parameters(network.parameters()) == network


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 0}, "width = 0: must be an integer of at least 1"),
        ({"width": 1.5}, "width = 1.5"),
        ({"width": True}, "width = True"),
        ({"chi": 0.0}, "chi = 0.0: must be a finite number greater than 0"),
        ({"chi": float("inf")}, "chi = inf"),
        ({"kappa_0": -1.0}, "kappa_0 = -1.0"),
        ({"g_w": float("nan")}, "g_w = nan"),
        ({"g_v": "1"}, "g_v = '1': must be a number"),
    ],
)
def test_bad_parameters_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Network(**({"width": 10} | values))
