"""Stage `train`: one ensemble of Langevin chains, as one Dataset (the contract of langevin.nc)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from msat.errors import InputError, Interrupted
from msat.langevin import checkpoint as checkpoints
from msat.langevin import diagnostics, dynamics
from msat.langevin.interrupt import Stop
from msat.langevin.potential import make_potential
from msat.langevin.progress import Reporter
from msat.langevin.settings import STOPPING_RULE, LangevinSettings
from msat.langevin.starts import start_names
from msat.network import Network
from msat.observables.functions import (
    COMPONENT_DEGREES,
    SPECTRA,
    along_target,
    component_projection,
    discrepancy,
    evidence_bend,
    evidence_slope,
    frame,
)
from msat.provenance import code_digest, derived_seed, digest, environment
from msat.store import attributes
from msat.tasks.base import Task
from msat.validation import validated

Array = NDArray[np.float64]

CHECKPOINT_EVERY = 60.0  # seconds between two checkpoints, by default


def train(
    task: Task,
    network: Network,
    *,
    seed: int = 0,
    threads: int = 1,
    checkpoint: Path | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    final_state: Path | None = None,
    keep_state: bool = True,
    progress: bool = False,
    **settings: Any,
) -> xr.Dataset:
    """Return the posterior moments measured on an ensemble of Langevin-trained networks.

    Parameters
    ----------
    task, network
        Data and network, at one scale.
    seed
        Seed of starts and noise; together with the data and the network it fixes the trajectory on one
        device and thread count.
    threads
        CPU threads of torch in this process.
    checkpoint
        File to which the run is saved while it goes on, and from which it resumes. On SIGTERM, SIGUSR1 or SIGINT
        it is saved at the end of the present block and the run stops. The file is left in place: remove it once
        the result is stored, as the command line does.
    checkpoint_every
        Seconds between two checkpoints.
    final_state
        File in which a finished run leaves its state, and from which a run that differs only in its end
        (target_error, max_steps, steps) goes on, with the result that it would have had from the start. It is a
        cache: a state that does not fit is not used.
    keep_state
        Whether `final_state` is written, or only read.
    progress
        Whether to show progress on standard error.
    **settings
        Fields of `msat.langevin.settings.LangevinSettings`: chains, target_error, steps, device, ...

    Returns
    -------
    xarray.Dataset
        Dimensions chi (size 1), train (and train_), test, chain; variables and attributes as in
        docs/formats.md. Errors are Monte Carlo standard errors that account for autocorrelation.
        The attributes `target_met`, `burn_in_converged` and `rhat_max` say whether to trust it.

    Raises
    ------
    InputError
        If a setting is not allowed, the device is not there, or the checkpoint is of another run.
    ComputationError
        If the dynamics diverge.
    Interrupted
        If a signal stopped the run; it is saved in the checkpoint.
    """
    started = time.perf_counter()
    chosen = validated(LangevinSettings, settings)
    device = find_device(chosen.device)
    if threads < 1:
        raise InputError(f"threads = {threads}: must be at least 1")
    if not checkpoint_every >= 0:
        raise InputError(f"checkpoint_every = {checkpoint_every:g}: must be a number of seconds, at least 0")
    torch.set_num_threads(threads)
    # TensorFloat-32 keeps ten bits of a product: the forces would be wrong in the third digit
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False

    key = {"seed": seed, "data": task.digest(), **network.parameters()}
    potential, state = dynamics.initial_state(
        make_potential(task.x_train, task.y_train, task.x_test, network), chosen, derived_seed(key), device
    )
    trajectory = digest(
        {
            **key,
            "settings": chosen.model_dump(exclude=set(STOPPING_RULE)),
            "device": device.type,
            "threads": threads,
            "code": code_digest("msat.stages.training"),
            "torch": torch.__version__,
        }
    )
    label = f"langevin chi={network.chi:g} seed={seed} on {device.type}"
    with Reporter(label, quiet=not progress) as reporter:
        reporter.note(_device_line(chosen.device, device, threads))
        saved = _saved(checkpoint, trajectory, device, reporter, strict=True)
        kept = _saved(final_state, trajectory, device, reporter, strict=False)
        kept_steps = kept.steps if kept is not None else 0
        # the checkpoint first: a run that began at a kept state has gone on from it
        for path, found, verb in ((checkpoint, saved, "resumed"), (final_state, kept, "goes on")):
            if found is None:
                continue
            where = f"{path} in {found.phase} at step {found.burn_in_steps + found.steps}"
            if dynamics.passes_through(chosen, found, task.n_train):
                state = found
                reporter.note(f"{verb} from {where}")
                break
            reporter.note(f"does not use {where}: past the end of this run, or with blocks of another length")
        last_saved = time.monotonic()

        def on_block(state: dynamics.State, progress: dynamics.Progress) -> None:
            nonlocal last_saved
            reporter.update(progress)
            if state.phase == "done":
                if final_state is not None and keep_state and state.steps > kept_steps:
                    checkpoints.save(final_state, trajectory, state)
            elif checkpoint is not None and (
                stop.signal is not None or time.monotonic() - last_saved > checkpoint_every
            ):
                checkpoints.save(checkpoint, trajectory, state)
                last_saved = time.monotonic()
                if stop.signal is not None:
                    raise Interrupted(
                        f"stopped by {stop.signal.name} in {state.phase} at step "
                        f"{state.burn_in_steps + state.steps}, saved in {checkpoint}: the same command goes on "
                        "from there",
                        stop.signal,
                    )

        with Stop() if checkpoint is not None else nullcontext(Stop()) as stop:
            dynamics.run(potential, chosen, state, on_block)
        dataset = _dataset(task, network, chosen, state)
        reporter.note(
            f"done: {state.steps:,} steps after {state.burn_in_steps:,} of burn-in, relative error "
            f"{state.relative_error:.2%}, R-hat at most {dataset.attrs['rhat_max']:.3f}"
        )
    dataset.attrs |= attributes(
        {
            **network.parameters(),
            **chosen.model_dump(),
            "seed": seed,
            "data_digest": task.digest(),
            "device": device.type,
            "device_name": checkpoints.device_name(device),
            "threads": threads,
            "wall_time_s": time.perf_counter() - started,
            **environment(),
        }
    )
    return dataset


def find_device(name: str) -> torch.device:
    """Return the torch device of a name: auto is CUDA where present, else CPU.

    Raises
    ------
    InputError
        If cuda is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device = 'cuda': torch finds no CUDA device on this machine; use cpu or auto")
    return torch.device(name)


def _device_line(asked: str, device: torch.device, threads: int) -> str:
    """Return what the run runs on, and why."""
    what = (
        f"GPU {checkpoints.device_name(device)}"
        if device.type == "cuda"
        else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    )
    if asked != "auto":
        return f"runs on {what}"
    return f"runs on {what} (device auto: torch finds {'a' if device.type == 'cuda' else 'no'} CUDA device)"


def _saved(
    path: Path | None, trajectory: str, device: torch.device, reporter: Reporter, strict: bool
) -> dynamics.State | None:
    """Return the state in a file, if there is one; one that does not fit is an error, or a note."""
    if path is None or not path.exists():
        return None
    try:
        state, saved_on = checkpoints.load(path, trajectory, device)
    except InputError as error:
        if strict:
            raise
        reporter.note(f"does not use {path}: {error}")
        return None
    here = checkpoints.device_name(device)
    if saved_on != here:
        reporter.note(f"{path} was saved on {saved_on}, this is {here}: the last digits may differ")
    return state


def _dataset(task: Task, network: Network, settings: LangevinSettings, state: dynamics.State) -> xr.Dataset:
    """Return everything measured in a finished run."""
    y, y_test = task.y_train, task.y_test
    blocks, sums = state.blocks, state.sums
    f_train, f_test, f_rb = blocks.array("f_train"), blocks.array("f_test"), blocks.array("f_train_rb")
    by_chain = {name: sums.mean(name) for name in ("f_train", "ff_train", "hidden_kernel", "first_layer")}
    mean_train, mean_test = by_chain["f_train"].mean(axis=0), sums.mean("f_test")
    covariance = by_chain["ff_train"].mean(axis=0) - np.outer(mean_train, mean_train)
    mean_rb = f_rb.mean(axis=(0, 1))
    variance_test = sums.mean("f_test_squared") - mean_test**2 + sums.mean("test_residual_variance")
    error = diagnostics.standard_error(f_train)
    rhat = diagnostics.rhat(f_train)

    along = blocks.array("along")
    length = np.linalg.norm(y)
    variance_blocks = blocks.array("along_squared") - 2 * along.mean() * along + along.mean() ** 2
    train_blocks = (length**2 - length * along) / len(y)
    train_rb_blocks = (y @ y - f_rb @ y) / len(y)
    scalars = {
        "train_discrepancy": (discrepancy(y, mean_train), train_blocks),
        "train_discrepancy_rb": (discrepancy(y, mean_rb), train_rb_blocks),
        "variance_along_target": (along_target(y, covariance), variance_blocks),
        "hidden_kernel_along_target": (
            float(blocks.array("hidden_along").mean()),
            blocks.array("hidden_along"),
        ),
        "readout_norm": (float(blocks.array("readout_norm").mean()), blocks.array("readout_norm")),
        "first_layer_variance": (
            float(blocks.array("first_layer_variance").mean()),
            blocks.array("first_layer_variance"),
        ),
    }
    kappa = network.kappa
    slope_blocks = len(y) / 2 * (1 - train_blocks / kappa)
    bend_blocks = 0.25 * ((variance_blocks - kappa) * (length / kappa) ** 2 - len(y) * train_blocks / kappa)
    scalars |= {
        "evidence_slope": (evidence_slope(y, mean_train, kappa), slope_blocks),
        "evidence_bend": (evidence_bend(y, mean_train, covariance, kappa), bend_blocks),
    }
    if task.n_test:
        test_blocks = (y_test @ y_test - f_test @ y_test) / len(y_test)
        scalars["test_discrepancy"] = (discrepancy(y_test, mean_test), test_blocks)

    per_sample = {
        "mean_train": (("train",), mean_train, "posterior mean output on the training points"),
        "mean_train_error": (("train",), error, "standard error of mean_train"),
        "mean_train_rb": (("train",), mean_rb, "Rao-Blackwell estimate of mean_train"),
        "mean_train_rb_error": (
            ("train",),
            diagnostics.standard_error(f_rb),
            "standard error of mean_train_rb",
        ),
        "mean_test": (("test",), mean_test, "posterior mean output on the test points"),
        "mean_test_error": (("test",), diagnostics.standard_error(f_test), "standard error of mean_test"),
        "covariance_train": (("train", "train_"), covariance, "output covariance without label noise"),
        "covariance_train_rb": (
            ("train", "train_"),
            sums.mean("rb_covariance") + sums.mean("rb_outer") - np.outer(mean_rb, mean_rb),
            "Rao-Blackwell estimate of covariance_train",
        ),
        "error_correlation_train": (
            ("train", "train_"),
            diagnostics.error_correlation(f_train),
            "correlation between the errors of mean_train",
        ),
        "variance_test": (
            ("test",),
            variance_test,
            "output variance on the test points, without label noise",
        ),
        "hidden_kernel": (
            ("train", "train_"),
            by_chain["hidden_kernel"].mean(axis=0),
            "E[(1/N) sum_i phi_i phi_i^T] on the training points",
        ),
        "chain_mean_train": (("chain", "train"), f_train.mean(axis=1), "mean_train of each chain"),
        "train_discrepancy_blocks": (
            ("chain", "block"),
            train_blocks,
            "train discrepancy of successive blocks",
        ),
        "rhat": (("train",), rhat, "rank-normalised split R-hat of block means"),
        "ess": (
            ("train",),
            np.divide(np.diag(covariance), error**2, out=np.full_like(error, np.nan), where=error > 0),
            "effective sample size: posterior variance over squared standard error",
        ),
    }
    variables: dict[str, tuple[tuple[str, ...], Any]] = {
        name: (("chi", *dims), array[None]) for name, (dims, array, _) in per_sample.items()
    }
    for name, (value, series) in scalars.items():
        variables[name] = (("chi",), [value])
        variables[f"{name}_error"] = (("chi",), [float(diagnostics.standard_error(series))])
    variables |= {
        "step_size": (("chi",), [state.step_size]),
        "curvature": (("chi",), [state.curvature]),
        "steps": (("chi",), [state.steps]),
        "burn_in_steps": (("chi",), [state.burn_in_steps]),
        "y_train": (("train",), y),
        "y_test": (("test",), y_test),
    }
    variables["evidence_error_correlation"] = (("chi",), [diagnostics.error_product(slope_blocks, bend_blocks)])
    axes = frame(task.x_train, y, task.provenance, network.g_v, network.activation)

    def observed(means: Mapping[str, Array]) -> dict[str, Any]:
        spread = means["ff_train"] - np.outer(means["f_train"], means["f_train"])
        weights = {"weight_alignment": axes.weights(means["first_layer"])}
        return axes.covariance(spread) | axes.hidden(means["hidden_kernel"]) | weights

    for name, estimate in diagnostics.jackknife(by_chain, observed).items():
        dims = ("chi", "train") if name in SPECTRA else ("chi",)
        for suffix, array in zip(("", "_error"), estimate, strict=True):
            variables[f"{name}{suffix}"] = (dims, array[None])
    projection = component_projection(task.provenance, task.x_test)
    if projection is not None:
        components = f_test @ projection.T
        variables |= {
            "learned_component": (("chi", "degree"), components.mean(axis=(0, 1))[None]),
            "learned_component_error": (("chi", "degree"), diagnostics.standard_error(components)[None]),
            "degree": (("degree",), np.array(COMPONENT_DEGREES)),
        }
    dataset = xr.Dataset(
        variables, coords={"chi": [network.chi], "start": ("chain", start_names(settings.chains))}
    )
    for name, (_, _, text) in per_sample.items():
        dataset[name].attrs["long_name"] = text
    rhat_max = state.rhat
    dataset.attrs = attributes(
        {
            "kind": "langevin",
            "rhat_max": rhat_max,
            "mixed": rhat_max < diagnostics.RHAT_LIMIT,
            "relative_error": state.relative_error,
            "target_met": state.relative_error < settings.target_error,
            "burn_in_converged": state.burn_in_converged,
            "relaxation_times": state.steps * state.step_size,
            "block_steps": state.steps // f_train.shape[1],
        }
    )
    return dataset
