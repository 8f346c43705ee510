"""What all levels of deep linear networks share: hidden kernels of every layer, and the prediction from them.

Given the layers above, f has one direction among the neurons of layer l, and what is across it keeps its law given the
layer below. With ``sigma_l`` the scale of layers l..L this is, exactly (13.2),

    <H^l> = (1/N_l) [<f f^T / sigma_l> + (N_l - 1) g_l <H^(l-1)>],   H^0 = C, g_1 = 1

In units of the last layer, ``H^l g_(l+1) .. g_L``, all g drop out, H^0 is K, and ``sigma_l = s / (r_1 .. r_(l-1))``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from msat.geometry import Geometry
from msat.network import Network
from msat.theory.factored import Factored, factored
from msat.theory.linear.outputs import Left, to_prediction
from msat.theory.matrices import LowRank
from msat.theory.prediction import Prediction
from msat.types import Array


def recursion(network: Network, lam: Array, moments: Sequence[LowRank], saddle_only: bool = False) -> list[LowRank]:
    """Return the hidden kernels of all layers in the eigenbasis, bottom to top.

    Args:
        lam: Eigenvalues of the prior kernel K.
        moments: ``<f f^T / sigma_l>`` of every layer in units of the last one, all in one low-rank basis.
        saddle_only: For the tree level, which is without what is 1/N_l smaller: the moments are then of means alone,
            and ``(N_l - 1)/N_l`` is 1.
    """
    kernels: list[LowRank] = []
    d, core = lam, np.zeros_like(moments[0].S)
    for width, moment in zip(network.widths, moments, strict=True):
        kept = 1.0 if saddle_only else 1 - 1 / width
        d, core = kept * d + moment.d / width, kept * core + moment.S / width
        kernels.append(LowRank(d, moment.V, core))
    return kernels


def predict(
    geometry: Geometry,
    network: Network,
    mean: Array,
    covariance: LowRank,
    kernels: Sequence[LowRank],
    scale: float,
    readout_norm: float,
    left: Left,
    **account: Any,
) -> Prediction:
    """Return a level's prediction.

    Args:
        mean, covariance: Of the training outputs, in the eigenbasis, (P,) and (P, P).
        kernels: From `recursion`.
        scale: ``<s>``, which times K is the output variance outside the row space.
        readout_norm: ``<|w|^2>``.
        left: What the level leaves of the labels.
        **account: Further fields of the prediction.
    """
    found = to_prediction(geometry, mean, covariance, kernels[-1], scale, left, **account)
    layers = in_samples(geometry, kernels)
    return replace(
        found,
        hidden_kernel=layers[-1],
        hidden_kernels=layers,
        first_layer=geometry.first_layer(layers[0]),
        readout_norm=readout_norm,
    )


def in_samples(geometry: Geometry, kernels: Sequence[LowRank]) -> list[Factored]:
    """Return hidden kernels in units of the last layer and the eigenbasis as they are, in the basis of samples."""
    above = [math.prod(geometry.g_hidden[layer:]) for layer in range(len(kernels))]
    U = geometry.spectrum.U
    return [factored((1 / g) * kernel, U) for g, kernel in zip(above, kernels, strict=True)]


def before(r: Array) -> Array:
    """Return ``r_1 .. r_(l-1)`` for every layer l, along the first axis."""
    return np.concatenate([np.ones_like(r[:1]), np.cumprod(r, axis=0)[:-1]])
