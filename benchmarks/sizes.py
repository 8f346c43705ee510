"""What a training costs against N, P, chains and threads: time a step by the clock, memory, and its saved state.

The table of docs/cluster.md, by which `msat.langevin.cost` asks for resources, is made of these numbers. Time is taken
in this process, sizes in turn; memory in a process of its own for each size, since peak memory never falls.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

import msat
from benchmarks import timing
from msat.geometry import decompose
from msat.langevin.integrators import leimkuhler_matthews
from msat.langevin.potential import make_potential


class Size(NamedTuple):
    """A network, its data, and how it is run."""

    activation: str
    width: int
    n_train: int
    dimension: int
    chains: int
    threads: int = 1


class Cost(NamedTuple):
    """Milliseconds of a step of all chains by the clock, peak memory and final state of a training in MB."""

    milliseconds: float
    peak_mb: float
    state_mb: float


SIZES = (
    Size("linear", 20, 20, 40, 16),
    Size("linear", 100, 80, 200, 4),
    Size("linear", 100, 80, 200, 16),
    Size("linear", 100, 80, 200, 16, threads=2),
    Size("linear", 100, 80, 200, 64),
    Size("linear", 100, 80, 200, 64, threads=2),
    Size("linear", 1000, 80, 200, 16),
    Size("linear", 100, 400, 400, 16),
    Size("erf", 100, 80, 200, 16),
    Size("erf", 100, 80, 200, 16, threads=2),
    Size("erf", 1000, 80, 200, 16),
    Size("erf", 100, 400, 400, 16),
)
N_TEST = 1000


def measure(quick: bool) -> dict[Size, Cost]:
    """Return the cost of every size."""
    sizes = SIZES[:1] if quick else SIZES
    times = timing.alternating(
        {str(index): _steps(size) for index, size in enumerate(sizes)}, 3 if quick else 5, timing.wall_seconds
    )
    torch.set_num_threads(1)
    costs = {}
    for index, size in enumerate(sizes):
        command = [sys.executable, "-m", "benchmarks.sizes", json.dumps(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, state = json.loads(done.stdout.splitlines()[-1])
        costs[size] = Cost(1e3 * times[str(index)] / _count(size), peak, state)
    return costs


def _problem(size: Size, n_test: int) -> tuple[msat.Task, msat.Network]:
    task = msat.tasks.ising(n_train=size.n_train, n_test=n_test, dimension=size.dimension, seed=0)
    return task, msat.Network(width=size.width, activation=size.activation, g_w=0.5, g_v=0.5)


def _count(size: Size) -> int:
    """Return steps that take about a tenth of a second."""
    return max(3, int(1e7 / (size.width * size.chains * size.n_train)))


def _steps(size: Size) -> Callable[[], None]:
    task, network = _problem(size, 0)
    potential = make_potential(decompose(task, network), network).to(torch.float32, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    shape = (size.chains, size.width, potential.rank)
    weights = (torch.randn(shape, generator=generator), torch.randn(shape[:2], generator=generator))
    noise = tuple(torch.randn_like(layer) for layer in weights)

    def steps() -> None:
        torch.set_num_threads(size.threads)
        for _ in range(_count(size)):
            leimkuhler_matthews(weights, potential.forces(weights)[0], noise, 0.01, generator)

    return steps


def training_memory(size: Size) -> tuple[float, float]:
    """Return peak memory of this process and the final state of a training, in MB."""
    task, network = _problem(size, N_TEST)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "state.pt")
        # 128 short blocks: the moments are as large as in a long run
        msat.train(
            task, network, chains=size.chains, device="cpu", max_burn_in=32, steps=128, final_state=state, threads=1
        )
        # not getrusage: its maximum is inherited from the process that started this one
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 1024, state.stat().st_size / 1e6


if __name__ == "__main__":
    print(json.dumps(training_memory(Size(*json.loads(sys.argv[1])))))
