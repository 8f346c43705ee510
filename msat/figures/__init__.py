"""Figures: one module a figure, one style. They read tables and never compute physics."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from msat.errors import InputError

FIGURES = {
    # name: tables that it reads
    "discrepancies": ("theory", "langevin"),
    "samples": ("samples",),
    "convergence": ("langevin", "chains", "samples", "theory"),
}


def draw(name: str, tables: Path, experiment: str, title: str, out: Sequence[Path]) -> None:
    """Draw one figure of one experiment and write it to each of the files.

    Parameters
    ----------
    name
        A key of `FIGURES`.
    tables
        Folder with the tables that ``msat collect`` wrote.
    experiment
        Name of the experiment.
    title
        Title; empty for none.
    out
        Files; the suffix sets the format.

    Raises
    ------
    InputError
        If the figure, a table or the experiment does not exist.
    """
    from msat.figures import style
    from msat.tables import read_table

    if name not in FIGURES:
        raise InputError(f"figure = {name!r}: must be one of {', '.join(FIGURES)}")
    data = {}
    for table in FIGURES[name]:
        rows = read_table(tables / f"{table}.parquet")
        data[table] = rows[rows["experiment"] == experiment]
        if data[table].empty:
            known = ", ".join(sorted(rows["experiment"].unique()))
            raise InputError(f"experiment = {experiment!r}: not in table {table}; known are {known}")
    with style.context():
        figure = importlib.import_module(f"msat.figures.{name}").draw(**data)
        if title:
            figure.suptitle(title)
        style.save(figure, out)
