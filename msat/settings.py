"""Settings are pydantic models: the options of config, command line and Python; `msat.validation` makes them."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from msat.errors import InputError


def _plain(value: Any) -> Any:
    """Return an integer of NumPy as one of Python."""
    return value if isinstance(value, bool) or not isinstance(value, Integral) else int(value)


Seed = Annotated[int, Field(ge=0, le=2**63 - 1), BeforeValidator(_plain)]


class Settings(BaseModel):
    """Options with defaults, ranges and meanings: the one place of each, for config, command line and Python.

    Unknown keys and silently converted types are errors.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def modules(path: Iterable[str], *tools: str) -> tuple[str, ...]:
    """Return the names of a package's modules but its tools, sorted: what is found by the name of its file."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(path) if module.name not in tools))


def check_known(key: str, name: str, names: Sequence[str]) -> None:
    """Raise InputError unless a name is one of those known."""
    if name not in names:
        raise InputError(f"{key} = {name!r}: must be one of {', '.join(names)}")


@dataclass(frozen=True)
class OneOf:
    """Makes ``Annotated[str, OneOf(names)]`` the type, in settings, of a string that is one of the names."""

    names: Sequence[str]

    def check(self, name: str) -> str:
        """Return the name if it is known; `msat.validation.describe` puts its key before the message."""
        if name not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}")
        return name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(self.names)}
