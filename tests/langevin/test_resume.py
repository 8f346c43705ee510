"""Runs that are stopped by signals, and runs that go on from a finished one, against runs in one go."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import msat
from msat.cli import main
from msat.errors import InputError, Interrupted
from msat.geometry import decompose
from msat.langevin import checkpoint as checkpoints
from msat.langevin import dynamics, ensemble, interrupt
from msat.langevin.samplers import NAMES, get_sampler
from msat.langevin.settings import LangevinSettings
from msat.network import Network
from msat.store import load_dataset, save_dataset
from msat.tasks.storage import save_task

pytestmark = pytest.mark.slow

ADVANCE = dynamics._advance_block
PROVENANCE = {"wall_time_s", "checksum"}  # what may differ between two files of one result, and the sum of all
STEPS = {"seed": 5, "steps": 1500, "chains": 4}
# stops at the target error, after some ten thousand steps
TARGET = {"seed": 3, "chains": 4, "max_steps": 200_000, "target_error": 0.006}


def assert_identical(one: Path, other: Path) -> None:
    """Compare two NetCDF files to the last bit, but for what says when they were made."""
    a, b = load_dataset(one, "langevin"), load_dataset(other, "langevin")
    assert list(a.variables) == list(b.variables)
    for name in a.variables:
        assert a[name].dtype == b[name].dtype
        assert a[name].to_numpy().tobytes() == b[name].to_numpy().tobytes(), name
    assert set(a.attrs) == set(b.attrs)
    for name in set(a.attrs) - PROVENANCE:
        np.testing.assert_equal(a.attrs[name], b.attrs[name], err_msg=name)


@pytest.fixture
def trained(tmp_path):
    """Train into a file."""

    def train(name: str, *arguments, **settings) -> Path:
        path = tmp_path / name
        save_dataset(path, msat.train(*arguments, **settings))
        return path

    return train


@pytest.fixture(scope="module")
def in_one_go(small_task, small_network, tmp_path_factory):
    """Runs in one go, each made once: its file, the state that it leaves if asked to, the number of its blocks."""
    folder, known = tmp_path_factory.mktemp("whole"), {}

    def run(keep: bool = False, **changes) -> tuple[Path, Path, int]:
        key = keep, *sorted(changes.items())
        if key not in known:
            path, state, blocks = folder / f"{len(known)}.nc", folder / f"{len(known)}.pt", []
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(dynamics, "_advance_block", lambda *given: (blocks.append(1), ADVANCE(*given)))
                settings = TARGET | changes | ({"final_state": state} if keep else {})
                save_dataset(path, msat.train(small_task, small_network, **settings))
            known[key] = path, state, len(blocks)
        return known[key]

    return run


@pytest.fixture
def count_blocks(monkeypatch):
    """Count the blocks that are computed, and send a signal in the middle of the last one that is wanted."""

    class Blocks:
        done = 0
        until = -1
        number = signal.SIGTERM

    def advance(*arguments):
        Blocks.done += 1
        if Blocks.done == Blocks.until:
            os.kill(os.getpid(), Blocks.number)
        ADVANCE(*arguments)

    monkeypatch.setattr(dynamics, "_advance_block", advance)
    return Blocks


@pytest.mark.parametrize(
    ("sampler", "activation", "width", "steps", "phases"),
    [
        ("langevin", "linear", 7, 1500, {"burn_in", "sampling"}),
        ("langevin", "erf", 7, 1500, {"burn_in", "sampling"}),
        ("langevin", "erf", (7, 5), 1500, {"burn_in", "sampling"}),
        ("hmc", "erf", 7, 128, {"burn_in", "sampling"}),
        ("hmc", "linear", (6, 5, 4), 128, {"burn_in", "sampling"}),
        ("underdamped", "relu", 7, 1500, {"burn_in", "sampling", "half_step"}),
    ],
)
def test_ten_interruptions_change_no_bit(
    small_task, sampler, activation, width, steps, phases, tmp_path, trained, count_blocks
):
    network = Network(width=width, activation=activation, g_w=1.3, g_v=0.8, kappa_0=0.4, chi=2.0)
    settings = STEPS | {"steps": steps, "sampler": sampler}
    whole = trained("whole.nc", small_task, network, **settings)
    blocks, count_blocks.done = count_blocks.done, 0
    checkpoint = tmp_path / "run.pt"
    rng = np.random.default_rng(1)
    stopped_in = set()
    # the last two are in the run at half the step, where there is one
    for stop in [*np.sort(rng.choice(np.arange(1, blocks - 20), size=8, replace=False)), blocks - 12, blocks - 1]:
        count_blocks.until = int(stop)
        count_blocks.number = rng.choice(interrupt.STOPPING)
        with pytest.raises(Interrupted, match=r"saved in .*: the same command goes on") as stopped:
            msat.train(small_task, network, checkpoint=checkpoint, **settings)
        stopped_in |= set(re.findall(r" in (\w+) at step", str(stopped.value)))
        assert count_blocks.done == stop  # nothing was computed twice
    assert stopped_in == phases
    resumed = trained("resumed.nc", small_task, network, checkpoint=checkpoint, **settings)
    assert count_blocks.done == blocks
    assert_identical(whole, resumed)


# steps of a short and of a longer run in blocks of one length
LONGER = {"langevin": (10_240, 12_800), "hmc": (256, 320), "underdamped": (3840, 5120)}


@pytest.mark.parametrize("sampler", NAMES)
def test_more_steps_of_every_sampler(small_task, small_network, tmp_path, trained, count_blocks, sampler, capsys):
    """A run at half the step is made again from the new end; the tuned step and momenta go on."""
    short, longer = LONGER[sampler]
    settings = {"seed": 5, "chains": 4, "sampler": sampler, "final_state": tmp_path / "state.pt"}
    trained("short.nc", small_task, small_network, steps=short, **settings)
    extended = trained("longer.nc", small_task, small_network, steps=longer, progress=True, **settings)
    assert "goes on from" in capsys.readouterr().err
    del settings["final_state"]
    count_blocks.done = 0
    whole = trained("whole.nc", small_task, small_network, steps=longer, **settings)
    assert_identical(whole, extended)
    assert load_dataset(whole, "langevin")["steps"] >= longer


def test_smaller_target_of_hmc(small_task, small_network, tmp_path, trained):
    settings = {**TARGET, "sampler": "hmc"}
    state = tmp_path / "state.pt"
    short = trained("short.nc", small_task, small_network, final_state=state, **settings)
    extended = trained("longer.nc", small_task, small_network, final_state=state, **settings | {"target_error": 0.004})
    whole = trained("whole.nc", small_task, small_network, **settings | {"target_error": 0.004})
    assert_identical(whole, extended)
    assert load_dataset(short, "langevin")["steps"] < load_dataset(whole, "langevin")["steps"]


def test_a_run_saved_at_the_end_of_burn_in_goes_on_to_another_end(
    small_task, small_network, tmp_path, trained, monkeypatch
):
    """Blocks of sampling are as long as the new end wants them."""
    checkpoint, before = tmp_path / "run.pt", checkpoints.save

    class Left(Exception):
        pass

    def save(path, key, state):
        before(path, key, state)
        if state.phase == "sampling":
            assert state.steps == 0
            raise Left

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save)
        with pytest.raises(Left):
            msat.train(small_task, small_network, checkpoint=checkpoint, checkpoint_every=0, **STEPS)
    other = STEPS | {"steps": 640}
    resumed = trained("resumed.nc", small_task, small_network, checkpoint=checkpoint, **other)
    assert_identical(trained("whole.nc", small_task, small_network, **other), resumed)


def test_handlers_are_put_back(small_task, small_network, tmp_path):
    before = [signal.getsignal(number) for number in interrupt.STOPPING]
    msat.train(small_task, small_network, checkpoint=tmp_path / "run.pt", **(STEPS | {"steps": 64}))
    assert [signal.getsignal(number) for number in interrupt.STOPPING] == before


def _command(folder: Path, task) -> list[str]:
    save_task(folder / "data.npz", task)
    options = "--width 20 --chains 4 --steps 6000 --seed 1 --device cpu --checkpoint-every 0.2"
    files = f"--data {folder}/data.npz --checkpoint {folder}/run.pt --out {folder}/out.nc"
    return [sys.executable, "-m", "msat.cli", "train", *options.split(), *files.split()]


@pytest.fixture(scope="module")
def process_in_one_go(small_task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("process")
    subprocess.run(_command(folder, small_task), check=True, capture_output=True)
    return folder / "out.nc"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_command_line_stops_and_goes_on(small_task, tmp_path, process_in_one_go, number):
    """The real process: exit code 128 + signal, one line that says how to go on, and the same result."""
    checkpoint, log = tmp_path / "run.pt", tmp_path / "log"
    command = _command(tmp_path, small_task)
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
        deadline = time.monotonic() + 120
        while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    last = log.read_text().splitlines()[-1]
    assert re.fullmatch(
        rf"msat: stopped by {number.name} in \w+ at step \d+, saved in .*: the same command goes on from there", last
    )
    assert not (tmp_path / "out.nc").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "resumed from" in done.stderr
    assert not checkpoint.exists()
    assert_identical(process_in_one_go, tmp_path / "out.nc")


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({}, {"target_error": 0.004}),
        ({"max_steps": 10_000, "target_error": 1e-3}, {"max_steps": 15_000, "target_error": 1e-3}),
        ({"max_steps": 10_000, "target_error": 1e-3}, {"target_error": 0.004}),
        ({}, {"steps": 40_000}),
    ],
    ids=["smaller target", "more steps", "more steps and larger target", "fixed steps"],
)
def test_a_longer_run_goes_on_from_a_finished_one(
    small_task, small_network, tmp_path, trained, in_one_go, count_blocks, first, then, capsys
):
    short, state, before = in_one_go(keep=True, **first)
    kept = Path(shutil.copy(state, tmp_path))
    settings = TARGET | then
    longer = trained("longer.nc", small_task, small_network, final_state=kept, progress=True, **settings)
    assert f"goes on from {kept} in done" in capsys.readouterr().err
    whole, _, blocks = in_one_go(**then)
    assert before + count_blocks.done == blocks
    assert count_blocks.done > 0
    assert_identical(whole, longer)
    assert load_dataset(short, "langevin")["steps"] < load_dataset(longer, "langevin")["steps"]


def test_the_same_run_again_computes_nothing(small_task, small_network, tmp_path, trained, in_one_go, count_blocks):
    once, state, _ = in_one_go(keep=True)
    kept = Path(shutil.copy(state, tmp_path))
    twice = trained("twice.nc", small_task, small_network, final_state=kept, **TARGET)
    assert count_blocks.done == 0
    assert_identical(once, twice)


def test_a_shorter_run_starts_again_and_keeps_the_longer_state(
    small_task, small_network, tmp_path, trained, in_one_go, capsys
):
    kept = Path(shutil.copy(in_one_go(keep=True, target_error=0.004)[1], tmp_path))
    content = kept.read_bytes()
    short = trained("short.nc", small_task, small_network, final_state=kept, progress=True, **TARGET)
    assert "past the end of this run" in capsys.readouterr().err
    assert_identical(in_one_go()[0], short)
    assert kept.read_bytes() == content


def test_states_of_others_are_not_used(small_task, small_network, tmp_path, trained, in_one_go, capsys):
    kept = tmp_path / "state.pt"
    fixed = TARGET | {"steps": 640}  # short blocks: 1/256 of the run
    trained("other.nc", small_task, small_network, final_state=kept, **fixed)
    own = trained("own.nc", small_task, small_network, final_state=kept, progress=True, **TARGET)
    assert "blocks of another length" in capsys.readouterr().err
    assert_identical(in_one_go()[0], own)
    for change in ({"seed": 4}, {"chains": 6}, {"dtype": "float64"}):
        trained("x.nc", small_task, small_network, final_state=kept, progress=True, **(fixed | change))
        assert f"does not use {kept}: checkpoint {kept} belongs to another run" in capsys.readouterr().err
    kept.write_bytes(b"damaged")
    trained("x.nc", small_task, small_network, final_state=kept, progress=True, **fixed)
    assert "cannot be read" in capsys.readouterr().err


def test_more_precise_run_takes_up_an_interrupted_one(
    small_task, small_network, tmp_path, trained, in_one_go, count_blocks
):
    checkpoint = tmp_path / "run.pt"
    count_blocks.until = 200
    with pytest.raises(Interrupted):
        msat.train(small_task, small_network, checkpoint=checkpoint, **TARGET)
    count_blocks.until = -1
    settings = TARGET | {"target_error": 0.004}
    resumed = trained("resumed.nc", small_task, small_network, checkpoint=checkpoint, **settings)
    whole, _, blocks = in_one_go(target_error=0.004)
    assert_identical(whole, resumed)
    assert count_blocks.done == blocks


def test_the_device_is_said(small_task, small_network, capsys):
    msat.train(small_task, small_network, progress=True, device="cpu", **(STEPS | {"steps": 64}))
    assert "runs on CPU, 1 thread\n" in capsys.readouterr().err
    msat.train(small_task, small_network, progress=True, **(STEPS | {"steps": 64}))
    here = "a" if torch.cuda.is_available() else "no"
    assert f"(device auto: torch finds {here} CUDA device)" in capsys.readouterr().err


def test_bad_interval_is_refused(small_task, small_network):
    with pytest.raises(InputError, match="checkpoint_every = -1"):
        msat.train(small_task, small_network, checkpoint_every=-1, **STEPS)


def test_final_state_must_be_writable(small_task, tmp_path, capsys):
    save_task(tmp_path / "data.npz", small_task)
    files = ["--data", f"{tmp_path}/data.npz", "--out", f"{tmp_path}/out.nc"]
    assert main(["train", "--width", "5", *files, "--final-state", f"{tmp_path}/no/state.pt"]) == 2
    assert "--final-state" in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
@pytest.mark.parametrize("activation", ["linear", "erf"])
@pytest.mark.parametrize("sampler", ["langevin", "underdamped"])
def test_steps_on_a_gpu_do_not_wait_for_the_host(small_task, activation, sampler):
    network = Network(width=7, activation=activation)
    settings = LangevinSettings(sampler=sampler, chains=4)
    potential, state = ensemble.begin(
        decompose(small_task, network), network, settings, {"seed": 0}, torch.device("cuda")
    )
    assert {t.device.type for t in (*state.weights, *state.memory)} == {"cuda"}
    torch.cuda.set_sync_debug_mode("error")
    try:
        get_sampler(sampler).advance(potential, settings, state, 10)
    finally:
        torch.cuda.set_sync_debug_mode("default")
