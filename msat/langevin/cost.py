"""What a training takes, for schedulers: memory and time by the sizes of the problem.

Measured by benchmarks/sizes.py on one core of the machine of docs/cluster.md.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 24 * 60  # minutes that a job asks for at most: what is left then goes on from the checkpoint
SHORT = 10  # minutes below which jobs are submitted in groups
_START = 10  # minutes to start and to finish


def training_mb(
    chains: int, widths: Sequence[int], n_train: int, n_test: int, dimension: int, n_outputs: int = 1
) -> int:
    """Return the memory of a training in MB.

    With several hidden layers their weights count as first layers do.

    All chains' first layers, and their neurons on training and test points, which networks that are not linear hold
    several times while they record; P by P and P m by P m matrices of every chain; block means of all outputs. The
    sampler makes little difference; linear networks take half of what their neurons are counted for here.
    """
    neurons = chains * sum(
        width * (below + n_train + n_test) for below, width in _layers(widths, min(n_train, dimension))
    )
    # every layer's kernels are of all chains together
    neurons += (len(widths) - 1) * n_train**2
    blocks = 300 * chains * (2 * n_train + n_test) * n_outputs
    matrices = chains * (26 * n_train**2 + 4 * (n_train * n_outputs) ** 2)
    return 540 + int(8e-6 * (4.9 * neurons + matrices + 2 * blocks))


def expected_minutes(
    chains: int, widths: Sequence[int], n_train: int, dimension: int, steps: int, burn_in: int
) -> float:
    """Return the minutes of a training of so many steps and at most so many of burn-in, without the start.

    Outputs beyond the first add a fifth at ten of them, well within the factor of two that is asked for.
    """
    weights = chains * sum(below * width for below, width in _layers(widths, min(n_train, dimension)))
    hidden = chains * sum(widths) * n_train
    # calls; noise and its sum; the activation; products of first layer and data
    step = 3e-4 + 1.2e-8 * weights + 5e-9 * hidden + 2e-11 * weights * n_train
    return (steps + burn_in) * step / 60


def _layers(widths: Sequence[int], rank: int) -> list[tuple[int, int]]:
    """Return the sides of every layer's weights, from the bottom to the top."""
    return list(zip((rank, *widths), widths, strict=False))


def evaluations(sampler: str) -> int:
    """Return the evaluations of the forces that a step of a sampler is taken to need; an hmc trajectory, at most."""
    return {"hmc": 80, "underdamped": 2}.get(sampler, 1)  # underdamped: with what the run at half the step adds


def asked_minutes(expected: float, attempt: int = 1) -> int:
    """Return the minutes to ask for: twice the expected ones and ten to start; each retry asks for more."""
    return min(LONGEST, attempt * (_START + int(2 * expected)))


def is_short(expected: float) -> bool:
    """Return whether a training is too short for a submission of its own."""
    return expected < SHORT
