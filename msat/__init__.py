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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what an editor completes; the names below are what runs
    from msat import tasks
    from msat.errors import ComputationError, InputError
    from msat.network import Network
    from msat.stages.theory import solve
    from msat.stages.training import train
    from msat.tables.compare import compare
    from msat.tasks.base import Task

    __version__: str

# strings, so that a stage's import closure holds only what the stage uses
_HOMES = {
    "Network": "msat.network",
    "Task": "msat.tasks.base",
    "solve": "msat.stages.theory",
    "train": "msat.stages.training",
    "compare": "msat.tables.compare",
    "InputError": "msat.errors",
    "ComputationError": "msat.errors",
}

__all__ = ["ComputationError", "InputError", "Network", "Task", "compare", "solve", "tasks", "train"]


if not TYPE_CHECKING:  # or every name would be there for an editor

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("msat")
        if name == "tasks":
            return importlib.import_module("msat.tasks")
        if name not in _HOMES:
            raise AttributeError(f"module 'msat' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
