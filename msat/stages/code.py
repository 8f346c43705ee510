"""What each stage executes to make its files: the digest of that code is the stage's part of a job's key.

Modules that a stage finds by name (activations, levels, tasks, figures) are named here: only those in use count.
Values of settings are in the job beside it, and a help text reruns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msat.levels import LEVELS, NAMES
from msat.provenance import code_digest, environment

if TYPE_CHECKING:
    from msat.network import NetworkSettings
    from msat.stages.phase_map import PhaseMapSettings
    from msat.tasks.base import TaskSettings


def made(digest: str, **key: Any) -> dict[str, Any]:
    """Return what a file says of its making: the digest of the code, versions and commit, and what else is its key."""
    return {"code": digest, **environment(), **key}


def task(name: str, activations: Sequence[str] = (), nested: bool = False) -> str:
    """Return the digest of the code that draws a data set, with a teacher of these activations.

    Not how it is written: another message about files must not train all networks anew.
    """
    found = (f"msat.activations.{activation}" for activation in activations)
    return code_digest(f"msat.tasks.{name}", *found, *(["msat.tasks.nested"] if nested else []))


def theory(activation: str, levels: Sequence[str], outputs: int = 1, depth: int = 1) -> str:
    """Return the digest of the code that solves levels for networks of an activation, outputs and hidden layers."""
    solvers = _solvers(activation, levels, outputs, depth)
    return code_digest("msat.stages.theory", f"msat.activations.{activation}", *solvers)


def _solvers(activation: str, levels: Sequence[str], outputs: int, depth: int) -> list[str]:
    """Return the modules that `msat.theory.anneal` finds by name."""
    if depth > 1:
        return [f"msat.theory.deep.{name}" for name in levels]
    kind = "linear" if activation == "linear" else "sampled"
    own = "msat.theory" if outputs == 1 else "msat.theory.several"
    named = [f"{own if LEVELS[name].method == 'kernel' else 'msat.theory'}.{name}" for name in levels]
    return [f"{own}.{kind}.ladder", *named]


def training(activation: str, sampler: str, depth: int = 1) -> str:
    """Return the digest of the code that determines what a training by a sampler measures, and nothing else.

    Not the observables, which are functions of what is measured and are applied again on reading; nor progress,
    signals, and what of it a file holds at which size (`msat.stages.measured`): what reads takes both.
    """
    deep = ["msat.langevin.deep_potential"] if depth > 1 else []
    found = (f"msat.langevin.samplers.{sampler}", f"msat.activations.{activation}", *deep)
    return code_digest("msat.langevin.ensemble", *found)


def tables() -> str:
    """Return the digest of the code that makes the tables."""
    return code_digest("msat.stages.tables")


def checks() -> str:
    """Return the digest of the code that judges the checks table."""
    return code_digest("msat.stages.checks")


def maps() -> str:
    """Return the digest of the code that makes the tables of maps from theory alone."""
    ladder = "msat.theory.linear.ladder"
    levels = (f"msat.theory.{name}" for name in NAMES)
    return code_digest("msat.stages.maps", ladder, "msat.activations.linear", *levels)


def phase_map(
    activation: str, levels: Sequence[str], task: str, teachers: Sequence[str] = (), outputs: int = 1, depth: int = 1
) -> str:
    """Return the digest of the code that makes a map of the theory over two parameters.

    Args:
        teachers: Activations that the task's data are made with.
    """
    found = [f"msat.activations.{name}" for name in (activation, *teachers)]
    found += [f"msat.tasks.{task}", *_solvers(activation, levels, outputs, depth)]
    return code_digest("msat.stages.phase_map", *found)


def of_map(settings: PhaseMapSettings, network: NetworkSettings, name: str, task: TaskSettings) -> str:
    """Return the digest of the code that makes one map, on data of the task of this name."""
    levels = settings.levels_of(network, task.n_outputs)
    return phase_map(network.activation, levels, name, task.activations(), task.n_outputs, network.depth)


def figure(name: str) -> str:
    """Return the digest of the code that draws a figure."""
    return code_digest(f"msat.figures.{name}", "msat.figures")
