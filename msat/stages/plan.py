"""The plan of a run: which files there are to be and what each must be, and whether those that are there are that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from msat import checksums
from msat.errors import InputError
from msat.keys import difference, digest
from msat.store import load_attributes
from msat.tasks.storage import read_made

_OPTIONAL = ["reference", "n_train"]  # columns of the list of runs that are not always there
_TYPES: dict[Any, Any] = {"experiment": str, "seed": int, "chi": float, "theory": str, "langevin": str}

Keys = Mapping[str, Mapping[str, Mapping[str, Any]]]  # by experiment (and number of samples), and by kind


@dataclass(frozen=True)
class Planned:
    """One file of the plan.

    Attributes:
        path: The file.
        kind: What it holds.
        key: What it must be: entries of its attributes, of a data set those of its key.
        data: The data set that it is about, where it is part of the plan.
    """

    path: Path
    kind: Literal["data", "theory", "langevin"]
    key: Mapping[str, Any]
    data: Path | None = None


@dataclass
class Examined:
    """What a planned file was found to be.

    Attributes:
        file: The file.
        found: What it says of itself; empty where it cannot be read.
        problem: Why it is not what it must be, in one line; "" if it is.
    """

    file: Planned
    found: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def read_list(path: Path) -> pd.DataFrame:
    """Return the runs in a list: CSV with the columns experiment, seed, chi, theory, langevin.

    Raises:
        InputError: If the file is missing, is something else, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"--list {path}: no such file") from None
    except (OSError, ValueError):
        text = ""
    return parse_list(text, f"--list {path}")


def parse_list(text: str, where: str) -> pd.DataFrame:
    """Return the runs in the text of a list; see `read_list`."""
    try:
        # as strings first: the reader's own floats may be off in the last digit
        found = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
        optional = found.reindex(columns=_OPTIONAL, fill_value="")
        planned = found[list(_TYPES)].astype(_TYPES).join(optional)
    except (ValueError, KeyError):
        raise InputError(f"{where}: must be CSV with the columns {', '.join(_TYPES)}") from None
    if planned.empty:
        raise InputError(f"{where}: names no run")
    return planned


def read_keys(path: Path) -> Keys:
    """Return what the results of a list must be, from the file beside it; empty where there is none.

    Raises:
        InputError: If the file is something else.
    """
    if not path.is_file():
        return {}
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(key, dict) for kinds in keys.values() for key in kinds.values()):
            return dict(keys)
    except (OSError, ValueError, AttributeError):
        pass
    raise InputError(f"{path}: not the keys of a plan, as the workflow writes them")


def planned_files(runs: pd.DataFrame, keys: Keys) -> list[Planned]:
    """Return the files of a list of runs, each once, data sets before what is about them.

    Args:
        runs: As `read_list` returns them.
        keys: What results must be beside experiment, seed and scale; data sets are in the plan only where it says so.
    """
    files: dict[Path, Planned] = {}
    run: Any
    for run in runs.itertuples():
        place = f"{run.experiment}/p{run.n_train}" if run.n_train else str(run.experiment)
        known = keys.get(place, {})
        seed, about = {"seed": run.seed}, {"label": run.experiment, "seed": run.seed}
        if run.n_train:
            about["n_train"] = int(run.n_train)
        data = Path(run.theory).with_name("data.npz") if "data" in known else None
        found: list[Planned] = [] if data is None else [Planned(data, "data", seed | dict(known["data"]))]
        found.append(Planned(Path(run.theory), "theory", about | dict(known.get("theory", {})), data))
        for kind in ("langevin", "reference"):
            if name := getattr(run, kind):
                key = about | {"chi": run.chi} | dict(known.get(kind, {}))
                found.append(Planned(Path(name), "langevin", key, data))
        for file in found:
            files.setdefault(file.path, file)
    return list(files.values())


def examine(files: Iterable[Planned], verified: bool = False) -> Iterator[Examined]:
    """Yield what each file is found to be, and whether it is what it must be.

    Args:
        verified: Whether checksums are compared with all that is in a file, rather than left to whoever reads it.
    """
    digests: dict[Path | None, Any] = {}
    misfits: set[Path | None] = set()
    for file in files:
        try:
            found = _found(file, verified)
        except InputError as error:
            yield Examined(file, {}, str(error))
            continue
        must = dict(file.key)
        if file.kind == "data":
            digests[file.path] = found.get("data_digest")
        elif file.data in digests:
            must["data_digest"] = digests[file.data]
        wrong = difference(found, must)
        if file.data in misfits and not wrong:
            wrong = f"it is about {file.data}, which is not what the plan asks for"
        if file.kind == "data" and wrong:
            misfits.add(file.path)
        yield Examined(file, found, wrong and f"{file.path}: not what the plan asks for: {wrong}")


def _found(file: Planned, verified: bool) -> dict[str, Any]:
    if file.kind != "data":
        return load_attributes(file.path, file.kind, verified)
    made = read_made(file.path, verified)
    return {**made, **made.get("key", {})}


def sources(found: Iterable[Mapping[str, Any]]) -> str:
    """Return a digest of the results that tables are made from, by what these say of themselves."""
    return digest({"checksums": sorted(str(item.get(checksums.NAME)) for item in found)})


def check_all(files: Iterable[Planned]) -> dict[Path, Mapping[str, Any]]:
    """Return what every file says of itself, by its path.

    Raises:
        InputError: If one is not what it must be; the line names the first, and how many there are.
    """
    examined = list(examine(files))
    problems = [item.problem for item in examined if item.problem]
    if problems:
        more = f" ({len(problems) - 1} more are refused: `msat verify` names all)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}; remove it and run again{more}")
    return {item.file.path: item.found for item in examined}
