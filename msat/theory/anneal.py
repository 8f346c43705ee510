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
    form in the eigenbasis of the input kernel, others by sampling the tilted single-neuron measure. Levels of networks
    with several hidden layers are modules of `msat.theory.deep`, and all closed forms.

    Args:
        network: The network; its chi is replaced by each of the scales.
        scales: Different values of chi in any order; indices refer to this order.
        seed: Seed of the sampling; closed forms use none.

    Raises:
        InputError: If a level is unknown or not defined for the activation, or a scale is not positive.
    """
    check_levels(levels, network.activation, network.depth)
    place = {float(chi): index for index, chi in enumerate(scales)}
    networks = [network.at(chi) for chi in sorted(place)]
    expansions: dict[str, ModuleType] = {}
    for level in ordered(levels):
        module = importlib.import_module(f"msat.theory.{'deep.' if network.depth > 1 else ''}{level.name}")
        if LEVELS[level.name].method == "action" and network.depth == 1:
            expansions[level.name] = module
            continue
        for at in networks:
            yield place[at.chi], level.name, module.predict(geometry, at)
    if expansions and networks:
        for chi, name, prediction in ladder(network.activation).climb(geometry, networks, expansions, seed):
            yield place[chi], name, prediction


def ladder(activation: str) -> ModuleType:
    """Return the module that carries the action of networks with an activation from scale to scale.

    Its ``climb(geometry, networks, levels, seed)`` yields (chi, level, prediction), for networks ascending in chi and
    modules of levels by name.
    """
    kind = "linear" if activation == "linear" else "sampled"
    return importlib.import_module(f"msat.theory.{kind}.ladder")
