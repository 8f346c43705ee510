"""What a file of msat's says of where it is from, whatever it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msat.errors import InputError
from msat.stages import code
from msat.store import load_attributes
from msat.validation import validated

_FIGURES = (".png", ".pdf", ".svg")
_LONGEST = 100  # characters of a value


def show(path: Path) -> str:
    """Return what a file says of itself, a line for each entry, and whether its content is as it was written.

    Raises:
        InputError: If the file is missing, unreadable, or none of msat's.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {".npz": _data, ".nc": _result, ".pt": _state}
    readers |= dict.fromkeys((".parquet", ".csv"), _table) | dict.fromkeys(_FIGURES, _figure)
    if path.suffix not in readers:
        raise InputError(f"{path}: must be a file that msat writes: {', '.join(readers)}")
    found = readers[path.suffix](path)
    return "\n".join(f"{name}: {_shown(value)}" for name, value in found.items())


def _shown(value: Any) -> str:
    plain = value.tolist() if isinstance(value, np.ndarray) else value
    text = plain if isinstance(plain, str) else json.dumps(plain, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _said(what: str, found: Mapping[str, Any], digest: str, verify: Callable[[], Any]) -> dict[str, Any]:
    """Return what a file is, what it says of itself, and what is to be thought of both."""
    try:
        verify()
        content = "as it was written"
    except InputError as error:
        content = str(error)
    same = "that of this checkout" if found.get("code") == digest else "other than that of this checkout"
    return {"holds": what, "content": content, "made by code": same if digest else "not compared", **found}


def _data(path: Path) -> dict[str, Any]:
    from msat import tasks
    from msat.tasks.storage import read_made

    made = read_made(path, whole=False)
    key, digest = made.pop("key", {}), ""
    if key.get("name") in tasks.NAMES:
        model = tasks.get(key["name"]).Settings
        settings = validated(model, {name: value for name, value in key.items() if name in model.model_fields})
        digest = code.task(key["name"], settings.activations(), "n_drawn" in key)
    return _said("data set", {**key, **made}, digest, lambda: read_made(path))


def _result(path: Path) -> dict[str, Any]:
    found = load_attributes(path)
    kind, network = found.pop("kind"), (found["activation"], np.size(found["width"]))
    if kind == "theory":
        digest = code.theory(network[0], found["levels"], found["n_outputs"], network[1])
    else:
        digest = code.training(network[0], found["sampler"], network[1])
    return _said(f"{kind} result", found, digest, lambda: load_attributes(path, kind, verified=True))


def _table(path: Path) -> dict[str, Any]:
    from msat.stages.maps import MAPS
    from msat.tables import TABLES
    from msat.tables.files import metadata, read_made

    parquet = path.with_suffix(".parquet")
    made = metadata(parquet)
    kind, key = str(made.pop("kind")), made.pop("key", {})
    digest = code.tables() if kind in TABLES else code.maps() if kind in MAPS else ""
    return _said(f"table {kind}", {**key, **made}, digest, lambda: read_made(parquet))


def _state(path: Path) -> dict[str, Any]:
    import torch  # slow

    from msat.langevin import checkpoint

    content = checkpoint.read(path, torch.device("cpu"))
    state = content.pop("state")
    content |= {name: state[name] for name in ("phase", "burn_in_steps", "steps", "step_size")}
    return {"holds": "state of a training", "content": "as it was written", **content}


def _figure(path: Path) -> dict[str, Any]:
    keyword = re.search(rb"msat-figure ([0-9a-f]{16})(?: ([0-9a-f]{16}))?", path.read_bytes())
    if keyword is None:
        raise InputError(f"{path}: says nothing of where it is from: drawn by `msat figure`, or not by msat")
    drawn, data = (part.decode() if part else "" for part in keyword.groups())
    same = "that of this checkout" if drawn == code.figure(path.stem) else "other than that of this checkout"
    return {"holds": f"figure {path.stem}", "made by code": same, "code": drawn, "digest of what it shows": data}
