"""What theory costs: against the one eigendecomposition that it needs, against dense algebra, and against training."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

import msat
from benchmarks import timing

LEVELS = ("nngp", "rescaling", "tree_level", "one_loop", "laplace", "exact")


class TheoryCost(NamedTuple):
    """What was measured, and the processor seconds and ratio found."""

    what: str
    seconds: float
    ratio: float
    against: str


def measure(quick: bool) -> list[TheoryCost]:
    """Return the costs of linear theory at large P and of non-linear theory at the paper's size."""
    size, small = (60, 40) if quick else (1000, 400)
    return [_large(size), _dense(small), _sampled(quick)]


def _scales(width: int) -> list[float]:
    return [float(f"{width ** (k / 6):.4g}") for k in range(7)]


def _large(size: int) -> TheoryCost:
    task = msat.tasks.ising(n_train=size, n_test=0, dimension=3 * size // 2, seed=0)
    network = msat.Network(width=200, g_w=0.5, g_v=0.5)
    kernel = task.x_train @ task.x_train.T
    actions = {
        "solve": lambda: msat.solve(task, network, _scales(200), list(LEVELS)),
        "eigh": lambda: np.linalg.eigh(kernel),
    }
    times = timing.alternating(actions, 1)
    return TheoryCost(
        f"linear, P = {size}, {len(LEVELS)} levels, 7 scales",
        times["solve"],
        times["solve"] / times["eigh"],
        "one eigendecomposition of that size",
    )


def _dense(size: int) -> TheoryCost:
    task = msat.tasks.ising(n_train=size, n_test=0, dimension=3 * size // 2, seed=0)
    network = msat.Network(width=200, g_w=0.5, g_v=0.5)
    actions = {
        "solve": lambda: msat.solve(task, network, _scales(200), ["nngp", "tree_level"]),
        "dense": lambda: _dense_nngp_and_tree(task, network, _scales(200)),
    }
    times = timing.alternating(actions, 3)
    return TheoryCost(
        f"linear, P = {size}, nngp and tree_level, 7 scales",
        times["solve"],
        times["solve"] / times["dense"],
        "dense solves at every scale and iteration",
    )


def _dense_nngp_and_tree(task: msat.Task, network: msat.Network, scales: list[float]) -> None:
    """Solve the two simplest levels as a script would."""
    C = network.g_v / task.dimension * task.x_train @ task.x_train.T
    identity = np.eye(task.n_train)
    for chi in scales:
        at = network.at(chi)
        np.linalg.solve(at.g * C + at.kappa * identity, task.y_train)
        gain = 1.0
        for _ in range(20):  # fixed-point iteration on the gain
            ft = np.linalg.solve(gain * at.g * C + at.kappa * identity, task.y_train)
            gain = 1 / (1 - min(0.999, at.tau * ft @ C @ ft))


def _sampled(quick: bool) -> TheoryCost:
    n_train, width = (10, 10) if quick else (80, 100)
    task = msat.tasks.ising(n_train=n_train, n_test=0, dimension=200, seed=0)
    network = msat.Network(width=width, activation="erf", g_w=0.5, g_v=0.5)
    scales = [1.0, float(width) ** 0.5, float(width)]
    started = time.process_time()
    msat.solve(task, network, scales, ["nngp", "rescaling", "tree_level", "laplace"])
    solved = time.process_time() - started
    length = {"steps": 64, "chains": 4} if quick else {"target_error": 0.0025, "max_steps": 10_000}
    started = time.process_time()
    for chi in scales:
        msat.train(task, network.at(chi), seed=0, device="cpu", **length)
    trained = time.process_time() - started
    return TheoryCost(
        f"erf, P = {n_train}, 4 levels, 3 scales", solved, solved / trained, "Langevin runs that check it"
    )
