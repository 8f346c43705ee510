"""Figures, one file each, found by name: a file ``NAME.py`` here that defines ``NEEDS`` and ``draw`` is one.

They have one style, read tables and result files, and never compute physics. The workflow and the config ask what a
figure needs when they start: libraries that draw are imported inside functions.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from msat import levels
from msat.errors import InputError
from msat.settings import check_known, modules

NAMES = modules(__path__, "style")
# formats, and what makes the same figure the same bytes in each
_METADATA: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".png": {}, ".svg": {"Date": None}}
FORMATS = tuple(suffix[1:] for suffix in _METADATA)


@dataclass(frozen=True)
class Declaration:
    """What a figure needs; its module holds one as ``NEEDS``.

    Attributes:
        kind: "experiment": tables, restricted to one experiment; "runs": a theory result and training results of one
            experiment; "map": tables of its own, over no experiment; "named_map": the table of a map that a config
            names.
        tables: Tables that it reads: the arguments of its ``draw``.
        levels: Names of the levels without which it is not drawn.
        needs_direction: Whether it needs a teacher of one known direction.
        against_samples: Whether it shows what changes with the number of training samples: for experiments where that
            is an axis of the runs. All others show the rows of one number.
    """

    kind: Literal["experiment", "runs", "map", "named_map"]
    tables: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    needs_direction: bool = False
    against_samples: bool = False


def declaration(name: str) -> Declaration:
    """Return what a figure needs.

    Raises:
        InputError: If there is no such figure; the message lists those known.
    """
    check_known("figure", name, NAMES)
    needs: Declaration = importlib.import_module(f"{__name__}.{name}").NEEDS
    return needs


def figures_of(level_names: Collection[str], has_direction: bool, several_samples: bool = False) -> list[str]:
    """Return the figures that an experiment has.

    Args:
        level_names: Its levels.
        has_direction: Whether its teacher has one known direction.
        several_samples: Whether it has runs with several numbers of training samples.
    """
    return [
        name
        for name, needs in zip(NAMES, map(declaration, NAMES), strict=True)
        if needs.kind in ("experiment", "runs")
        and needs.needs_direction <= has_direction
        and needs.against_samples <= several_samples
        and set(needs.levels) <= set(level_names)
    ]


def draw(name: str, out: Sequence[Path], title: str = "", **sources: Any) -> None:
    """Draw one figure and write it to each of the files, from the `sources` that `read` takes.

    Raises:
        InputError: If the figure, a file, the experiment or a level that the figure needs does not exist.
    """
    declaration(name)
    for path in out:
        if path.suffix not in _METADATA:
            raise InputError(f"--out {path}: suffix must be .pdf, .png or .svg")
    write(name, read(name, **sources), out, titled(name, title, sources.get("n_train")))


def read(
    name: str,
    tables: Path | None = None,
    experiment: str = "",
    theory: Path | None = None,
    langevin: Sequence[Path] = (),
    n_train: int | None = None,
) -> dict[str, Any]:
    """Return what a figure is drawn from: the arguments of its ``draw``.

    Args:
        tables, experiment: Folder with the tables, and the experiment whose rows are shown.
        theory, langevin: Result files: instead of these for figures of kind "runs".
        n_train: Of several numbers of training samples the one shown, where a figure does not show all; None for the
            largest.

    Raises:
        InputError: If a file, the experiment, the number of samples or a level that the figure needs does not exist.
    """
    if declaration(name).kind == "runs":
        return _results(name, theory, langevin)
    return _tables(name, tables, experiment, n_train)


def titled(name: str, title: str, n_train: int | None) -> str:
    """Return a figure's title, with the number of training samples that it shows out of several, if one is given."""
    if not title or n_train is None or declaration(name).against_samples:
        return title
    return f"{title}, P = {n_train}"


def write(name: str, data: Mapping[str, Any], out: Sequence[Path], title: str = "", keyword: str = "") -> None:
    """Draw one figure from what `read` returns, and write it to each of the files, with a keyword in their metadata."""
    import matplotlib as mpl

    from msat.figures import style
    from msat.store import atomic

    with mpl.rc_context(style.SETTINGS):
        figure = importlib.import_module(f"{__name__}.{name}").draw(**data)
        if title:
            figure.suptitle(title)
        try:
            # laid out once for all files: each would do it again, from where the one before it ended, and draw twice
            if layout := figure.get_layout_engine():
                layout.execute(figure)
            with mpl.rc_context({"figure.constrained_layout.use": False}):
                figure.set_layout_engine(None)
                for path in out:
                    words = {"Keywords": keyword} if keyword else {}
                    with atomic(path) as temporary:
                        figure.savefig(temporary, format=path.suffix[1:], metadata=_METADATA[path.suffix] | words)
        except ValueError as error:  # matplotlib parses formulas only when it draws
            raise InputError(f"--title {title!r}: {str(error).splitlines()[-1]}") from None


def _tables(name: str, folder: Path | None, experiment: str, n_train: int | None) -> dict[str, Any]:
    from msat.tables.files import read_table

    if folder is None:
        raise InputError(f"--tables: figure {name} needs the folder of the tables")
    needs, data = declaration(name), {}
    for table in needs.tables:
        keys = ("experiment", "seed") if needs.kind == "experiment" else ()
        rows = read_table(folder / f"{table}.parquet", keys)
        if keys:
            known = ", ".join(sorted(rows["experiment"].unique())) or "none"
            rows = rows[rows["experiment"] == experiment]
            if rows.empty:
                raise InputError(f"experiment = {experiment!r}: not in table {table}; known are {known}")
            if not needs.against_samples:
                rows = _at_samples(table, rows, n_train)
        if "level" in rows:
            _check_levels(name, f"table {table}", rows["level"].unique())
        data[table] = rows
    return data


def _at_samples(table: str, rows: Any, n_train: int | None) -> Any:
    """Return the rows of one number of training samples, by default the largest."""
    if "n_train" not in rows:
        raise InputError(f"{table}: column n_train is missing: not the table that is needed here")
    found = rows["n_train"].unique()
    if n_train is not None and n_train not in found:
        known = ", ".join(map(str, sorted(found)))
        raise InputError(f"n_train = {n_train}: not in table {table} of this experiment; known are {known}")
    return rows[rows["n_train"] == (max(found) if n_train is None else n_train)]


def _results(name: str, theory: Path | None, langevin: Sequence[Path]) -> dict[str, Any]:
    from msat.store import load_dataset

    if theory is None or not langevin:
        raise InputError(f"--theory, --langevin: figure {name} needs result files of msat solve and msat train")
    predicted = load_dataset(theory, "theory")
    _check_levels(name, theory.name, predicted["level"].to_numpy())
    return {"theory": predicted, "langevin": [load_dataset(path, "langevin") for path in langevin]}


def _check_levels(name: str, where: str, found: Collection[Any]) -> None:
    missing = [level for level in declaration(name).levels if level not in found]
    if missing:
        has = ", ".join(level.name for level in levels.ordered(found)) or "none"
        raise InputError(f"figure {name} needs level {', '.join(missing)}; {where} has {has}")
