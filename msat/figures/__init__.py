"""Figures, one file each, found by name: a file ``NAME.py`` here that defines ``NEEDS`` and ``draw`` is one.

They have one style, read tables and result files, and never compute physics.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from msat import levels
from msat.errors import InputError
from msat.figures.base import Declaration

NAMES = tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in ("base", "style")))


def declaration(name: str) -> Declaration:
    """Return what a figure needs.

    Raises:
        InputError: If there is no such figure; the message lists those known.
    """
    if name not in NAMES:
        raise InputError(f"figure = {name!r}: must be one of {', '.join(NAMES)}")
    needs: Declaration = importlib.import_module(f"{__name__}.{name}").NEEDS
    return needs


def figures_of(level_names: Collection[str], has_direction: bool) -> list[str]:
    """Return the figures that an experiment has, by its levels and whether its teacher has one known direction."""

    def has(needs: Declaration) -> bool:
        complete = set(needs.levels) <= set(level_names) and (has_direction or not needs.needs_direction)
        return complete and needs.kind != "map"

    return [name for name in NAMES if has(declaration(name))]


def draw(
    name: str,
    out: Sequence[Path],
    title: str = "",
    tables: Path | None = None,
    experiment: str = "",
    theory: Path | None = None,
    langevin: Sequence[Path] = (),
) -> None:
    """Draw one figure and write it to each of the files.

    Args:
        name: One of `NAMES`.
        out: Files; the suffix sets the format.
        title: Title; empty for none.
        tables, experiment: Folder with the tables, unless the figure's kind is "runs", and the experiment whose rows it
            shows.
        theory, langevin: Result files, for figures of runs.

    Raises:
        InputError: If the figure, a file, the experiment or a level that the figure needs does not exist.
    """
    from msat.figures import style

    needs = declaration(name)
    style.check_formats(out)
    data = _results(name, theory, langevin) if needs.kind == "runs" else _tables(name, tables, experiment)
    with style.context():
        figure = importlib.import_module(f"{__name__}.{name}").draw(**data)
        if title:
            figure.suptitle(title)
        try:
            style.save(figure, out)
        except ValueError as error:  # matplotlib parses formulas only when it draws
            raise InputError(f"--title {title!r}: {str(error).splitlines()[-1]}") from None


def _tables(name: str, folder: Path | None, experiment: str) -> dict[str, Any]:
    from msat.tables.rows import read_table

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
        if "level" in rows:
            _check_levels(name, f"table {table}", rows["level"].unique())
        data[table] = rows
    return data


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
