"""One step of a dynamics (docs/theory.md, section 7): all that samplers are put together from.

An integrator of overdamped Langevin dynamics, ``d theta = -grad U dt + sqrt(2) dB``, updates positions in place, given
the gradients at them, and keeps its noise in buffers of the same shapes that the caller stores from step to step.
`kick` and `rotate` are the two parts of a Hamiltonian step in whitened coordinates.
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


def kick(momenta: Layers, gradients: Layers, time: float) -> None:
    """Move momenta in place by a force that is constant for a time: ``p <- p - t grad``."""
    for p, gradient in zip(momenta, gradients, strict=True):
        p.add_(gradient, alpha=-time)


def rotate(positions: Layers, momenta: Layers, time: float) -> None:
    """Move positions and momenta in place under the standard normal prior alone, exactly: a rotation by an angle t."""
    cosine, sine = math.cos(time), math.sin(time)
    for x, p in zip(positions, momenta, strict=True):
        before = x.clone()
        x.mul_(cosine).add_(p, alpha=sine)
        p.mul_(cosine).add_(before, alpha=-sine)


INTEGRATORS: Mapping[str, Integrator] = {"leimkuhler_matthews": leimkuhler_matthews, "euler_maruyama": euler_maruyama}
