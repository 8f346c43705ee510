"""What each stage executes to make its files: the digest of that code is the stage's part of a job's key.

Modules that a stage finds by name (activations, levels, tasks, figures) are named here: only those in use count.
Values of settings are in the job beside it, and a help text reruns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from msat.levels import NAMES
from msat.provenance import code_digest


def task(name: str, activations: Sequence[str] = ()) -> str:
    """Return the digest of the code that draws a data set, with a teacher of these activations.

    Not how it is written: another message about files must not train all networks anew.
    """
    return code_digest(f"msat.tasks.{name}", *(f"msat.activations.{activation}" for activation in activations))


def theory(activation: str, levels: Sequence[str], depth: int = 1) -> str:
    """Return the digest of the code that solves levels for networks with an activation and so many hidden layers."""
    if depth > 1:
        deep = (f"msat.theory.deep.{name}" for name in levels)
        return code_digest("msat.stages.theory", f"msat.activations.{activation}", *deep)
    kind = "linear" if activation == "linear" else "sampled"
    found = (f"msat.activations.{activation}", f"msat.theory.{kind}.ladder", *(f"msat.theory.{n}" for n in levels))
    return code_digest("msat.stages.theory", *found)


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


def figure(name: str) -> str:
    """Return the digest of the code that draws a figure."""
    return code_digest(f"msat.figures.{name}", "msat.figures")
