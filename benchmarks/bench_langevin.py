"""One Langevin step: closed-form forces in the row space against autograd, and against all D inputs.

Prints ratios measured within this run; absolute times are the machine's.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time

import numpy as np
import torch

import msat
from msat.geometry import decompose
from msat.langevin.integrators import leimkuhler_matthews
from msat.langevin.potential import Potential, make_potential

CHAINS, STEPS = 16, 200


def seconds_per_step(potential: Potential, autograd: bool) -> float:
    """Return the time of one Leimkuhler-Matthews step of all chains."""
    generator = torch.Generator().manual_seed(0)
    width = potential.network.width
    A = torch.randn(CHAINS, width, potential.rank, generator=generator)
    b = torch.randn(CHAINS, width, generator=generator)
    noise = (torch.randn_like(A), torch.randn_like(b))
    started = time.perf_counter()
    for _ in range(STEPS):
        if autograd:
            A.requires_grad_()
            b.requires_grad_()
            gradients = torch.autograd.grad(potential.energy((A, b)).sum(), (A, b))
            A, b = A.detach(), b.detach()
        else:
            gradients, _ = potential.forces((A, b))
        leimkuhler_matthews((A, b), gradients, noise, 0.01, generator)
    return (time.perf_counter() - started) / STEPS


def main() -> None:
    """Print the measurements."""
    torch.set_num_threads(1)
    task = msat.tasks.ising(n_train=80, n_test=0, dimension=200, seed=0)
    network = msat.Network(width=100, g_w=0.5, g_v=0.5)
    reduced = make_potential(decompose(task, network), network).to(torch.float32, torch.device("cpu"))
    full = Potential(
        network,
        reduced.activation,
        torch.from_numpy(np.sqrt(network.g_v / task.dimension) * task.x_train).float(),
        torch.zeros(0, task.dimension),
        torch.zeros(0),
        reduced.y,
    )
    ours = seconds_per_step(reduced, autograd=False)
    print(f"N = 100, P = 80, D = 200, {CHAINS} chains: {1e3 * ours:.2f} ms a step")
    print(f"autograd takes {seconds_per_step(reduced, autograd=True) / ours:.2f} times as long")
    print(f"all D inputs take {seconds_per_step(full, autograd=False) / ours:.2f} times as long")


if __name__ == "__main__":
    main()
