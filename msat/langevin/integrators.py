"""One step of overdamped Langevin dynamics, ``d theta = -grad U dt + sqrt(2) dB`` (docs/theory.md, section 7).

An integrator updates positions in place, given the gradients at them, and keeps its noise in buffers of
the same shapes that the caller stores from step to step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Layers = Sequence[Tensor]
Integrator = Callable[[Layers, Layers, Layers, float, torch.Generator], None]


def euler_maruyama(
    positions: Layers, gradients: Layers, noise: Layers, step_size: float, generator: torch.Generator
) -> None:
    """``x <- x - eta grad U + sqrt(2 eta) xi``; on curvature h its variance is ``1/(h (1 - eta h/2))``."""
    for x, gradient, xi in zip(positions, gradients, noise, strict=True):
        xi.normal_(generator=generator)
        x.add_(gradient, alpha=-step_size).add_(xi, alpha=math.sqrt(2 * step_size))


def leimkuhler_matthews(
    positions: Layers, gradients: Layers, noise: Layers, step_size: float, generator: torch.Generator
) -> None:
    """``x <- x - eta grad U + sqrt(2 eta) (xi_t + xi_{t+1})/2`` with xi_{t+1} reused in the next step.

    Its stationary law is exact for a quadratic U and off by O(eta^2) otherwise
    (Leimkuhler and Matthews, Appl. Math. Res. Express 2013). `noise` must hold xi_0 at the start.
    """
    weight = math.sqrt(step_size / 2)
    for x, gradient, xi in zip(positions, gradients, noise, strict=True):
        x.add_(gradient, alpha=-step_size).add_(xi, alpha=weight)
        xi.normal_(generator=generator)
        x.add_(xi, alpha=weight)


INTEGRATORS: Mapping[str, Integrator] = {"leimkuhler_matthews": leimkuhler_matthews, "euler_maruyama": euler_maruyama}
