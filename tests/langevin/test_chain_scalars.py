"""Errors to first order against those of leaving out one chain at a time, on moments made by hand."""

import numpy as np
import pytest
import torch

from msat.geometry import decompose
from msat.langevin.chain_scalars import relative_errors
from msat.langevin.moments import SEVERAL, Sums
from msat.langevin.potential import make_potential
from msat.observables.evaluate import jackknifed
from msat.observables.functions import across_target, centred_alignment, effective_rank

CHAINS, DRAWS = 12, 7
NOISE = 1e-3  # so small that first order is all there is


def _moments(n, seed):
    """Means of chains (chains, n, n): one positive matrix with well separated eigenvalues, and noise."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    centre = (Q * np.geomspace(3, 0.1, n)) @ Q.T
    noise = NOISE * rng.normal(size=(CHAINS, n, n))
    return centre + noise + np.swapaxes(noise, 1, 2)


def _jackknife(function, *means):
    """Return the relative error of a function of means over chains."""
    without = [function(*(np.delete(part, chain, axis=0).mean(axis=0) for part in means)) for chain in range(CHAINS)]
    value = function(*(part.mean(axis=0) for part in means))
    return float(jackknifed(value, np.array(without))[1]) / abs(value)


def _top(M):
    return np.linalg.eigvalsh(M)[-1]


def test_errors_are_those_of_leaving_out_chains(small_task, small_network):
    potential = make_potential(decompose(small_task, small_network), small_network)
    y = small_task.y_train
    n = len(y)
    f = 0.3 * y + NOISE * np.random.default_rng(3).normal(size=(CHAINS, n))
    H, second, S = _moments(n, 1), _moments(n, 2) + np.outer(0.3 * y, 0.3 * y), _moments(3, 4)
    sums = Sums()
    for name, array in {"f_train": f, "hidden_kernel": H, "ff_train": second, SEVERAL: S}.items():
        sums.add(name, torch.from_numpy(DRAWS * array), DRAWS)

    def covariance(ff, mean):
        return ff - np.outer(mean, mean)

    expected = {
        "covariance_outlier": _jackknife(lambda *m: _top(covariance(*m)), second, f),
        "variance_across_target": _jackknife(lambda *m: across_target(y, covariance(*m)), second, f),
        "hidden_kernel_outlier": _jackknife(_top, H),
        "hidden_kernel_bulk": _jackknife(lambda M: (M.trace() - _top(M)) / (n - 1), H),
        "hidden_kernel_effective_rank": _jackknife(effective_rank, H),
        "hidden_kernel_alignment": _jackknife(lambda M: centred_alignment(y, M), H),
        "readout_outlier": _jackknife(_top, S),
    }
    assert relative_errors(potential, sums) == pytest.approx(expected, rel=0.02)


def test_what_is_not_defined_is_left_out(small_task, small_network):
    potential = make_potential(decompose(small_task, small_network), small_network)
    assert relative_errors(potential, Sums()) == {}
    potential.wide.y[:] = 1.0  # no alignment with constant labels
    sums = Sums()
    n = len(small_task.y_train)
    moments = {"f_train": np.ones((CHAINS, n)), "hidden_kernel": _moments(n, 1), "ff_train": _moments(n, 2) + 1}
    for name, array in moments.items():
        sums.add(name, torch.from_numpy(array), 1)
    found = relative_errors(potential, sums)
    assert "hidden_kernel_alignment" not in found
    assert "readout_outlier" not in found
    assert len(found) == 5
