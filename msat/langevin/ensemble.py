"""One ensemble from the data to what it has measured: the root of everything that determines a training's numbers.

Files, progress and signals are the stage's affair; they come in as a callback between blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from msat.geometry import Geometry
from msat.keys import derived_seed
from msat.langevin.dynamics import initial_state, run
from msat.langevin.measurement import Measurement, measured
from msat.langevin.potential import Potential, make_potential
from msat.langevin.state import Progress, State
from msat.network import Network
from msat.types import Array

if TYPE_CHECKING:
    from msat.langevin.settings import LangevinSettings


def key(network: Network, data_digest: str, seed: int, sampler: str) -> dict[str, Any]:
    """Return what seeds the generator of starts and noise, as plain numbers and strings.

    The sampler is in it: the errors of two that are compared must be independent.
    """
    return {"seed": seed, "data": data_digest, "sampler": sampler, **network.parameters()}


def begin(
    geometry: Geometry,
    network: Network,
    settings: LangevinSettings,
    key: Mapping[str, Any],
    device: torch.device,
    population: Array | None = None,
) -> tuple[Potential, State]:
    """Return the potential and the state of step 0, from the `key` of the ensemble.

    Args:
        population: Pre-activations of a theory's neurons on the training points, (neurons, P), from which a quarter of
            the chains start.
    """
    # TensorFloat-32 keeps ten bits of a product: the forces would be wrong in the third digit
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    neurons = None if population is None else torch.from_numpy(np.array(population, dtype=np.float64))
    return initial_state(make_potential(geometry, network), settings, derived_seed(key), device, neurons)


def finish(
    geometry: Geometry,
    potential: Potential,
    settings: LangevinSettings,
    state: State,
    projection: Array | None,
    on_block: Callable[[State, Progress], None],
) -> Measurement:
    """Advance a state until its run is done, and return what it has measured: see `run` and `measured`."""
    run(potential, settings, state, on_block)
    return measured(state, settings, geometry.y_train, geometry.y_test, projection)
