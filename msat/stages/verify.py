"""Stage `verify`: every file of a results folder against what its config asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from msat.errors import ComputationError, InputError
from msat.keys import difference
from msat.stages import checks, code
from msat.stages.maps import MAPS
from msat.stages.phase_map import TABLE
from msat.stages.plan import Examined, examine, parse_list, planned_files, sources
from msat.store import load_attributes
from msat.tables import TABLES
from msat.tables.files import read_made, read_table

if TYPE_CHECKING:
    from msat.config.whole import Config

_RESULTS = ("data.npz", "theory.nc", "langevin.nc", "reference.nc")


@dataclass
class _Findings:
    """What has been found so far."""

    partial: bool
    checked: int = 0
    wrong: list[str] = field(default_factory=list)  # a line for each file
    foreign: dict[str, list[str]] = field(default_factory=dict)  # files of other code, by what they are

    def expects(self, path: Path) -> bool:
        """Return whether a file is to be judged: where only what is there counts, a missing one is not."""
        return path.exists() or not self.partial

    def judge(self, read: Callable[..., Any], path: Path, *arguments: Any) -> Any:
        """Return what a reader finds in a file; None where it is refused, whose message is then what is wrong."""
        if not self.expects(path):
            return None
        self.checked += 1
        try:
            return read(path, *arguments)
        except InputError as error:
            self.wrong.append(str(error))
            return None

    def made_by(self, what: str, path: Path, found: Mapping[str, Any], digest: str) -> None:
        """Note a file that was made by other code than this."""
        if found.get("code") != digest:
            commit = str(found.get("git_hash", "unknown"))[:10]
            self.foreign.setdefault(what, []).append(f"{path} (msat {found.get('msat_version')}, commit {commit})")


def run(config: Config, partial: bool = False, same_code: bool = False) -> str:
    """Return in words that every file in a config's results folder is what the config asks for, with notes.

    Checked are data sets, results and references, kept states and checkpoints, tables, maps, the plan and the summary
    of the checks: that they are there, as they were written, and made of what they must be.

    Args:
        config: The config, of the experiments whose files can be made.
        partial: Whether to take what is there: a missing file is not wrong.
        same_code: Whether a file that was made by other code than this is wrong; else it is a note.

    Raises:
        ComputationError: If a file is wrong, with a line for each.
    """
    findings, folder = _Findings(partial), Path(config.results)
    files = planned_files(parse_list(config.plan(), "plan"), config.keys())
    examined = list(examine((file for file in files if findings.expects(file.path)), verified=True))
    findings.checked += len(examined)
    findings.wrong += [item.problem for item in examined if item.problem]
    _of_other_code(config, examined, findings)
    _check_plan(config, findings)
    _check_tables(config, examined, findings)
    _check_maps(config, findings)
    _check_saved(folder, findings)
    others = [_counted(f"{name} made by other code than this", found) for name, found in findings.foreign.items()]
    strays = sorted(_strays(folder, {file.path for file in files}))
    notes = [_counted("results that are not in the plan", strays)] if strays else []
    if same_code:
        findings.wrong += others
    else:
        notes = others + notes
    said = [f"note: {line}" for line in notes]
    if findings.wrong:
        count = f"{len(findings.wrong)} of {findings.checked} files in {folder} are wrong"
        what = "remove them, make them again by their names (snakemake FILE ...), and run snakemake"
        raise ComputationError("\n".join([*findings.wrong, *said, f"{count}; {what}"]))
    return "\n".join([*said, f"{findings.checked} files in {folder} are what the config asks for"])


def _counted(what: str, paths: list[str]) -> str:
    return f"{what}: {paths[0]}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def _of_other_code(config: Config, examined: Iterable[Examined], findings: _Findings) -> None:
    """Note results that were made by other code."""
    tasks = {
        Path(f"{config.results}/{run.place}/data.npz"): config.task_of(run.experiment, run.n_train)
        for run in config.runs()
    }
    for item in examined:
        found, path = item.found, item.file.path
        if not found:
            continue
        if item.file.kind == "data":
            digest = code.task(tasks[path].name, tasks[path].activations(), "n_drawn" in item.file.key)
        elif item.file.kind == "theory":
            digest = code.theory(found["activation"], found["levels"], found["n_outputs"], np.size(found["width"]))
        else:
            digest = code.training(found["activation"], found["sampler"], np.size(found["width"]))
        what = {"data": "data sets", "theory": "theory results", "langevin": "trainings"}[item.file.kind]
        findings.made_by(what, path, found, digest)


def _check_plan(config: Config, findings: _Findings) -> None:
    """Check that the plan on disk is that of the config."""
    folder = Path(config.results) / "tables"

    def same(path: Path, text: str) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        if path.read_text(encoding="utf-8") != text:
            raise InputError(f"{path}: not the plan of this config")

    for path, text in ((folder / "plan.csv", config.plan()), (folder / "plan.json", config.keys_text())):
        findings.judge(same, path, text)


def _check_tables(config: Config, examined: Iterable[Examined], findings: _Findings) -> None:
    """Check that tables are of the results that are there, and the summary of the checks of its table."""
    folder = Path(config.results)
    of_results = sources(item.found for item in examined if item.found and item.file.kind != "data")
    for name in TABLES:
        path = folder / f"tables/{name}.parquet"
        made = findings.judge(read_made, path)
        if made is None:
            continue
        if made["kind"] != name:
            findings.wrong.append(f"{path}: holds the table {made['kind']}")
        elif made.get("sources") != of_results:
            findings.wrong.append(f"{path}: made from other results than those that are there")
        findings.made_by("tables", path, made, code.tables())
    summary, table = folder / "checks.txt", folder / "tables/checks.parquet"
    if table.exists():
        findings.judge(_check_summary, summary, table, config.checks.alpha)


def _check_summary(path: Path, table: Path, alpha: float) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    text, problems = checks.judged(read_table(table), alpha)
    if problems or path.read_text(encoding="utf-8") != text:
        raise InputError(f"{path}: not the summary of {table} at alpha = {alpha:g}")


def _check_maps(config: Config, findings: _Findings) -> None:
    """Check that the maps from theory alone are those of the config."""
    folder, keys = Path(config.results), config.map_keys()
    places = {name: (folder / f"tables/{name}.parquet", code.maps()) for name in MAPS}
    for name, at in config.maps.items():
        places[name] = folder / f"maps/{name}/{TABLE}.parquet", code.of_map(at, at.network, at.task.name, at.task)
    for name, (path, digest) in places.items():
        made = findings.judge(read_made, path)
        if made is not None:
            if wrong := difference(made.get("key", {}), keys[name]):
                findings.wrong.append(f"{path}: not what the config asks for: {wrong}")
            findings.made_by("maps", path, made, digest)


def _check_saved(folder: Path, findings: _Findings) -> None:
    """Check that kept states, the results beside them and checkpoints are as they were written."""
    states = sorted([*(folder / "states").rglob("*.pt"), *(folder / "checkpoints").glob("*.pt")])
    if states:
        import torch  # slow

        from msat.langevin import checkpoint

        for path in states:
            findings.judge(checkpoint.read, path, torch.device("cpu"))
    for path in sorted((folder / "states").rglob("*.nc")):
        findings.judge(load_attributes, path, "langevin", True)


def _strays(folder: Path, known: set[Path]) -> Iterator[str]:
    """Yield results in a folder that the plan does not have."""
    for path in folder.rglob("*"):
        if path.name in _RESULTS and path not in known and path.relative_to(folder).parts[0] != "states":
            yield str(path)
