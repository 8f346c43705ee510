"""What an edit runs again: every file of the package against a table, by the keys of all jobs of the smoke run.

The keys are those of the rules; that Snakemake makes of them what is said here is seen in dry runs of some edits.
"""

from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from msat import figures, provenance
from msat.config import Config, merged, parse_config
from msat.stages import code
from msat.stages.maps import MAPS
from tests.workflow.running import ROOT, planned_jobs, snakemake

pytestmark = pytest.mark.workflow

TASKS, SOLVE, TRAIN, MAPS_ = "task *", "solve *", "train *|reference *", "map *|phase *"
TABLES, CHECKS, FIGURES = "collect", "checks", "figure_*"
READ = (TABLES, CHECKS, FIGURES)  # what reads results, not what makes them
NOTHING = ()

# file, or several: the jobs whose key has it, by rule and experiment. The first row that fits counts.
TABLE = {
    # the foundations
    "settings.py": (TASKS, SOLVE, TRAIN, MAPS_, *READ),
    "types.py": (
        *(TASKS, SOLVE, TRAIN, MAPS_, TABLES, CHECKS),
        *(f"figure_{name}" for name in ("evidence", "finite_width", "kernels", "loop_map", "phase_map")),
    ),
    "errors.py validation.py": NOTHING,  # words for what is refused
    "keys.py": (SOLVE, TRAIN, MAPS_, *READ),  # seeds
    "uncertainty.py": (TRAIN, TABLES, CHECKS),
    "provenance.py": (SOLVE, TABLES),  # versions and commit in the file
    "store.py checksums.py": (SOLVE, MAPS_, *READ),
    # packages that do more than hold modules
    "activations/__init__.py": ("task *_erf", SOLVE, TRAIN, MAPS_, *READ),
    "figures/__init__.py": (FIGURES,),
    "langevin/__init__.py langevin/samplers/__init__.py": (TRAIN,),
    "stages/__init__.py tables/__init__.py": (TABLES,),
    "__init__.py */__init__.py": NOTHING,
    # what only reads or shows settings: their values are in the jobs
    "cli.py cli_results.py cli_options.py config/*.py langevin/settings.py": NOTHING,
    # data sets: of the smoke run's tasks, ising is that of the maps too
    "tasks/base.py": (TASKS, SOLVE, MAPS_, TABLES),
    "tasks/storage.py": (SOLVE, TABLES),
    "tasks/ising.py": ("task ising_linear", MAPS_),
    "tasks/teacher_student.py": ("task *_erf",),
    "tasks/nested.py": ("task index_probabilists_erf",),
    "tasks/*.py": NOTHING,
    # what theory and training share
    "network.py": (SOLVE, TRAIN, MAPS_, TABLES, CHECKS),
    "geometry.py": (SOLVE, TRAIN, MAPS_, TABLES),
    "activations/base.py": (SOLVE, TRAIN, MAPS_),
    "activations/linear.py": ("solve ising_linear", "train ising_linear", MAPS_),
    "activations/erf.py": ("solve *_erf", "train *_erf", "reference *_erf"),
    "activations/*.py": NOTHING,
    # a level, whatever of it, trains nothing
    "levels.py": (SOLVE, MAPS_, *READ),
    "theory/exact.py theory/linear/action.py theory/linear/ladder.py theory/linear/outputs.py": (
        "solve ising_linear",
        MAPS_,
    ),
    "theory/several/*.py": NOTHING,  # the smoke run has one output everywhere
    "theory/sampled/*.py": ("solve *_erf",),
    "theory/deep/*.py langevin/deep_potential.py": NOTHING,  # of several hidden layers, which the smoke run has not
    "theory/settings.py theory/kept.py": (SOLVE,),
    "theory/cost.py langevin/cost.py": NOTHING,
    "theory/*.py": (SOLVE, MAPS_),
    # training: the dynamics and what they measure, not how a run is watched and saved
    "langevin/checkpoint.py langevin/interrupt.py langevin/progress.py": NOTHING,
    "langevin/packing.py": (TRAIN, TABLES),
    "langevin/samplers/langevin.py": ("train *",),
    "langevin/samplers/hmc.py": ("reference *",),
    "langevin/samplers/*.py": NOTHING,
    "langevin/*.py": (TRAIN,),
    # observables are functions of what was measured
    "observables/evaluate.py": (SOLVE, TABLES),
    "observables/matrices.py": ("figure_kernels",),
    "observables/functions.py": (SOLVE, MAPS_, TABLES, CHECKS),
    "observables/*.py": (SOLVE, TABLES, CHECKS),
    # stages, tables, figures
    "stages/theory.py": (SOLVE,),
    "stages/columns.py": (MAPS_,),
    "stages/maps.py": ("map *",),
    "stages/phase_map.py": ("phase *",),
    "stages/tables.py stages/measured.py stages/plan.py": (TABLES,),
    "stages/checks.py": (CHECKS,),
    "stages/training.py stages/code.py stages/figures.py stages/verify.py stages/show.py": NOTHING,
    "tables/rows.py": (TABLES, CHECKS),
    "tables/files.py": (MAPS_, *READ),
    "tables/checks.py tables/compare.py": (TABLES, CHECKS),
    "tables/evidence.py": (TABLES, "figure_evidence"),
    "tables/half_learned.py tables/spool.py": (TABLES,),
    "figures/style.py": (FIGURES,),
    "figures/*.py": ("figure_{stem}",),
}


def _row(name: str) -> tuple[str, ...] | None:
    for files, jobs in TABLE.items():
        if any(fnmatch(name, pattern) for pattern in files.split()):
            return tuple(each.format(stem=Path(name).stem) for job in jobs for each in job.split("|"))
    return None


@pytest.fixture(scope="module")
def config() -> Config:
    base, overlay = (yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", "configs/smoke.yaml"))
    return parse_config(merged(base, overlay))


def _keys(config: Config) -> dict[str, str]:
    """The part of every job's key that is code, as the rules take it."""
    provenance.code_digest.cache_clear()
    keys = {"collect": code.tables(), "checks": code.checks()}
    keys |= {f"map {name}": code.maps() for name in MAPS}
    keys |= {f"figure_{name}": code.figure(name) for name in figures.NAMES}
    for name, at in config.maps.items():
        keys[f"phase {name}"] = code.of_map(at, at.network, at.task.name, at.task)
    for name, experiment in config.experiments.items():
        task, activation, depth = experiment.task, experiment.network.activation, experiment.network.depth
        keys[f"task {name}"] = code.task(task.name, task.activations(), nested=experiment.samples is not None)
        keys[f"solve {name}"] = code.theory(activation, config.levels_of(name), task.n_outputs, depth)
        keys[f"train {name}"] = code.training(activation, config.langevin.sampler, depth)
        if any(run.experiment == name for run in config.references()):
            keys[f"reference {name}"] = code.training(activation, config.reference.sampler, depth)
    return keys


def _edit(text: str) -> str:
    return text + "\n_EDITED = True\n"


def _changed(config: Config, path: Path) -> set[str]:
    before, text = _keys(config), path.read_text()
    path.write_text(_edit(text))
    after = _keys(config)
    path.write_text(text)
    return {job for job in before if before[job] != after[job]}


def test_every_file_of_the_package_runs_again_what_the_table_says(finished, config, monkeypatch):
    package = finished / "msat"
    monkeypatch.setattr(provenance, "_ROOT", package)
    jobs, wrong = set(_keys(config)), {}
    for path in sorted(package.rglob("*.py")):
        name = str(path.relative_to(package))
        row, found = _row(name), _changed(config, path)
        expected = None if row is None else {job for job in jobs if any(fnmatch(job, pattern) for pattern in row)}
        if found != expected:
            wrong[name] = (sorted(found), "expected", None if expected is None else sorted(expected))
    provenance.code_digest.cache_clear()
    assert not wrong


def test_every_row_of_the_table_is_of_a_file():
    package = ROOT / "msat"
    names = [str(path.relative_to(package)) for path in package.rglob("*.py")]
    for pattern in " ".join(TABLE).split():
        assert any(fnmatch(name, pattern) for name in names), pattern


def _downstream(config: Config, jobs: set[str]) -> dict[str, int]:
    """The job table of a dry run in which these have another key: they, and all that reads them."""
    runs = config.runs()
    of = {job.split()[0]: {each.split()[-1] for each in jobs if each.startswith(job.split()[0])} for job in jobs}
    made, solved, trained, judged = (of.get(rule, set()) for rule in ("task", "solve", "train", "reference"))
    solved, trained, judged = solved | made, trained | made, judged | made
    counts = {
        "task": len({run.place for run in runs if run.experiment in made}),
        "solve": len({run.place for run in runs if run.experiment in solved}),
        "train": len([run for run in runs if run.experiment in trained]),
        "reference": len([run for run in config.references() if run.experiment in judged]),
        "collect": int(bool("collect" in jobs or solved or trained or judged)),
    }
    counts["checks"] = int("checks" in jobs or counts["collect"])
    counts |= {name: int(name in of.get("map", ())) for name in MAPS}
    counts |= {f"map_{name}": int(name in of.get("phase", ())) for name in config.maps}
    for drawn in config.map_figures():
        counts[f"figure_{drawn.name}"] = int(f"figure_{drawn.figure}" in jobs or counts[drawn.name])
    for name in config.experiments:
        own = any(f"figure_{figure}" in jobs for figure in config.figures_of(name))
        counts[f"figures_{name}"] = int(own or counts["collect"])
    return {name: count for name, count in {**counts, "all": 1}.items() if count}


@pytest.mark.parametrize(
    ("name", "trainings"),
    [
        ("langevin/dynamics.py", 10),
        ("activations/erf.py", 6),
        ("observables/registry.py", 0),
        ("levels.py", 0),
        ("theory/one_loop.py", 0),
        ("tables/rows.py", 0),
        ("tables/files.py", 0),
        ("figures/evidence.py", 0),
        ("langevin/progress.py", 0),
        ("store.py", 0),
        ("tasks/ising.py", 4),
    ],
)
def test_snakemake_runs_what_the_table_says(finished, config, edited, name, trainings):
    edited(f"msat/{name}", _edit)
    planned = planned_jobs(snakemake(finished, "-n"))
    row = _row(name)
    assert row is not None
    jobs = {job for job in _keys(config) if any(fnmatch(job, pattern) for pattern in row)}
    assert planned == (_downstream(config, jobs) if jobs else {})
    assert planned.get("train", 0) == trainings
