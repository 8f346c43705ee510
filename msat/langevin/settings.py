"""How to train: every choice that the config and the command line offer, with units and ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from msat.langevin.samplers import SamplerName
from msat.settings import Seed, Settings

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "float64"]
IntegratorName = Literal["leimkuhler_matthews", "euler_maruyama"]

# when a run ends; all other settings determine the trajectory of the chains
STOPPING_RULE = ("target_error", "max_steps", "steps")


class LangevinSettings(Settings):
    """Settings of one ensemble of chains."""

    sampler: SamplerName = Field(
        "langevin",
        description="langevin (overdamped, the paper's dynamics), hmc (Hamiltonian Monte Carlo: no bias from its step) "
        "or underdamped (Langevin with momenta; measures its bias by a run at half the step).",
    )
    chains: int = Field(16, ge=2, description="Number of independent chains, advanced in one batch.")
    target_error: float = Field(
        0.001,
        gt=0,
        description="Stop when the standard error of the train discrepancy is below this fraction of it, that of "
        "others below 4 (test discrepancy), 10 (norms, kernels), 40 (variances) and 80 (largest eigenvalue of "
        "the covariance) times this of theirs, and the chains have mixed in all of them.",
    )
    max_steps: int = Field(
        400_000,
        ge=64,
        description="Most steps kept per chain (of hmc: trajectories); reaching it is reported as target not met.",
    )
    steps: int | None = Field(
        None,
        ge=64,
        description="Keep exactly this many steps per chain (rounded up to whole blocks) instead of "
        "stopping at target_error, as by default.",
    )
    step_safety: float = Field(
        0.5, gt=0, le=1.5, description="Of langevin: step size times the measured top curvature of the potential."
    )
    max_step_size: float = Field(
        0.06,
        gt=0,
        description="Of langevin: largest step size that step_safety may set, in whitened coordinates; over the root "
        "of m with m outputs. At 0.12 the output variance of the Ising task at chi = 1 is 0.75 +- 0.24 % too large, at "
        "0.06 no bias is seen.",
    )
    step_size: float | None = Field(
        None,
        gt=0,
        description="Fixed step size in whitened coordinates; by default the sampler sets it: langevin by step_safety "
        "and max_step_size, hmc by acceptance, underdamped to 0.35 over the root of the top curvature.",
    )
    integrator: IntegratorName = Field(
        "leimkuhler_matthews",
        description="Of langevin: leimkuhler_matthews (bias of second order in the step) or euler_maruyama (first).",
    )
    trajectory: float = Field(
        1.5,
        gt=0,
        le=100,
        description="Of hmc: mean length of a trajectory in time; the prior is drawn independently at pi/2.",
    )
    acceptance: float = Field(0.8, gt=0, lt=1, description="Of hmc: acceptance to which burn-in tunes the step size.")
    friction: float = Field(1.0, gt=0, description="Of underdamped: rate at which momenta are renewed.")
    burn_in_rhat: float = Field(
        1.05, gt=1, description="Burn-in ends when R-hat over the last segment, less its own noise, is below this."
    )
    max_burn_in: int = Field(100_000, ge=1, description="Most steps of burn-in per chain.")
    dtype: Precision = Field("float32", description="Precision of the dynamics; moments are always float64.")
    device: Device = Field("auto", description="auto (CUDA where present, else CPU), cpu, or cuda.")


class Saving(Settings):
    """How trainings are saved beside their results; it changes no result."""

    checkpoint_every: float = Field(
        60.0, ge=0, description="Seconds between two checkpoints of a running training; it saves on SIGTERM too."
    )
    keep_state: bool = Field(
        True,
        description="Keep the final state of every training and a second name of its result, so that a smaller "
        "target_error or more steps go on from there. One state takes 1 to 2 KB times chains times "
        "(2 n_train + n_test), in states/ under results.",
    )


class TrainingJob(Saving):
    """One training as a job: its seed, its threads, and the files that it starts from and is saved to."""

    seed: Seed = Field(0, description="Seed of starts and noise.")
    threads: int = Field(1, ge=1, description="CPU threads.")
    theory: Path | None = Field(
        None,
        description="Result of the theory on the same data: a quarter of the chains starts from its neurons, where it "
        "has some (networks that are not linear). Starts change no stationary law, only how soon it is reached.",
    )
    checkpoint: Path | None = Field(
        None,
        description="File to save the run to while it goes on and on SIGTERM, and to resume it from; removed once the "
        "result is written.",
    )
    final_state: Path | None = Field(
        None,
        description="File in which the finished run leaves its state, and from which one with a smaller target "
        "error or more steps goes on. A copy of the result lies beside it until the next one is whole.",
    )
