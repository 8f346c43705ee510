"""The tables of docs/formats.md follow from the declarations: ``python docs/tables.py FILE`` rewrites them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msat.observables import variables
from msat.observables.registry import OBSERVABLES, Observable
from msat.observables.variables import Variable
from msat.store import atomic

_BLOCK = re.compile(r"^(<!-- generated: (?P<name>.+?) -->\n).*?^(<!-- end -->)$", flags=re.MULTILINE | re.DOTALL)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _error(item: Observable) -> str:
    return "series" if item.series is not None else "jackknife" if item.held is None else "bracket"


def _file(
    declared: Iterable[Variable],
    outer: tuple[str, ...],
    observables: Iterable[Observable] = (),
    error: Callable[[Observable], str] = lambda item: "",
) -> str:
    """Return the table of what a file holds; `outer` are the dimensions of all but what says otherwise."""
    rows = [
        (item.name, (*(() if item.own_dimensions else outer), *item.dimensions), item.text, item.units, "")
        for item in declared
    ] + [(item.name, (*outer, *item.dimensions), item.text, item.units, error(item)) for item in observables]
    return _table(
        ("variable", "dimensions", "meaning", "units", "error"),
        ((f"`{name}`", ", ".join(dimensions), *rest) for name, dimensions, *rest in rows),
    )


def _theory() -> str:
    predicted = [item for item in OBSERVABLES if item.theory]
    return _file(
        variables.THEORY, ("level", "chi"), predicted, lambda item: "" if "train" in item.dimensions else "Monte Carlo"
    )


def _langevin() -> str:
    return _file(variables.TRAINING, ("chi",), OBSERVABLES, _error)


def _moments() -> str:
    return _file((*variables.CHAIN_MOMENTS, *variables.SERIES), ("chi",))


def _observables() -> str:
    flags = ("theory", "compared", "printed", "pooled", "optional")
    heads = ("observable", "a function of", "predicted", "compared", "printed", "pooled", "may be missing")
    return _table(
        heads,
        (
            [
                f"`{item.name}`",
                ", ".join(f"`{name}`" for name in item.needs),
                *("yes" if getattr(item, flag) else "" for flag in flags),
            ]
            for item in OBSERVABLES
        ),
    )


TABLES = {"theory.nc": _theory, "langevin.nc": _langevin, "moments": _moments, "observables": _observables}


def with_tables(page: str) -> str:
    """Return a page with the text between each pair of markers made anew.

    Markers are ``<!-- generated: NAME -->`` with a name of `TABLES`, and ``<!-- end -->``, each on a line.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}\n{TABLES[match['name']]()}\n\n{match[3]}", page)


def main(path: Path) -> None:
    """Rewrite the tables of a page."""
    with atomic(path) as temporary:
        temporary.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
