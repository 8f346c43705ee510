"""Networks with several outputs and any activation from scale to scale: the population of `msat.theory.sampled`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType

import numpy as np

from msat.activations import get_activation
from msat.geometry import Geometry
from msat.network import Network
from msat.theory.prediction import Prediction
from msat.theory.sampled.ladder import climbed
from msat.theory.sampled.problem import USUAL, Effort, Problem
from msat.theory.several.sampled.outputs import answered


def climb(
    geometry: Geometry, scales: Sequence[Network], levels: Mapping[str, ModuleType], seed: int, effort: Effort = USUAL
) -> Iterator[tuple[float, str, Prediction]]:
    """Yield (chi, level, prediction) as `msat.theory.sampled.ladder.climb` does, one population for all outputs."""
    activation, rng = get_activation(geometry.activation), np.random.default_rng(seed)
    problem = Problem(geometry.row_space, geometry.y_train.reshape(-1), activation, effort, rng)
    return climbed(problem, scales, levels, answered)
