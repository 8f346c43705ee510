"""Would the default checks find an error of one per cent in the training? Prints a table.

Each row trains an experiment of config.yaml as the workflow does, with one thing wrong, and applies the checks. About
ten minutes on one core: python benchmarks/power.py [experiment]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pandas as pd
import torch
import yaml

import msat
from msat import tasks
from msat.config import Config, parse_config
from msat.langevin import integrators
from msat.langevin.potential import Potential, Weights
from msat.network import Network
from msat.tables.checks import check_table, disagreements
from msat.tables.compare import better, compare, compare_samplers

ROOT = Path(__file__).parents[1]
SIZE = 1.01

Wrong = Callable[[], Iterator[None]]


@contextmanager
def nothing() -> Iterator[None]:
    """Change nothing."""
    yield


@contextmanager
def kappa() -> Iterator[None]:
    """Train at a label-noise variance that is too large."""
    right = Network.kappa.fget
    assert right is not None
    with mock.patch.object(Network, "kappa", property(lambda self: SIZE * right(self))):
        yield


def force(layer: int) -> Callable[[], Iterator[None]]:
    """Return what makes the likelihood's force on one layer too large in every step; recorded moments stay right."""

    @contextmanager
    def wrong() -> Iterator[None]:
        right = Potential.forces

        def forces(self: Potential, weights: Weights, prior: bool = True) -> tuple[Weights, torch.Tensor]:
            gradients, outputs = right(self, weights, prior)
            own = weights[layer] if prior else 0.0
            changed = own + SIZE * (gradients[layer] - own)
            return tuple(changed if at == layer else part for at, part in enumerate(gradients)), outputs

        with mock.patch.object(Potential, "forces", forces):
            yield

    return wrong


@contextmanager
def noise() -> Iterator[None]:
    """Draw noise that is too large, in Langevin's integrator."""

    def step(positions, gradients, buffers, step_size, generator):  # type: ignore[no-untyped-def]
        weight = SIZE * math.sqrt(step_size / 2)
        for x, gradient, xi in zip(positions, gradients, buffers, strict=True):
            x.add_(gradient, alpha=-step_size).add_(xi, alpha=weight)
            x.add_(xi.normal_(generator=generator), alpha=weight)

    with mock.patch.dict(integrators.INTEGRATORS, {"leimkuhler_matthews": step}):
        yield


CASES = {
    "nothing": nothing,
    "kappa": kappa,
    "force on the first layer": force(0),
    "force on the readout": force(1),
    "noise": noise,
}


def default() -> Config:
    """Return the default config."""
    return parse_config(yaml.safe_load((ROOT / "config.yaml").read_text()))


def checked(config: Config, experiment: str, wrong: Callable[[], Iterator[None]]) -> pd.DataFrame:
    """Return the table `checks` of one experiment whose Langevin trainings have one thing wrong."""
    at, rows = config.experiments[experiment], []
    network = at.network.model_dump()
    make = getattr(tasks, at.task.name)
    for seed in config.seeds_of(experiment):
        task = make(**config.task_options(experiment, config.samples_of(experiment)[-1]), seed=seed)
        scales = [float(chi) for chi in config.scale_names(experiment)]
        theory = msat.solve(
            task, Network(**network), scales, ["exact"] if at.network.activation == "linear" else ["nngp"]
        )
        for chi in scales:
            here = Network(**network, chi=chi)
            with wrong():
                trained = msat.train(task, here, seed=seed, **config.settings_of("langevin"))
            judge = trained
            if (
                seed in (config.reference.seeds or config.seeds_of(experiment)[:1])
                and at.network.activation != "linear"
            ):
                reference = msat.train(task, here, seed=seed, **config.settings_of("reference"))
                rows.append(compare_samplers(reference, trained))
                judge = better(trained, reference)
            rows.append(compare(theory, judge))
    table = pd.concat(rows, ignore_index=True)
    return check_table(table.assign(experiment=experiment))


def main() -> None:
    """Print a row for each experiment and error."""
    torch.set_num_threads(1)
    config = default()
    names = sys.argv[1:] or ["ising_linear", "cubic_erf"]
    print("| experiment | wrong by 1 % | found | by | lines |\n| --- | --- | --- | --- | --- |")
    for experiment in names:
        for name, wrong in CASES.items():
            lines = disagreements(checked(config, experiment, wrong), config.checks.alpha)
            found = sorted({line.split("disagree in ")[1].split(":")[0] for line in lines})
            print(
                f"| {experiment} | {name} | {'yes' if lines else 'no'} | {', '.join(found[:4])} | {len(lines)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
