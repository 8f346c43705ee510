"""Options of the command line made from the fields of settings, and settings made from what was given.

A field becomes ``--its-name``, with its meaning and default; a list is given with commas, a switch is ``--x`` or
``--no-x``, and what is not given is left to the settings.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click

from msat.errors import InputError

if TYPE_CHECKING:  # the list of commands must appear at once
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    Model = TypeVar("Model", bound=BaseModel)

Maker = Callable[[], click.Command]
PATH = click.Path(path_type=Path)


class Commands(click.Group):
    """A group whose commands are made when they are called: by name, their help and how to make them.

    With a default, options that follow the group's own name are those of the command of that name.
    """

    def __init__(self, table: Mapping[str, tuple[str, Maker]], default: str = "", **settings: Any) -> None:
        super().__init__(no_args_is_help=True, **settings)
        self._table, self._default = table, default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return what is left of the arguments."""
        if self._default and args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; one that is not there is refused with those that are, but by a shell that completes."""
        if cmd_name not in self._table and ctx.resilient_parsing:
            return None
        if cmd_name not in self._table:
            ctx.fail(f"no command {cmd_name!r}; known are {', '.join(self._table)}")
        text, make = self._table[cmd_name]
        command = make()
        command.name, command.help = cmd_name, text
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (text, _) in self._table.items()])


def command(run: Callable[..., None], *parameters: click.Parameter | Iterable[click.Parameter]) -> click.Command:
    """Return a command from its function and its arguments and options, alone or in lists."""
    flat = [[item] if isinstance(item, click.Parameter) else list(item) for item in parameters]
    return click.Command(None, callback=run, params=[item for part in flat for item in part])


def option(flag: str, text: str, **settings: Any) -> click.Option:
    """Return an option that belongs to no settings; it must be given if `required` is set."""
    return click.Option([flag], help=text, **settings)


def options(model: type[BaseModel]) -> list[click.Option]:
    """Return one option for each field of a model."""
    return [_option(name, field) for name, field in model.model_fields.items()]


def build(model: type[Model], values: Mapping[str, Any]) -> Model:
    """Return a model from the values of options, those that were given.

    Raises:
        InputError: With the first problem in one line.
    """
    from msat.validation import validated

    return validated(model, {name: values[name] for name in model.model_fields if values.get(name) is not None})


def flags(values: Mapping[str, Any]) -> str:
    """Return values as options for a shell; None is left out, and a tuple repeats its option."""
    return " ".join(
        shlex.quote(_flag(name.replace("_", "-"), value))
        for name, given in values.items()
        for value in (given if isinstance(given, tuple) else (given,))
        if value is not None
    )


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name}={','.join(map(str, value)) if isinstance(value, list) else value}"


def _option(name: str, field: FieldInfo) -> click.Option:
    kind, many, alone = _kind(field.annotation)
    flag = name.replace("_", "-")
    default = None if field.is_required() else field.default
    if many and isinstance(default, list | tuple):
        default = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in default)
    elif kind is bool:
        default = flag if default else f"no-{flag}"
    return click.Option(
        [f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"],
        type=_Listed(kind, alone) if many else PATH if kind is Path else None if kind is bool else kind,
        **({"required": True} if field.is_required() else {"default": None}),
        help=f"{field.description or ''}{'' if default in (None, '') else f'  [default: {default}]'}",
    )


def _kind(annotation: Any) -> tuple[Any, bool, bool]:
    """Return the type of a field's values, without None and constraints, and whether they come in a list, or alone."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in (Union, UnionType):
        kinds = [_kind(item) for item in arguments if item is not NoneType]
        return kinds[0][0], any(many for _, many, _ in kinds), any(alone for *_, alone in kinds)
    if origin in (list, tuple):
        return _kind(arguments[0])[0], True, False
    return (str if origin is Literal else annotation), False, True


class _Listed(click.ParamType):
    """Values of one type, separated by commas; one of them is a value and no list where it may come alone."""

    def __init__(self, kind: type, alone: bool) -> None:
        self._kind, self._alone = kind, alone
        self.name = f"{'text' if kind is str else kind.__name__},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the list."""
        try:
            values = [self._kind(part.strip()) for part in value.split(",")]
            return values[0] if self._alone and len(values) == 1 else values
        except ValueError:
            what = "whole numbers" if self._kind is int else "numbers"
            flag = param.opts[0] if param else ""
            raise InputError(f"{flag} = {value!r}: must be {what} separated by commas") from None
