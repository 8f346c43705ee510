"""Tables over many result files: one scale of one run in memory at a time, and what has not finished yet."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

from msat.errors import InputError
from msat.store import atomic, load_attributes, load_dataset
from msat.tables.evidence import evidence_tables
from msat.tables.rows import collect_scales

# Makes a further table from one of `msat.tables.rows.collect`: the source's name, and how.
Derived = tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]

_COLUMNS = ("experiment", "seed", "chi", "theory", "langevin")
_ROWS_HELD = 100_000  # rows of a table kept in memory before they go to a temporary file


@dataclass(frozen=True)
class Planned:
    """One training run that is to be collected: its place in the sweep, and its two files."""

    experiment: str
    seed: int
    chi: float
    theory: Path
    langevin: Path


def read_list(path: Path) -> list[Planned]:
    """Return the runs in a list: CSV with the columns experiment, seed, chi, theory, langevin.

    Raises
    ------
    InputError
        If the file is missing or is something else.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            Planned(
                row["experiment"],
                int(row["seed"]),
                float(row["chi"]),
                Path(row["theory"]),
                Path(row["langevin"]),
            )
            for row in rows
        ]
    except FileNotFoundError:
        raise InputError(f"--list {path}: no such file") from None
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        raise InputError(f"--list {path}: must be CSV with the columns {', '.join(_COLUMNS)}") from None


def finished(planned: Sequence[Planned]) -> tuple[list[Path], list[Path], pd.DataFrame]:
    """Return the theory and training files that exist, and a table of the runs that lack one.

    A training result whose theory is missing cannot be compared, and counts as missing.
    """
    there = {path: path.exists() for item in planned for path in (item.theory, item.langevin)}
    theory = [path for path in dict.fromkeys(item.theory for item in planned) if there[path]]
    langevin = [item.langevin for item in planned if there[item.theory] and there[item.langevin]]
    rows = [
        {
            "experiment": item.experiment,
            "seed": item.seed,
            "chi": item.chi,
            "missing": " and ".join(
                name for name, path in (("theory", item.theory), ("training", item.langevin)) if not there[path]
            ),
        }
        for item in planned
        if not (there[item.theory] and there[item.langevin])
    ]
    return theory, langevin, pd.DataFrame(rows, columns=["experiment", "seed", "chi", "missing"])


def missing_report(planned: Sequence[Planned], missing: pd.DataFrame) -> str:
    """Return how many seeds of each experiment and scale are in, one line each, and what is missing in all."""
    absent = set(missing[["experiment", "seed", "chi"]].itertuples(index=False, name=None))
    lines = [f"{len(planned) - len(missing)} of {len(planned)} runs are in"]
    places: dict[tuple[str, float], list[int]] = {}
    for item in planned:
        places.setdefault((item.experiment, item.chi), []).append(item.seed)
    for (experiment, chi), seeds in places.items():
        without = [str(seed) for seed in seeds if (experiment, seed, chi) in absent]
        if without:
            lines.append(
                f"{experiment}, chi = {chi:g}: {len(seeds) - len(without)} of {len(seeds)} seeds, "
                f"missing: {', '.join(without)}"
            )
    return "\n".join(lines)


def collect_files(
    theory: Sequence[Path], langevin: Sequence[Path], folder: Path, derived: Mapping[str, Derived]
) -> None:
    """Write the tables of `msat.tables.rows.collect` over result files, as CSV and parquet, into a folder.

    Memory is bounded by one scale of one run, whatever the number of files. Rows are sorted by experiment,
    seed and scale.

    Parameters
    ----------
    theory, langevin
        Result files, in any order.
    folder
        Where the tables go.
    derived
        Further tables by name, made from whole ones.

    Raises
    ------
    InputError
        If a file is not a result, or a training result has no theory of its experiment, seed, data and network.
    """
    runs: dict[tuple[str, int], list[tuple[float, Path]]] = {}
    for path in langevin:
        attributes = load_attributes(path, "langevin")
        runs.setdefault(_key(attributes), []).append((float(attributes["chi"]), path))
    solved = {_key(load_attributes(path, "theory")): path for path in theory}
    for label, seed in runs:
        if (label, seed) not in solved:
            raise InputError(f"no theory result for experiment {label!r}, seed {seed}")
    with ExitStack() as stack:
        spools: dict[str, _Spool] = {}
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="msat-collect-")))
        for key, path in sorted(solved.items()):
            along: dict[str, list[pd.DataFrame]] = {"theory": [], "langevin": []}  # one run, all its scales
            for at, here in _by_scale(load_dataset(path, "theory"), sorted(runs.get(key, []))):
                results = [load_dataset(each, "langevin") for each in here]
                for name, table in collect_scales([at], results).items():
                    spools.setdefault(name, _Spool(scratch / name)).append(table)
                    if name in along:
                        along[name].append(table)
            evidence = evidence_tables(*(pd.concat(parts, ignore_index=True) for parts in along.values()))
            for name, table in evidence.items():
                spools.setdefault(name, _Spool(scratch / name)).append(table)
        for name, spool in spools.items():
            _write(stack, folder / name, spool)
        for name, (source, derive) in derived.items():
            whole = spools[source].whole()
            if len(whole):
                spool = _Spool(scratch / name)
                spool.append(derive(whole))
                _write(stack, folder / name, spool)


def _key(attributes: Mapping[str, Any]) -> tuple[str, int]:
    return str(attributes.get("label", "")), int(attributes["seed"])


def _by_scale(theory: xr.Dataset, runs: Sequence[tuple[float, Path]]) -> Iterator[tuple[xr.Dataset, list[Path]]]:
    """Yield theory at each of its scales with the training files there, then those of scales that it lacks."""
    left = list(runs)
    for chi in np.sort(theory["chi"].to_numpy()):
        here = [item for item in left if np.isclose(item[0], chi, rtol=1e-9, atol=0)]
        left = [item for item in left if item not in here]
        yield theory.sel(chi=[chi]), [path for _, path in here]
    for _, path in left:
        yield theory, [path]  # refused by `collect`, with its message


class _Spool:
    """The parts of one table on their way to a file; long ones wait on disk."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._held: list[pd.DataFrame] = []
        self._files: list[Path] = []
        self._schemas: list[pa.Schema] = []

    def append(self, part: pd.DataFrame) -> None:
        """Add rows; parts may differ in their columns."""
        if not len(part.columns):
            return
        self._held.append(part)
        if sum(map(len, self._held)) >= _ROWS_HELD:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_pandas(pd.concat(self._held, ignore_index=True), preserve_index=False)
            self._held = []
            self._files.append(self._stem.with_suffix(f".{len(self._files)}"))
            self._schemas.append(table.schema.remove_metadata())
            pq.write_table(table, self._files[-1])

    def parts(self) -> Iterator[pa.Table]:
        """Yield the parts with one schema: the union of their columns in order of first appearance."""
        self._flush()
        if not self._files:
            return
        schema = pa.unify_schemas(self._schemas, promote_options="permissive")
        for path in self._files:
            part = pq.read_table(path)
            columns = [
                part[field.name].cast(field.type)
                if field.name in part.column_names
                else pa.nulls(len(part), field.type)
                for field in schema
            ]
            yield pa.table(columns, schema=schema)

    def whole(self) -> pd.DataFrame:
        """Return all rows."""
        parts = list(self.parts())
        return pa.concat_tables(parts).to_pandas() if parts else pd.DataFrame()


def _write(stack: ExitStack, stem: Path, spool: _Spool) -> None:
    """Write a table as CSV (17 digits) and parquet, part by part; both are renamed when the stack closes."""
    csv_path, parquet_path = (stack.enter_context(atomic(stem.with_suffix(s))) for s in (".csv", ".parquet"))
    writer = None
    for part in spool.parts():
        if writer is None:
            writer = pq.ParquetWriter(parquet_path, part.schema)
        part.to_pandas().to_csv(
            csv_path, mode="a", header=not csv_path.exists(), index=False, float_format="%.17g"
        )
        writer.write_table(part)
    if writer is None:  # a table without columns
        pd.DataFrame().to_csv(csv_path, index=False)
        pd.DataFrame().to_parquet(parquet_path, index=False)
    else:
        writer.close()
