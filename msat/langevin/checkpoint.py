"""Saving a run between two blocks, and taking it up again with the same result to the last bit."""

from __future__ import annotations

import os
import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from msat.errors import InputError
from msat.langevin.moments import BlockMeans, Sums
from msat.langevin.state import State
from msat.store import atomic

_FORMAT = 3


def save(path: Path, key: str, state: State) -> None:
    """Write a state atomically: a killed write leaves the previous one whole.

    Args:
        key: Digest of everything that determines the trajectory; `load` refuses another.
    """
    values: dict[str, Any] = {f.name: getattr(state, f.name) for f in fields(state)}
    values["generator"] = state.generator.get_state()
    for name in ("blocks", "sums"):
        values[name] = dict(vars(values[name]))
    content = {"format": _FORMAT, "key": key, "device": device_name(state.weights[0].device), "state": values}
    with atomic(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())  # a node that dies now must not leave a name without content


def device_name(device: torch.device) -> str:
    """Return what a result calls its device: the GPU's model, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def load(path: Path, key: str, device: torch.device) -> tuple[State, str]:
    """Return the state saved under the same key, and the name of the device that saved it.

    Raises:
        InputError: If the file is not a checkpoint, or one of another run.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, values = content["key"], content["state"]
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise InputError(
            f"checkpoint {path} cannot be read ({type(error).__name__}): remove it to start again"
        ) from None
    if content.get("format") != _FORMAT or found != key:
        raise InputError(
            f"checkpoint {path} belongs to another run (other data, parameters, seed, settings, device or code): "
            "remove it to start again"
        )
    saved_on = str(content.get("device"))
    generator = torch.Generator(device=device)
    generator.set_state(values.pop("generator"))
    blocks = BlockMeans(**_moved(values.pop("blocks"), device))
    sums = Sums(**_moved(values.pop("sums"), device))
    return State(generator=generator, blocks=blocks, sums=sums, **_moved(values, device)), saved_on


def _moved(value: Any, device: torch.device) -> Any:
    """Return nested containers with every tensor on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(item, device) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    return value
