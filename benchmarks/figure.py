"""The figure of the race: precision per second, and time to precision, against the scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.race import PEERS, TARGET, Row
from msat.figures import style

MARKERS = "osD^vP*X"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw effective samples per second (top) and time to the target (bottom) against chi, a column an experiment."""
    titles = list(dict.fromkeys(row.case.title for row in rows))
    own = [name for name in dict.fromkeys(row.sampler for row in rows) if name not in PEERS]
    names = [*own, *(name for name in PEERS if any(row.sampler == name and not row.missing for row in rows))]
    colors = style.palette()
    with mpl.rc_context(style.SETTINGS):
        figure, grid = style.subplots(2, len(titles), height=4.4, sharex=True, sharey="row")
        for column, title in enumerate(titles):
            for index, name in enumerate(names):
                mine = [row for row in rows if row.case.title == title and row.sampler == name and not row.missing]
                look = {
                    "color": colors[index % len(colors)],
                    "marker": MARKERS[index % len(MARKERS)],
                    "linestyle": "-" if name in own else "--",
                    "label": f"msat {name}" if name in own else name,
                }
                chi = [row.case.network.chi for row in mine]
                grid[0, column].plot(chi, [row.slowest for row in mine], **look)
                grid[1, column].plot(chi, [row.to_target for row in mine], **look)
            grid[0, column].set_title(title)
            style.chi_axis(grid[1, column])
        for axes in grid.flat:
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.grid(True, which="major", linewidth=0.3, color="0.85")
        grid[0, 0].set_ylabel("effective samples per CPU s\nof the slowest observable")
        grid[1, 0].set_ylabel(f"CPU s to a {100 * TARGET:g} % error\nof the train discrepancy")
        _finish(figure, grid, len(names))
        figure.savefig(path)


def _finish(figure: style.Figure, grid: object, entries: int) -> None:
    """Set panel letters beside the titles and one legend below, in two rows."""
    finished = style.finished(figure, grid)
    handles, labels = grid[0, 0].get_legend_handles_labels()  # type: ignore[index]
    finished.legend(handles, labels, loc="outside lower center", ncols=max(1, (entries + 1) // 2))
