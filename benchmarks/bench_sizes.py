"""What a training job costs against its size: time a step, memory, and the size of its saved state.

Prints the table of docs/cluster.md beside what the workflow would ask for; the times are the machine's. A
process of its own for each size, since peak memory never falls.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# activation, width N, samples P, dimension D, chains
SIZES = (
    ("linear", 20, 20, 40, 16),
    ("linear", 100, 80, 200, 16),
    ("linear", 100, 80, 200, 64),
    ("erf", 100, 80, 200, 16),
    ("linear", 1000, 80, 200, 16),
    ("linear", 100, 400, 400, 16),
)
N_TEST = 1000


def measure(activation: str, width: int, n_train: int, dimension: int, chains: int) -> dict[str, float]:
    """Return seconds a step, peak memory in MB and the MB of the final state of a short run."""
    import msat

    task = msat.tasks.ising(n_train=n_train, n_test=N_TEST, dimension=dimension, seed=0)
    network = msat.Network(width=width, activation=activation, g_w=0.5, g_v=0.5)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "state.pt")
        # 128 blocks of one step of sampling: the moments are as large as in a long run
        settings = {"chains": chains, "device": "cpu", "max_burn_in": 32, "steps": 128, "final_state": state}
        import torch

        from msat.langevin import dynamics

        marks = []
        original = dynamics._advance_block

        def advance(*arguments: object) -> None:
            marks.append(time.process_time())
            original(*arguments)

        dynamics._advance_block = advance
        torch.set_num_threads(1)
        msat.train(task, network, **settings)
        # burn-in only: what is recorded after a block costs more than a block of one step
        burn_in = marks[1:32]
        return {
            "seconds": (burn_in[-1] - burn_in[0]) / (len(burn_in) - 1),
            "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "state_mb": state.stat().st_size / 1e6,
        }


def main() -> None:
    """Print the measurements, or with a size as argument measure that one."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(*json.loads(sys.argv[1]))))
        return
    print(f"{'activation':>10} {'N':>5} {'P':>4} {'D':>4} {'chains':>6} {'ms/step':>8} {'MB':>6} {'state MB':>8}")
    for size in SIZES:
        done = subprocess.run([sys.executable, __file__, json.dumps(size)], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        activation, width, n_train, dimension, chains = size
        print(
            f"{activation:>10} {width:>5} {n_train:>4} {dimension:>4} {chains:>6} {1e3 * found['seconds']:>8.2f} "
            f"{found['mb']:>6.0f} {found['state_mb']:>8.1f}"
        )


if __name__ == "__main__":
    main()
