"""An interrupted and resumed run gives the same result to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

import msat
from msat.errors import InputError
from msat.langevin import checkpoint as checkpoints

SETTINGS = {"seed": 5, "steps": 1500, "chains": 4}


class Interrupted(Exception):
    pass


def _interrupted(task, network, path: Path, blocks: int, monkeypatch, settings=SETTINGS) -> None:
    """Run until the given number of checkpoints has been written, one a block, then stop without warning."""
    original, written = checkpoints.save, []

    def save(*arguments):
        original(*arguments)
        written.append(1)
        if len(written) == blocks:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save)
        with pytest.raises(Interrupted):
            msat.train(task, network, checkpoint=path, checkpoint_every=0, **settings)


@pytest.fixture(scope="module")
def whole(small_task, small_network):
    return msat.train(small_task, small_network, **SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 20, 33, 100, 290])
def test_resumed_run_is_bit_identical(small_task, small_network, whole, tmp_path, monkeypatch, blocks, capsys):
    path = tmp_path / "run.pt"
    _interrupted(small_task, small_network, path, blocks, monkeypatch)
    assert path.exists()
    resumed = msat.train(small_task, small_network, checkpoint=path, progress=True, **SETTINGS)
    assert whole.equals(resumed)
    assert "resumed from" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]  # whoever stores the result removes it


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "blocks"), [("hmc", (1, 31, 32, 33, 90)), ("underdamped", (1, 64, 150, 300))])
def test_every_sampler_is_bit_identical(small_task, small_network, tmp_path, monkeypatch, sampler, blocks):
    """Stopped one after the other, in burn-in, at its end, while sampling, and at half the step."""
    settings = {"seed": 5, "chains": 4, "sampler": sampler, "steps": 96 if sampler == "hmc" else 1500}
    whole = msat.train(small_task, small_network, **settings)
    for number in blocks:
        path = tmp_path / f"{number}.pt"
        _interrupted(small_task, small_network, path, number, monkeypatch, settings)
        assert whole.equals(msat.train(small_task, small_network, checkpoint=path, **settings))


def test_checkpoint_of_another_run_is_refused(small_task, small_network, tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    _interrupted(small_task, small_network, path, 2, monkeypatch)
    with pytest.raises(InputError, match="belongs to another run"):
        msat.train(small_task, small_network, checkpoint=path, **(SETTINGS | {"seed": 6}))
    with pytest.raises(InputError, match="belongs to another run"):
        msat.train(small_task, small_network.at(3.0), checkpoint=path, **SETTINGS)
    assert path.exists()


def test_damaged_checkpoint_is_refused(small_task, small_network, tmp_path):
    path = tmp_path / "run.pt"
    path.write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(InputError, match="cannot be read"):
        msat.train(small_task, small_network, checkpoint=path, **SETTINGS)


def test_a_checkpoint_of_which_one_bit_differs_is_refused(small_task, small_network, tmp_path, monkeypatch):
    """In a tensor, in a number, in what says whose it is: torch reads it all without a word."""
    path, whole = tmp_path / "run.pt", tmp_path / "whole.pt"
    _interrupted(small_task, small_network, path, 2, monkeypatch)
    whole.write_bytes(path.read_bytes())
    content = torch.load(path, weights_only=True)
    weights, generator = content["state"]["weights"][0], content["state"]["generator"]
    for array in (weights, generator):
        place = path.read_bytes().find(array.numpy().tobytes())
        assert place > 0
        damaged = bytearray(whole.read_bytes())
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert torch.load(path, weights_only=True)["key"] == content["key"]
        with pytest.raises(InputError, match=r"run.pt: altered or damaged since msat wrote it"):
            msat.train(small_task, small_network, checkpoint=path, **SETTINGS)
    torch.save({**content, "state": {**content["state"], "steps": 7}}, path)
    with pytest.raises(InputError, match="altered or damaged"):
        msat.train(small_task, small_network, checkpoint=path, **SETTINGS)
    torch.save({**content, "format": 4}, path)
    with pytest.raises(InputError, match="made by another version of msat: remove it"):
        msat.train(small_task, small_network, checkpoint=path, **SETTINGS)
    rng, refused = np.random.default_rng(0), []
    for _ in range(60):  # anywhere: one line, or what it was
        damaged = bytearray(whole.read_bytes())
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = checkpoints.read(path, torch.device("cpu"))["checksum"]
        except InputError as error:
            refused.append(str(error))
        else:
            assert found == content["checksum"]
    assert len(refused) > 20
    assert not [line for line in refused if "\n" in line]


def test_a_kept_state_of_which_one_bit_differs_is_not_used(small_task, small_network, tmp_path, capsys):
    path = tmp_path / "state.pt"
    options = {"seed": 5, "chains": 4, "final_state": path, "progress": True}
    msat.train(small_task, small_network, steps=256, **options)
    array = torch.load(path, weights_only=True)["state"]["weights"][0].numpy().tobytes()
    damaged = bytearray(path.read_bytes())
    damaged[damaged.find(array)] ^= 1
    path.write_bytes(damaged)
    capsys.readouterr()
    again = msat.train(small_task, small_network, steps=512, **options)
    assert "does not use" in (said := capsys.readouterr().err)
    assert "altered or damaged" in said
    assert again.equals(msat.train(small_task, small_network, steps=512, seed=5, chains=4))
