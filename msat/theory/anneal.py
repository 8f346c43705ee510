"""All levels over scales, carried upwards in chi (the paper's Algorithm 1)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from types import ModuleType

from msat.geometry import Geometry
from msat.levels import LEVELS, check_levels, ordered
from msat.network import Network
from msat.theory.prediction import Prediction


def anneal(
    geometry: Geometry, network: Network, scales: Sequence[float], levels: Sequence[str], seed: int = 0
) -> Iterator[tuple[int, str, Prediction]]:
    """Yield (index of the scale, level, prediction).

    Levels are modules of `msat.theory` found by the names in `msat.levels`. Linear networks are solved in closed
    form in the eigenbasis of the input kernel, others by sampling the tilted single-neuron measure. For several
    outputs, y of shape (P, m), what follows from the kernel is in `msat.theory.several` by the same names, and
    expansions have another action. Levels of networks with several hidden layers are modules of `msat.theory.deep`, and
    all closed forms.

    Args:
        network: The network; its chi is replaced by each of the scales.
        scales: Different values of chi in any order; indices refer to this order.
        seed: Seed of the sampling; closed forms use none.

    Raises:
        InputError: If a level is unknown or not defined for the activation, or a scale is not positive.
    """
    outputs = 1 if geometry.y_train.ndim == 1 else geometry.y_train.shape[1]
    check_levels(levels, network.activation, outputs, network.widths[-1], network.depth)
    place = {float(chi): index for index, chi in enumerate(scales)}
    networks = [network.at(chi) for chi in sorted(place)]
    expansions: dict[str, ModuleType] = {}
    for level in ordered(levels):
        if network.depth > 1:
            module = importlib.import_module(f"msat.theory.deep.{level.name}")
            for at in networks:
                yield place[at.chi], level.name, module.predict(geometry, at)
            continue
        if LEVELS[level.name].method == "action":
            expansions[level.name] = importlib.import_module(f"msat.theory.{level.name}")
            continue
        for at in networks:
            yield place[at.chi], level.name, _predict(level.name, geometry, at, seed)
    if expansions and networks:
        for chi, name, prediction in ladder(network.activation, outputs).climb(geometry, networks, expansions, seed):
            yield place[chi], name, prediction


def _predict(level: str, geometry: Geometry, network: Network, seed: int) -> Prediction:
    """Return what a level that follows from the kernel predicts; for several outputs one may draw."""
    prediction: Prediction
    if geometry.y_train.ndim == 1:
        prediction = importlib.import_module(f"msat.theory.{level}").predict(geometry, network)
    else:
        prediction = importlib.import_module(f"msat.theory.several.{level}").predict(geometry, network, seed)
    return prediction


def ladder(activation: str, outputs: int = 1) -> ModuleType:
    """Return the module that carries the action of networks with an activation from scale to scale.

    Its ``climb(geometry, networks, levels, seed)`` yields (chi, level, prediction), for networks ascending in chi and
    modules of levels by name.
    """
    kind = "linear" if activation == "linear" else "sampled"
    package = "msat.theory" if outputs == 1 else "msat.theory.several"
    return importlib.import_module(f"{package}.{kind}.ladder")
