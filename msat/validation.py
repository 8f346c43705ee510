"""What is wrong with a value becomes one line for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from msat.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


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
    if first["type"] == "union_tag_invalid":
        which, known = (first["ctx"][name].replace("'", "") for name in ("discriminator", "expected_tags"))
        return f"{key}.{which} = {first['ctx']['tag']!r}: must be one of {known}"
    if first["type"] == "extra_forbidden":
        allowed = _known_keys(model, first["loc"][:-1])
        return f"{key}: unknown key" + (f"; known are {', '.join(allowed)}" if allowed else "")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{key}: required but missing"
    if not first["loc"]:
        return message  # of several keys together: it names them
    if first["type"] == "value_error" and isinstance(first["input"], Mapping):
        return f"{key}: {message}"  # of several keys of one section together
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
