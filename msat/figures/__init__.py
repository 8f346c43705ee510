"""Figures: one module a figure, one style. They read tables and stores and never compute physics."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msat.errors import InputError

# name: tables that it reads, restricted to one experiment
TABLE_FIGURES = {
    "discrepancies": ("theory", "langevin"),
    "samples": ("samples",),
    "convergence": ("langevin", "chains", "samples", "theory"),
    "components": ("components",),
    "directions": ("theory", "langevin"),
    "features": ("theory", "langevin"),
    "evidence": ("evidence", "evidence_maximum"),
}
# figures that need whole matrices read result files: a theory result and training results
STORE_FIGURES = ("kernels",)
# figures over a grid of their own, from a table of their own
MAP_FIGURES = ("loop_map", "finite_width")
FIGURES = (*TABLE_FIGURES, *STORE_FIGURES, *MAP_FIGURES)


def figures_of(single_index: bool) -> list[str]:
    """Return the figures that an experiment has: components need a teacher of one known direction."""
    return [name for name in (*TABLE_FIGURES, *STORE_FIGURES) if name != "components" or single_index]


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

    Parameters
    ----------
    name
        One of `FIGURES`.
    out
        Files; the suffix sets the format.
    title
        Title; empty for none.
    tables
        Folder with the tables: needed by figures of tables and maps.
    experiment
        Name of the experiment: needed by figures of tables.
    theory, langevin
        Result files: needed by figures of stores.

    Raises
    ------
    InputError
        If the figure, a file or the experiment does not exist.
    """
    from msat.figures import style

    if name not in FIGURES:
        raise InputError(f"figure = {name!r}: must be one of {', '.join(FIGURES)}")
    style.check_formats(out)
    data = _stores(theory, langevin) if name in STORE_FIGURES else _tables(name, tables, experiment)
    with style.context():
        figure = importlib.import_module(f"msat.figures.{name}").draw(**data)
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
    if name in MAP_FIGURES:
        return {name: read_table(folder / f"{name}.parquet")}
    data = {}
    for table in TABLE_FIGURES[name]:
        rows = read_table(folder / f"{table}.parquet", ("experiment", "seed"))
        data[table] = rows[rows["experiment"] == experiment]
        if data[table].empty:
            known = ", ".join(sorted(rows["experiment"].unique())) or "none"
            raise InputError(f"experiment = {experiment!r}: not in table {table}; known are {known}")
    return data


def _stores(theory: Path | None, langevin: Sequence[Path]) -> dict[str, Any]:
    from msat.store import load_dataset

    if theory is None or not langevin:
        raise InputError("--theory, --langevin: this figure needs result files of msat solve and msat train")
    return {
        "theory": load_dataset(theory, "theory"),
        "langevin": [load_dataset(path, "langevin") for path in langevin],
    }
