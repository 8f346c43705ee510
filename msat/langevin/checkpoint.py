"""Saving a run between two blocks, and taking it up again with the same result to the last bit."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from msat import checksums
from msat.errors import InputError
from msat.langevin.moments import BlockMeans, Sums
from msat.langevin.state import Look, State, Tuning
from msat.store import UNREADABLE, atomic

_FORMAT = 5
_UNREADABLE: tuple[type[Exception], ...] = (*UNREADABLE, pickle.UnpicklingError, AssertionError)
_PARTS = {"blocks": BlockMeans, "sums": Sums, "tallies": Sums, "tuning": Tuning, "look": Look}


def save(path: Path, key: str, state: State) -> None:
    """Write a state atomically: a killed write leaves the previous one whole.

    Args:
        key: Digest of everything that determines the trajectory; `load` refuses another.
    """
    content = {"format": _FORMAT, "key": key, "device": device_name(state.weights[0].device), "state": _plain(state)}
    content[checksums.NAME] = checksums.checksum(content)
    with atomic(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())  # a node that dies now must not leave a name without content


def _plain(state: State) -> dict[str, Any]:
    """Return a state as tensors, numbers and dictionaries of them, which load without running code."""
    parts = {name: vars(getattr(state, name)) for name in _PARTS}
    half = None if state.half is None else _plain(state.half)
    return {**vars(state), **parts, "generator": state.generator.get_state(), "half": half}


def _rebuilt(values: dict[str, Any], device: torch.device) -> State:
    """Return the state of a dictionary: the inverse of `_plain`."""
    generator = torch.Generator(device=device)
    generator.set_state(values["generator"].cpu())  # which is where every generator takes its state from
    parts = {name: kind(**values[name]) for name, kind in _PARTS.items()}
    half = None if values["half"] is None else _rebuilt(values["half"], device)
    return State(**{**values, **parts, "generator": generator, "half": half})


def device_name(device: torch.device) -> str:
    """Return what a result calls its device: the GPU's model, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def load(path: Path, key: str, device: torch.device) -> tuple[State, str]:
    """Return the state saved under the same key, and the name of the device that saved it.

    Raises:
        InputError: If the file is not a checkpoint as it was written, or one of another run.
    """
    content = read(path, device)
    if content["key"] != key:
        raise InputError(
            f"checkpoint {path} belongs to another run (other data, parameters, seed, settings, device or code): "
            "remove it to start again"
        )
    return _rebuilt(content["state"], device), str(content["device"])


def read(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what a checkpoint or a kept state holds: format, key, device, state and checksum.

    Raises:
        InputError: If the file is neither, or not as it was written.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        found = content["format"]
    except _UNREADABLE as error:
        message = f"checkpoint {path} cannot be read ({type(error).__name__}): remove it to start again"
        raise InputError(message) from None
    if found != _FORMAT:
        raise InputError(f"checkpoint {path} was made by another version of msat: remove it to start again")
    stated = content.pop(checksums.NAME, None)
    checksums.check(f"checkpoint {path}", stated, checksums.checksum(content))
    return content | {checksums.NAME: stated}
