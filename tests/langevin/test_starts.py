"""Starting points are over-dispersed: some below and some above what the posterior learns."""

import numpy as np
import pytest
import torch

from msat.geometry import decompose
from msat.langevin.potential import make_potential
from msat.langevin.starts import start_names, starting_points
from msat.network import Network


def test_informed_start_fits_and_zero_start_is_zero(small_task, small_network):
    network = Network(width=4000, g_w=1.0, g_v=1.0, kappa_0=1.0)
    potential = make_potential(decompose(small_task, network), network)
    A, b = starting_points(potential, 3, torch.Generator().manual_seed(0), None)
    outputs = potential.outputs((A, b)).numpy()
    names = start_names(3, with_theory=False)
    assert names == ["prior", "zero", "informed"]
    np.testing.assert_array_equal(outputs[1], 0.0)
    y = small_task.y_train
    # the prior part of the informed start adds outputs of variance g C + cross terms, all of order 1
    assert y @ outputs[2] / (y @ y) == pytest.approx(1.0, abs=0.9)
    balanced_A, balanced_b = A[2] - A[2].mean(), b[2]
    assert balanced_A.shape == (4000, potential.rank)
    assert balanced_b.abs().mean() > 0
