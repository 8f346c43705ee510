"""msat: the multi-scale adaptive theory of feature learning, and the networks that check it.

The public names are loaded on first use, so that ``import msat`` stays cheap:

- `Network`: width, activation, prior scales, noise and scale chi.
- `tasks`: data sets, for instance ``msat.tasks.ising``.
- `solve`: every theory level over a list of scales, as an xarray Dataset.
- `train`: a Langevin-trained ensemble, as an xarray Dataset.
- `compare`: theory against training, as a pandas DataFrame.
"""

from __future__ import annotations

import importlib
from typing import Any

# name -> (module, attribute); strings, so that a stage's import closure holds only what the stage uses
_PUBLIC = {
    "Network": ("msat.network", "Network"),
    "Task": ("msat.tasks.base", "Task"),
    "tasks": ("msat.tasks", None),
    "solve": ("msat.stages.theory", "solve"),
    "train": ("msat.stages.training", "train"),
    "compare": ("msat.tables.compare", "compare"),
    "InputError": ("msat.errors", "InputError"),
    "ComputationError": ("msat.errors", "ComputationError"),
}

__all__ = ["ComputationError", "InputError", "Network", "Task", "compare", "solve", "tasks", "train"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("msat")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'msat' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
