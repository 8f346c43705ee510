"""Level `nngp` of deep networks: the prior kernel of the last layer, by the recursion over layers (section 13)."""

from __future__ import annotations

from dataclasses import replace

from msat.geometry import Geometry
from msat.network import Network
from msat.theory import nngp
from msat.theory.prediction import Prediction


def predict(geometry: Geometry, network: Network) -> Prediction:
    """Return the Gaussian process of kernel ``g K^L``; every layer stays at its prior."""
    found = nngp.predict(geometry, network)
    return replace(found, hidden_kernels=[*geometry.prior_kernels[:-1], found.hidden_kernel])
