import numpy as np
import pytest

from msat.errors import InputError
from msat.network import Network, NetworkSettings


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


def test_defaults_are_the_papers():
    paper = {"width": 100, "activation": "linear", "g_w": 0.5, "g_v": 0.5, "kappa_0": 1.0, "chi": 1.0}
    assert Network().parameters() == paper
    assert {name: value for name, value in paper.items() if name != "chi"} == NetworkSettings().parameters()
    assert Network().widths == (100,)


def test_arguments_may_be_positional_and_unknown_ones_are_refused():
    assert Network(7, "erf", 1.0, 2.0, 3.0, 4.0) == Network(
        width=7, activation="erf", g_w=1.0, g_v=2.0, kappa_0=3.0, chi=4.0
    )
    with pytest.raises(TypeError, match="takes 6 arguments, 7 were given"):
        Network(7, "erf", 1.0, 2.0, 3.0, 4.0, 5.0)
    with pytest.raises(InputError, match="depth"):
        Network(depth=2)
    with pytest.raises(InputError, match="activation = 'swish': must be one of linear, erf"):
        Network(activation="swish")


def test_at_changes_the_scale_only_and_checks_it():
    network = Network(width=7, activation="erf", g_w=2.0)
    assert network.at(5).parameters() == network.parameters() | {"chi": 5.0}
    with pytest.raises(InputError, match="chi = -1"):
        network.at(-1.0)
