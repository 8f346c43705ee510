"""Stage `tables`: tidy tables of many results, one scale of one run in memory at a time, and what is missing."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import reduce
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from msat.errors import InputError
from msat.stages import measured
from msat.stages.plan import check_all, planned_files, read_keys, read_list, sources
from msat.store import atomic, check_distinct, check_writable, load_attributes, load_dataset
from msat.tables import TABLES, rows
from msat.tables.checks import check_table
from msat.tables.compare import better, compare, compare_samplers, compare_steps, printed
from msat.tables.evidence import evidence_tables
from msat.tables.files import write_table
from msat.tables.half_learned import half_learned_table
from msat.tables.spool import Spool

_PLACE = ["experiment", "seed", "chi"]

Key = tuple[str, int, int]  # experiment, seed and number of training samples
_AtScale = tuple[float, Path]


def run(
    out: Path,
    theory: Sequence[Path] | None = None,
    langevin: Sequence[Path] | None = None,
    plan: Path | None = None,
    partial: bool = False,
    reference: Sequence[Path] | None = None,
    processes: int = 1,
    made: Mapping[str, Any] | None = None,
) -> str:
    """Write the tables of `msat.tables.TABLES` into a folder and return what is missing, or "".

    Args:
        out: The folder.
        theory, langevin: Results of both stages, in any order.
        plan: Instead of these: CSV with the columns experiment, seed, chi, theory, langevin, and reference where there
            are some, and n_train where that is an axis of the runs. Files must be of the run that it names, and what
            the keys say that the workflow writes beside it, ``plan.json``.
        partial: Whether to take what of the plan exists. The checks then say how many seeds are planned, and a table
            `missing` lists what has not finished.
        reference: Results of trainings by another sampler, which those of `langevin` are compared with.
        processes: How many read results at the same time.
        made: What the tables say of their making.

    Raises:
        InputError: If results are given neither or both ways, are not results, do not belong together, or are not what
            the plan asks for.
    """
    if (theory or langevin) if plan is not None else not (theory and langevin):
        raise InputError("give --theory and --langevin, or --list")
    if partial and plan is None:
        raise InputError("--partial needs --list: it says what is still to come")
    if partial:
        out.mkdir(parents=True, exist_ok=True)
    check_writable(out / "theory.csv")
    check_distinct(("--list", plan), *(("a table", out / f"{name}.csv") for name in TABLES))
    if plan is None:
        collect_files(theory or (), langevin or (), out, reference or (), processes=processes, made=made)
        return ""
    planned = read_list(plan)
    files = planned_files(planned, read_keys(plan.with_suffix(".json")))
    known = check_all(file for file in files if file.path.exists() or (file.kind != "data" and not partial))
    if not partial:
        whole, trained, references = (_paths(planned[name]) for name in ("theory", "langevin", "reference"))
        collect_files(whole, trained, out, references, processes=processes, known=known, made=made)
        return ""
    lacks = ~planned[["theory", "langevin"]].map(os.path.exists).rename(columns={"langevin": "training"})
    # what a run lacks, or ""; a training without its theory counts for nothing
    planned["missing"] = [" and ".join(lacks.columns[row]) for row in lacks.to_numpy()]
    there = planned["missing"] == ""
    if not there.any():
        raise InputError(f"--list {plan}: no run has finished yet")
    references = [path for path in _paths(planned["reference"][there]) if path.exists()]
    trained = _paths(planned["langevin"][there])
    whole = _paths(planned["theory"][~lacks["theory"]])
    collect_files(whole, trained, out, references, planned, processes, known, made)
    place = [*_PLACE, "n_train"] if (planned["n_train"] != "").any() else _PLACE
    write_table(planned.loc[~there, [*place, "missing"]], out / "missing", made)
    return _report(planned)


def compare_files(theory: Path, langevin: Path, csv: Path | None = None) -> str:
    """Return one theory result against one training result as text, and write the table as CSV if asked to."""
    if csv is not None:
        check_writable(csv, "--csv")
        check_distinct(("the theory result", theory), ("--csv", csv))
        check_distinct(("the training result", langevin), ("--csv", csv))
    table = compare(load_dataset(theory, "theory"), measured.load(langevin))
    if csv is not None:
        with atomic(csv) as temporary:
            table.to_csv(temporary, index=False)
    return printed(table)


def _report(planned: pd.DataFrame) -> str:
    """Return how many seeds of each experiment, P and scale are in, one line each, and what is missing in all."""
    lines = [f"{(planned['missing'] == '').sum()} of {len(planned)} runs are in"]
    for (experiment, n_train, chi), runs in planned.groupby(["experiment", "n_train", "chi"], sort=False):
        without = runs.loc[runs["missing"] != "", "seed"].astype(str)
        if len(without):
            share = f"{len(runs) - len(without)} of {len(runs)} seeds"
            samples = f", P = {n_train}" if n_train else ""
            lines.append(f"{experiment}{samples}, chi = {chi:g}: {share}, missing: {', '.join(without)}")
    return "\n".join(lines)


def collect_files(
    theory: Sequence[Path],
    langevin: Sequence[Path],
    folder: Path,
    reference: Sequence[Path] = (),
    planned: pd.DataFrame | None = None,
    processes: int = 1,
    known: Mapping[Path, Mapping[str, Any]] | None = None,
    made: Mapping[str, Any] | None = None,
) -> None:
    """Write the tables of `msat.tables.TABLES` over result files, as CSV and parquet, into a folder.

    Memory is bounded by one scale of one run for each process, and its rows, whatever the number of files. Rows are
    sorted by experiment, seed, number of training samples and scale.

    Args:
        theory, langevin: Result files, in any order.
        folder: Where the tables go.
        reference: Results of trainings by another sampler.
        planned: All runs, if there are to be more: the checks name the number of planned seeds too.
        processes: How many read results at the same time; the tables are the same.
        known: Attributes of files that have been read already.
        made: What the tables say of their making, beside the results that they are made from.

    Raises:
        InputError: If a file is not a result, or a training result has no theory of its experiment, seed, data and
            network.
    """
    known = {path: item for path, item in (known or {}).items() if "kind" in item}
    for kind, paths in (("theory", theory), ("langevin", (*langevin, *reference))):
        known |= {path: load_attributes(path, kind) for path in paths if path not in known}
    runs, references = _by_run(langevin, known), _by_run(reference, known)
    solved = {_key(known[path]): path for path in theory}
    dimensions = {
        _key(known[path])[0]: float(known[path]["dimension"]) for path in theory if "dimension" in known[path]
    }
    for label, seed, n_train in (*runs, *references):
        if (label, seed, n_train) not in solved:
            raise InputError(f"no theory result for experiment {label!r}, seed {seed}, n_train {n_train}")
    about = {**(made or {}), "sources": sources(known[path] for path in (*theory, *langevin, *reference))}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="msat-collect-")))
        spools = {name: Spool(scratch / name) for name in TABLES}
        whole = [
            (path, *(sorted(group.get(key, [])) for group in (runs, references)))
            for key, path in sorted(solved.items())
        ]
        pool = stack.enter_context(ProcessPoolExecutor(processes)) if processes > 1 else None
        for found in pool.map(_tables_of_run, *zip(*whole, strict=True)) if pool else starmap(_of_run, whole):
            for name, table in found:
                spools[name].append(table)
        checks = check_table(spools["comparison"].whole())
        if planned is not None:
            checks.insert(list(checks).index("seeds") + 1, "seeds_planned", _seeds_planned(checks, planned))
        spools["checks"].append(checks)
        components, trained = (spools[name].whole() for name in ("components", "langevin"))
        spools["half_learned"].append(half_learned_table(components, trained, dimensions))
        for name, spool in spools.items():
            spool.write(stack, folder / name, about)


def _seeds_planned(checks: pd.DataFrame, planned: pd.DataFrame) -> list[int]:
    """Return the number of planned seeds for each row of the checks."""
    seeds = planned.groupby(["experiment", "n_train", "chi"]).size()
    places = zip(checks["experiment"], checks["n_train"].astype(str), checks["chi"], strict=True)
    # where the number of samples is no axis the list says none
    return [int(seeds.get((name, n_train, chi), seeds.get((name, "", chi), 0))) for name, n_train, chi in places]


def _by_run(paths: Sequence[Path], known: Mapping[Path, Mapping[str, Any]]) -> dict[Key, list[_AtScale]]:
    """Return scale and path of training results by experiment and seed."""
    runs: dict[Key, list[_AtScale]] = {}
    for path in paths:
        runs.setdefault(_key(known[path]), []).append((float(known[path]["chi"]), path))
    return runs


def _key(attributes: Mapping[str, Any]) -> Key:
    return str(attributes.get("label", "")), int(attributes["seed"]), int(attributes["n_train"])


def _paths(names: pd.Series[str]) -> list[Path]:
    return [Path(name) for name in names.unique() if name]


def _tables_of_run(*run: Any) -> list[tuple[str, pd.DataFrame]]:
    return list(_of_run(*run))  # what goes from process to process


def _of_run(
    solved: Path, runs: Sequence[_AtScale], references: Sequence[_AtScale]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield name and rows of one table after the other, scale by scale of one theory result and its trainings."""
    theory = load_dataset(solved, "theory")
    scales = np.sort(theory["chi"].to_numpy())
    near = np.isclose(scales[:, None], [chi for chi, _ in runs], rtol=1e-9, atol=0)  # (scales, runs)
    for (_, path), there in zip(runs, near.any(axis=0), strict=True):
        if not there:
            rows.matching_scale(theory, measured.load(path))  # is refused, with its message
    along: dict[str, list[pd.DataFrame]] = {"theory": [], "langevin": []}
    for chi, here in zip(scales, near, strict=True):
        trained = [measured.load(path) for (_, path), at in zip(runs, here, strict=True) if at]
        others = [measured.load(path) for at, path in references if np.isclose(at, chi, rtol=1e-9, atol=0)]
        for name, table in _of_scale(theory.sel(chi=[chi]), trained, others).items():
            if name in along:
                along[name].append(table)
            yield name, table
    yield from evidence_tables(*map(_joined, along.values())).items()


def _of_scale(
    theory: xr.Dataset, langevin: Sequence[xr.Dataset], references: Sequence[xr.Dataset]
) -> dict[str, pd.DataFrame]:
    """Return the tables whose rows are of one scale each, at one scale.

    Where there is a reference, levels are compared with the better of the two measurements, and these with each other;
    a measurement that knows the bias of its step size is compared with itself without it.
    """
    judges = [reduce(better, references, item) for item in langevin]
    compared = [compare(theory, judge) for judge in judges]
    compared += [compare_samplers(reference, item) for item in langevin for reference in references]
    compared += map(compare_steps, (*langevin, *references))
    return {
        "theory": rows.theory_table(theory),
        "langevin": _joined(map(rows.langevin_table, langevin)),
        "reference": _joined(map(rows.langevin_table, references)),
        "comparison": _joined(compared),
        "samples": _joined(rows.samples_table(theory, item) for item in langevin),
        "chains": _joined(map(rows.chains_table, langevin)),
        "components": _joined(map(rows.components_table, (theory, *langevin))),
    }


def _joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    # empty parts have no say in the types of columns
    parts = list(tables)
    known = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame()
