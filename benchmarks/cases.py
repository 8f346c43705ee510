"""The posteriors that samplers are raced on: experiments of the configs at several scales, and what is known of them.

Every sampler but the naive loop gets the same target: whitened coordinates in the row space of the training inputs,
``U(A, b) = |y - f|^2 / (2 kappa) + |A|^2 / 2 + |b|^2 / 2`` with ``f = scale phi(Z A^T) b`` (docs/theory.md, section 7).
There are no test points: outputs on them are not among the observables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import yaml

import msat
from msat.activations import get_activation
from msat.config import parse_config
from msat.geometry import Geometry, decompose

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = {
    "ising_linear": "Ising, linear",
    "teacher_linear": "linear teacher, linear",
    "cubic_erf": "cubic teacher, erf",
    "cubic_relu": "cubic teacher, ReLU",
}
OBSERVABLES = ("along", "readout_norm", "hidden_along")  # y.f, |w|^2, y.H y / |y|^2


@dataclass(eq=False)
class Case:
    """One posterior.

    Attributes:
        experiment, title: Name in config.yaml or configs/paper.yaml, and as shown.
        truth: The posterior mean of ``y.f`` from the level `exact`; None where networks are not linear.
    """

    experiment: str
    title: str
    task: msat.Task
    network: msat.Network
    truth: float | None

    @cached_property
    def geometry(self) -> Geometry:
        """The data as this network sees them."""
        return decompose(self.task, self.network)

    @property
    def y(self) -> np.ndarray:
        """Training labels, (P,)."""
        return self.task.y_train

    @property
    def inputs(self) -> np.ndarray:
        """Training inputs in whitened row-space coordinates, (P, r)."""
        return self.geometry.row_space.train

    @property
    def scale(self) -> float:
        """``sqrt(g/N)``, the readout weight of ``b = 1``."""
        return float(np.sqrt(self.network.tau))

    @property
    def name(self) -> str:
        """As shown: experiment and scale."""
        return f"{self.title}, chi = {self.network.chi:g}"


def cases(quick: bool) -> Iterator[Case]:
    """Yield the cases at chi = 1, 10 and N, one after the other; with `quick` a small one."""
    default, paper = (
        yaml.safe_load((ROOT / path).read_text(encoding="utf-8")) for path in ("config.yaml", "configs/paper.yaml")
    )
    config = parse_config(
        {**default, "experiments": {**paper["experiments"], **default["experiments"]}, "select": list(EXPERIMENTS)}
    )
    for name, title in list(EXPERIMENTS.items())[: 1 if quick else None]:
        experiment = config.experiments[name]
        options = experiment.task.model_dump()
        if quick:
            options |= {"n_train": 12, "dimension": 20}
        width = 10 if quick else experiment.network.width
        kind = options.pop("name")
        task = getattr(msat.tasks, kind)(**{**options, "n_test": 0}, seed=0)
        for chi in (1.0,) if quick else (1.0, 10.0, float(width)):
            network = msat.Network(**{**experiment.network.model_dump(), "width": width, "chi": chi})
            truth = None
            if network.activation == "linear":
                exact = msat.solve(task, network, [chi], ["exact"])["mean_train"].to_numpy()[0, 0]
                truth = float(task.y_train @ exact)
            yield Case(name, title, task, network, truth)


def observe(case: Case, A: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the observables of whitened weights, A (..., N, r) and b (..., N), each (...)."""
    y, Z = (torch.tensor(array, dtype=A.dtype) for array in (case.y, case.inputs))
    hidden = get_activation(case.network.activation).phi(A @ Z.T)
    along = hidden @ y  # (..., N)
    return {
        "along": case.scale * (along * b).sum(-1),
        "readout_norm": case.network.tau * b.square().sum(-1),
        "hidden_along": along.square().mean(-1) / y.square().sum(),
    }
