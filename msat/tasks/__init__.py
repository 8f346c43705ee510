"""Data sets, one file each, found by name: a file ``NAME.py`` here that defines ``Settings`` and ``make`` is one.

For every task there is a function of its name here, ``msat.tasks.NAME(..., seed=0)``, whose arguments are the
fields of its settings, in their order.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msat.settings import check_known, modules
from msat.tasks import nested
from msat.tasks.base import SeedSettings, Task
from msat.validation import validated

NAMES = modules(__path__, "base", "mnist_files", "mnist_sources", "nested", "storage")


def get(name: str) -> Any:
    """Return the module of a task: its model ``Settings``, and ``make(settings, seed) -> Task``.

    Raises:
        InputError: If there is none; the message lists those known.
    """
    check_known("task", name, NAMES)
    return importlib.import_module(f"{__name__}.{name}")


def _function(name: str) -> Callable[..., Task]:
    """Return the task as a function of its settings and a seed, for Python."""
    module = get(name)
    draw = draw_settings(module)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(module.Settings).parameters.values()
    positional = [item.replace(kind=kind, annotation=inspect.Parameter.empty) for item in parameters]

    def make(*arguments: Any, **values: Any) -> Any:
        about = {key: values.pop(key) for key in draw.model_fields if key in values}
        given = inspect.Signature(positional).bind(*arguments, **values).arguments
        settings = validated(module.Settings, {key: _plain(value) for key, value in given.items()})
        return nested.make(module, settings, **validated(draw, about).model_dump())

    last = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in inspect.signature(draw).parameters.values()]
    make.__signature__ = inspect.Signature([*positional, *last], return_annotation=Task)  # type: ignore[attr-defined]
    make.__name__ = make.__qualname__ = name
    fields = {**module.Settings.model_fields, **draw.model_fields}
    options = "\n".join(f"    {key}: {field.description}" for key, field in fields.items())
    make.__doc__ = f"{inspect.getdoc(module.make)}\n\nArgs:\n{options}"
    return make


def draw_settings(module: Any) -> type[SeedSettings]:
    """Return the options of a task's module that say how its data are drawn: the seed, and n_drawn beside n_train."""
    return nested.DrawSettings if "n_train" in module.Settings.model_fields else SeedSettings


def _plain(value: Any) -> Any:
    """Return a value as the settings take it: a list for any sequence, a string for a path."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value


if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Task]: ...


# functions, not modules, at these names: the modules are all imported by now
globals().update({name: _function(name) for name in NAMES})
__all__ = ["NAMES", "Task", "get", *NAMES]
