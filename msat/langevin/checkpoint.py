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
from msat.langevin.sampler import State

_FORMAT = 1


def save(path: Path, key: str, state: State) -> None:
    """Write a checkpoint atomically: a killed write leaves the previous one whole.

    Parameters
    ----------
    key
        Digest of everything that determines the trajectory; `load` refuses another.
    """
    values: dict[str, Any] = {f.name: getattr(state, f.name) for f in fields(state)}
    values["generator"] = state.generator.get_state()
    for name in ("blocks", "sums"):
        values[name] = dict(vars(values[name]))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        torch.save({"format": _FORMAT, "key": key, "state": values}, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, key: str, device: torch.device) -> State:
    """Return the state saved under the same key.

    Raises
    ------
    InputError
        If the file is not a checkpoint, or one of another run.
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
    generator = torch.Generator(device=device)
    generator.set_state(values.pop("generator"))
    blocks = BlockMeans(**_moved(values.pop("blocks"), device))
    sums = Sums(**_moved(values.pop("sums"), device))
    return State(generator=generator, blocks=blocks, sums=sums, **_moved(values, device))


def _moved(value: Any, device: torch.device) -> Any:
    """Return nested containers with every tensor on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {name: _moved(item, device) for name, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, device) for item in value]
    return value
