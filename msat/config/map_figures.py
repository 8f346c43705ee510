"""Figures that stand alone: where their tables are, and where they go."""

from __future__ import annotations

from typing import NamedTuple


class MapFigure(NamedTuple):
    """One figure that is of no experiment.

    Attributes:
        name: What it is called in rules, logs and the report.
        figure: The figure, and its file's stem.
        tables, folder: Where its tables are, and its own folder.
        title: Above it.
    """

    name: str
    figure: str
    tables: str
    folder: str
    title: str = ""
