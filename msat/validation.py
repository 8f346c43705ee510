"""Settings are pydantic models; what is wrong with a value becomes one line for a person."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from msat.errors import InputError

Model = TypeVar("Model", bound=BaseModel)
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


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
        """Return the name if it is known; `describe` puts its key before the message."""
        if name not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}")
        return name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(self.names)}


def validated(model: type[Model], values: Mapping[str, Any], where: str = "") -> Model:
    """Return the values as a model.

    Args:
        where: What the message starts with: the file or the argument that holds the values.

    Raises:
        InputError: With the first problem, in one line: key, value, what is allowed.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(f"{where}{describe(model, error)}") from None


def describe(model: type[BaseModel], error: ValidationError) -> str:
    """Return the first problem of a validation error in one line."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "(top level)"
    if first["type"] == "extra_forbidden":
        allowed = _known_keys(model, first["loc"][:-1])
        return f"{key}: unknown key" + (f"; known are {', '.join(allowed)}" if allowed else "")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{key}: required but missing"
    if not first["loc"]:
        return message  # of several keys together: it names them
    shown = repr(first["input"])
    return f"{key} = {shown if len(shown) <= 60 else shown[:57] + '...'}: {message[0].lower()}{message[1:]}"


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the model nested at a path, or nothing where the path is not through plain models."""
    for part in path:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
