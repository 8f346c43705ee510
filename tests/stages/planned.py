"""A small run as the workflow makes it, by the commands that its rules call: a config and its results."""

import shlex
from pathlib import Path
from typing import Any

from msat.cli import main
from msat.cli_options import flags
from msat.config import Config, parse_config

LINEAR = {"width": [4, 5], "activation": "linear", "g_hidden": [1.5]}
TEACHER = {"name": "teacher_student", "n_test": 3, "dimension": 4, "coefficients": [1.0, 0.5]}
VALUES: dict[str, Any] = {
    "experiments": {
        "nested": {
            "task": {**TEACHER, "n_train": [4, 6]},
            "network": {"width": 5, "activation": "quadratic", "g_w": 0.5},
            "levels": ["nngp", "rescaling"],
            "seeds": [1],
        },
        "deep": {"task": {"name": "ising", "n_train": 4, "n_test": 2, "dimension": 5}, "network": LINEAR},
    },
    "scales": {"chi": [2.15, 1]},
    "seeds": [0, 1],
    "langevin": {"steps": 64, "chains": 4, "device": "auto"},
    "loop_map": {"widths": [4], "n_train": [4]},
    "finite_width": {"widths": [4, 8], "n_train": 4, "seeds": [2]},
    "maps": {
        "mine": {
            "x": "chi",
            "x_values": [1, 2],
            "y": "width",
            "y_values": [4, 8],
            "task": {**TEACHER, "n_train": 4},
            "network": {"activation": "linear"},
        }
    },
    "checks": {"alpha": 1.0e-300},  # the runs are too short to have errors that can be relied on
    "reference": {"experiments": ["nested"], "sampler": "hmc", "steps": 64, "chains": 4},
}


def merged(base: Any, *path: str, value: Any) -> Any:
    """Return nested values with one of them changed."""
    first, *rest = path
    return {**base, first: merged(base.get(first, {}), *rest, value=value) if rest else value}


def config_of(folder: Path, values: Any = VALUES) -> Config:
    """Return the config with its results in a folder, as a path that a config may hold."""
    config = parse_config(values)
    return config.model_copy(update={"results": str(folder)})


def msat(command: str, options: dict[str, Any], **more: Any) -> None:
    """Run a command of msat with options as the rules give them."""
    assert main([*shlex.split(command), *shlex.split(flags(options | more))]) == 0


def make(config: Config) -> None:
    """Make data sets, theory and trainings of a config, and the plan, as the rules do."""

    for run in config.runs():
        place = Path(config.results) / run.place
        Path(run.langevin).parent.mkdir(parents=True, exist_ok=True)
        if not (place / "data.npz").exists():
            options = config.task_options(run.experiment, run.n_train)
            task = config.task_of(run.experiment).name
            msat(f"task {task}", options, seed=run.seed, out=place / "data.npz")
            known = {"data": place / "data.npz", "label": run.experiment, "seed": run.seed}
            msat("solve", config.theory_of(run.experiment, run.n_train) | known, out=run.theory)
        kinds = {"langevin": run.langevin} | ({"reference": run.reference} if config.has_reference(run) else {})
        for kind, out in kinds.items():
            msat("train", config.training_of(run.experiment, kind) | known, chi=run.chi, out=out)
    tables = Path(config.results) / "tables"
    tables.mkdir()
    (tables / "plan.csv").write_text(config.plan())
    (tables / "plan.json").write_text(config.keys_text())


def make_tables(config: Config) -> None:
    """Make the tables of these, the summary of the checks, and the maps."""
    results = Path(config.results)
    tables, maps = results / "tables", results / "maps/mine"
    msat("collect", {"list": tables / "plan.csv", "out": tables})
    msat(f"check {shlex.quote(str(tables / 'checks.parquet'))}", config.checks.model_dump(), out=results / "checks.txt")
    for name in ("loop_map", "finite_width"):
        msat(name.replace("_", "-"), getattr(config, name).model_dump(), out=tables)
    maps.mkdir(parents=True)
    msat(f"map {config.maps['mine'].task.name}", config.map_options("mine"), out=maps)
