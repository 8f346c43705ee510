"""Stage `train`: one ensemble of Langevin chains, as one Dataset, saved while it runs."""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from msat.errors import InputError, Interrupted
from msat.geometry import component_projection, decompose
from msat.keys import digest, same
from msat.langevin import checkpoint as checkpoints
from msat.langevin import ensemble
from msat.langevin.diagnostics import RHAT_LIMIT
from msat.langevin.interrupt import Stop
from msat.langevin.progress import Reporter
from msat.langevin.settings import STOPPING_RULE, LangevinSettings, TrainingJob
from msat.langevin.state import Progress, State
from msat.langevin.stopping import passes_through
from msat.network import Network
from msat.provenance import environment
from msat.stages import code, measured
from msat.store import check_distinct, check_writable, keep_copy, load_dataset, save_dataset
from msat.tasks.base import Task
from msat.tasks.storage import load_task
from msat.types import Array
from msat.validation import validated


def run(
    data: Path, out: Path, network: Network, settings: LangevinSettings, job: TrainingJob, label: str = ""
) -> list[str]:
    """Train on a data file, write the result, and return warnings.

    The checkpoint is removed last: only then is the work safe.

    Raises:
        InputError, ComputationError, Interrupted: See `train`.
    """
    written = (("--checkpoint", job.checkpoint), ("--final-state", job.final_state), ("--out", out))
    copy = None if job.final_state is None else _copy_of_result(job.final_state)
    check_distinct(("the data file", data), ("--theory", job.theory), ("the copy beside --final-state", copy), *written)
    for option, path in written:
        if path is not None:
            check_writable(path, option)
    theory = None if job.theory is None else load_dataset(job.theory, "theory")
    dataset = _train(load_task(data), network, settings, job, theory, progress=True)
    dataset.attrs["label"] = label
    save_dataset(out, dataset)
    if job.final_state is not None and job.keep_state:
        keep_copy(out, _copy_of_result(job.final_state))
    if job.checkpoint is not None:
        job.checkpoint.unlink(missing_ok=True)
    attributes = dataset.attrs
    mixed = f"R-hat is {attributes['rhat_max']:.3f}: chains may not have mixed; run longer"
    if attributes["rhat_excess"] < RHAT_LIMIT:
        mixed = f"{attributes['ess_slowest']:.0f} effective draws: too few to say that chains have mixed; run longer"
    texts = {
        "target_met": "the target error was not reached" if settings.steps is None else "",
        "mixed": mixed,
        "burn_in_converged": "burn-in ended at its maximum, not by its criterion",
    }
    return [text for name, text in texts.items() if text and not attributes[name]]


def _copy_of_result(final_state: Path) -> Path:
    return final_state.with_suffix(".nc")


def train(
    task: Task,
    network: Network,
    *,
    seed: int = 0,
    theory: xr.Dataset | None = None,
    progress: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Return the posterior moments measured on an ensemble of trained networks.

    Args:
        task, network: Data and network, at one scale.
        seed: Seed of starts and noise; with data and network it fixes the trajectory on one device and thread count.
        theory: Result of `msat.solve` on the same data and network: a quarter of the chains starts from its neurons,
            where it has some at the scale.
        progress: Whether to show progress on standard error.
        **options: Fields of `msat.langevin.settings.LangevinSettings` (sampler, chains, target_error, ...) and of
            `msat.langevin.settings.TrainingJob`: threads, and the files that the run is saved to. To `checkpoint` it is
            saved while it goes on, and at the end of the present block on SIGTERM, SIGUSR1 or SIGINT; from it it
            resumes. The file is left in place: remove it once the result is stored, as the command line does. In
            `final_state` a finished run leaves its state (unless keep_state is False), and from it a run that differs
            only in its end (target_error, max_steps, steps) goes on, with the result that it would have had from the
            start. It is a cache: a state that does not fit is not used.

    Returns:
        xarray.Dataset: Dimensions chi (size 1), train (and train_), test, chain; variables and attributes as in
            docs/formats.md. Errors are Monte Carlo standard errors that account for autocorrelation. The attributes
            `target_met`, `mixed` and `burn_in_converged` say whether to trust it.

    Raises:
        InputError: If an option is not allowed, a step size is too large to be stable, the device is not there, or the
            checkpoint is of another run.
        ComputationError: If the dynamics diverge.
        Interrupted: If a signal stopped the run; it is saved in the checkpoint.

    Examples:
        >>> import msat
        >>> task = msat.tasks.ising(n_train=4, n_test=0, dimension=5)
        >>> trained = msat.train(task, msat.Network(width=5), steps=256, chains=4)
        >>> trained["mean_train"].shape
        (1, 4)
    """
    job = {"seed": seed, **{name: options.pop(name) for name in TrainingJob.model_fields if name in options}}
    return _train(task, network, validated(LangevinSettings, options), validated(TrainingJob, job), theory, progress)


def _train(
    task: Task,
    network: Network,
    settings: LangevinSettings,
    job: TrainingJob,
    theory: xr.Dataset | None,
    progress: bool,
) -> xr.Dataset:
    started = time.perf_counter()
    device = find_device(settings.device)
    torch.set_num_threads(job.threads)
    key = ensemble.key(network, task.digest(), job.seed, settings.sampler)
    code_digest = code.training(network.activation, settings.sampler, network.depth)
    geometry = decompose(task, network)
    population = None if theory is None else neurons_of(theory, task, network)
    potential, state = ensemble.begin(geometry, network, settings, key, device, population)
    trajectory = digest(
        {
            **key,
            "settings": settings.model_dump(exclude=set(STOPPING_RULE)),
            "device": device.type,
            "threads": job.threads,
            "code": code_digest,
            "starts": "" if population is None else hashlib.sha256(population.tobytes()).hexdigest(),
            "torch": torch.__version__,
        }
    )
    projection = component_projection(task.direction, task.x_test)
    with Reporter(
        f"{settings.sampler} chi={network.chi:g} seed={job.seed} on {device.type}", quiet=not progress
    ) as reporter:
        reporter.note(_device_line(settings.device, device, job.threads))
        with Stop() if job.checkpoint is not None else nullcontext(Stop()) as stop:
            saved = _Saved(job, trajectory, device, reporter, stop)
            state = saved.resumed(settings, task.y_train.size) or state
            measurement = ensemble.finish(geometry, potential, settings, state, projection, saved.on_block)
        about = {
            **settings.model_dump(),
            "seed": job.seed,
            "data_digest": task.digest(),
            "theory_starts": theory is not None,
            "code": code_digest,
            "device": device.type,
            "device_name": checkpoints.device_name(device),
            "threads": job.threads,
            "wall_time_s": time.perf_counter() - started,
            **environment(),
        }
        dataset = measured.dataset(measurement, geometry, network, projection, about)
        reporter.note(
            f"done: {state.steps:,} steps after {state.burn_in_steps:,} of burn-in, relative error "
            f"{state.look.relative_error:.2%}, R-hat at most {state.look.rhat:.3f}"
        )
    return dataset


def neurons_of(theory: xr.Dataset, task: Task, network: Network) -> Array | None:
    """Return the pre-activations of a theory's neurons at a network's scale, (neurons, P); None if it has none there.

    Raises:
        InputError: If the theory is about other data or another network.
    """
    for name, value in {**network.parameters(), "data_digest": task.digest()}.items():
        found = theory.attrs.get(name)
        if name != "chi" and not same(found, value):
            raise InputError(f"--theory is about other data or another network: {name} = {found}, not {value}")
    at = np.flatnonzero(np.isclose(theory["chi"].to_numpy(), network.chi, rtol=1e-9, atol=0))
    if "population" not in theory or not len(at):
        return None
    neurons = theory["population"].to_numpy()[at[0]]
    return neurons if np.all(np.isfinite(neurons)) else None


@dataclass
class _Saved:
    """The files that a run is saved to: where it goes on from, and what is done between two blocks."""

    job: TrainingJob
    trajectory: str  # digest of everything that determines the chains: the key of a saved state
    device: torch.device
    reporter: Reporter
    stop: Stop
    kept_steps: int = 0  # of the kept state of a finished run
    last: float = field(default_factory=time.monotonic)  # when the checkpoint was written

    def resumed(self, settings: LangevinSettings, n_labels: int) -> State | None:
        """Return the saved state to go on from, if there is one that this run passes through."""
        saved, kept = self._load(self.job.checkpoint), self._load(self.job.final_state)
        self.kept_steps = kept.steps if kept is not None else 0
        # the checkpoint first: a run that began at a kept state has gone on from it
        for path, found, verb in ((self.job.checkpoint, saved, "resumed"), (self.job.final_state, kept, "goes on")):
            if found is None:
                continue
            where = f"{path} in {found.phase} at step {found.burn_in_steps + found.steps}"
            if passes_through(settings, found, n_labels):
                self.reporter.note(f"{verb} from {where}")
                return found
            self.reporter.note(f"does not use {where}: past the end of this run, or with blocks of another length")
        return None

    def _load(self, path: Path | None) -> State | None:
        """Return the state in a file, if there is one; one that does not fit is an error, of a kept state a note."""
        if path is None or not path.exists():
            return None
        try:
            state, saved_on = checkpoints.load(path, self.trajectory, self.device)
        except InputError as error:
            if path == self.job.checkpoint:
                raise
            self.reporter.note(f"does not use {path}: {error}")
            return None
        if saved_on != (here := checkpoints.device_name(self.device)):
            self.reporter.note(f"{path} was saved on {saved_on}, this is {here}: the last digits may differ")
        return state

    def on_block(self, state: State, progress: Progress) -> None:
        """Show progress, save, and obey a signal."""
        job, stop = self.job, self.stop.signal
        self.reporter.update(progress)
        if state.phase == "done":
            if job.final_state is not None and job.keep_state and state.steps > self.kept_steps:
                checkpoints.save(job.final_state, self.trajectory, state)
        elif job.checkpoint is not None and (stop or time.monotonic() - self.last > job.checkpoint_every):
            checkpoints.save(job.checkpoint, self.trajectory, state)
            self.last = time.monotonic()
            if stop is not None:
                raise Interrupted(
                    f"stopped by {stop.name} in {state.phase} at step {state.burn_in_steps + state.steps}, "
                    f"saved in {job.checkpoint}: the same command goes on from there",
                    stop,
                )


def find_device(name: str) -> torch.device:
    """Return the torch device of a name: auto is CUDA where present, else CPU; InputError for a CUDA that is not."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise InputError("device = 'cuda': torch finds no CUDA device on this machine; use cpu or auto")
    if name == "auto":
        name = "cuda" if found else "cpu"
    return torch.device(name)


def _device_line(asked: str, device: torch.device, threads: int) -> str:
    """Return what the run runs on, and why."""
    on_gpu = device.type == "cuda"
    what = f"GPU {checkpoints.device_name(device)}" if on_gpu else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    why = f" (device auto: torch finds {'a' if on_gpu else 'no'} CUDA device)" if asked == "auto" else ""
    return f"runs on {what}{why}"
