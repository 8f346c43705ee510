"""Theory at P = 2000: time relative to the one eigendecomposition, peak memory, and against dense algebra.

Prints ratios measured within this run; absolute times are the machine's.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import time

import numpy as np

import msat
from msat.theory.anneal import LEVELS


def dense_nngp_and_tree(task, network, scales):
    """Solve the two simplest levels as a script would do them: dense solves at every scale and iteration."""
    C = network.g_v / task.dimension * task.x_train @ task.x_train.T
    identity = np.eye(task.n_train)
    for chi in scales:
        at = network.at(chi)
        np.linalg.solve(at.g * C + at.kappa * identity, task.y_train)
        gain = 1.0
        for _ in range(20):  # fixed-point iteration on the gain Q
            ft = np.linalg.solve(gain * at.g * C + at.kappa * identity, task.y_train)
            gain = 1 / (1 - min(0.999, at.tau * ft @ C @ ft))


def timed(function, *arguments):
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def main() -> None:
    """Print the measurements."""
    scales = [float(f"{200 ** (k / 6):.4g}") for k in range(7)]
    task = msat.tasks.ising(n_train=2000, n_test=1000, dimension=3000, seed=0)
    network = msat.Network(width=200, g_w=0.5, g_v=0.5)
    eigen = timed(np.linalg.eigh, task.x_train @ task.x_train.T)
    solve = timed(msat.solve, task, network, scales, LEVELS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"P = 2000, {len(LEVELS)} levels, {len(scales)} scales: {solve:.1f} s, eigh takes {eigen:.1f} s")
    print(f"peak memory of the process: {peak:.2f} GiB")
    small = msat.tasks.ising(n_train=400, n_test=0, dimension=600, seed=0)
    ours = timed(msat.solve, small, network, scales, ["nngp", "tree_level"])
    dense = timed(dense_nngp_and_tree, small, network, scales)
    print(f"P = 400, nngp and tree_level, 7 scales: dense solves take {dense / ours:.1f} times as long")


if __name__ == "__main__":
    main()
