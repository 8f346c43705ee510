"""Shared fixtures. Threads are bounded before NumPy and torch start their pools."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

from pathlib import Path

import numpy as np
import pytest

import msat
from msat.network import Network
from msat.tasks.base import Task

ROOT = Path(__file__).parents[1]

# A statistical test fails if |z| exceeds this: a false alarm in 1.7 million, far below 1e-4 over all tests.
Z_LIMIT = 5.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start files with slow tests first, or the last of them would keep one process while others are idle."""
    workflow = {item.path for item in items if item.get_closest_marker("workflow")}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in workflow, item.path not in slow))


@pytest.fixture(scope="session")
def paper_task() -> Task:
    """The setting of the paper's Fig. 2."""
    return msat.tasks.ising(n_train=80, n_test=1000, dimension=200, delta_p=0.1, seed=0)


@pytest.fixture(scope="session")
def paper_network() -> Network:
    return Network(width=100, activation="linear", g_w=0.5, g_v=0.5, kappa_0=1.0)


@pytest.fixture(scope="session")
def small_task() -> Task:
    """Few samples, generic inputs and labels: no symmetry can hide an error."""
    rng = np.random.default_rng(11)
    return Task(rng.normal(size=(6, 9)), rng.normal(size=6), rng.normal(size=(4, 9)), rng.normal(size=4))


@pytest.fixture(scope="session")
def small_network() -> Network:
    return Network(width=7, activation="linear", g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0)
