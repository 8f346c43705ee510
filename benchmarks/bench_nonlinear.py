"""Theory of a non-linear network at seven scales against the Langevin runs that check it.

erf network on the paper's Ising setting, library defaults for both. Prints the ratio of processor times within
this run, which other processes on the machine hardly change.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time

import msat

SCALES = [1.0, 2.15, 4.64, 10.0, 21.5, 46.4, 100.0]


def main() -> None:
    """Print the measurements."""
    task = msat.tasks.ising(n_train=80, n_test=1000, dimension=200, seed=0)
    network = msat.Network(width=100, activation="erf", g_w=0.5, g_v=0.5)
    msat.train(task, network, steps=64)  # loads torch, which is not what is measured
    started = time.process_time()
    theory = msat.solve(task, network, SCALES, ["nngp", "rescaling", "tree_level", "laplace"])
    solved = time.process_time() - started
    print(f"theory, {len(SCALES)} scales: {solved:.1f} s, converged: {bool(theory['converged'].all())}")
    trained = 0.0
    for chi in SCALES:
        started = time.process_time()
        langevin = msat.train(task, network.at(chi), seed=0)
        trained += time.process_time() - started
        table = msat.compare(theory, langevin).set_index("level")
        measured, error = table.loc["laplace", ["train_discrepancy_langevin", "train_discrepancy_error"]]
        deviation = table.loc["laplace", "train_discrepancy"] / measured - 1
        print(f"chi = {chi:g}: laplace off by {deviation:+.2%} (standard error {error / measured:.2%})")
    print(f"training: {trained:.1f} s; the theory takes {solved / trained:.3f} of it")


if __name__ == "__main__":
    main()
