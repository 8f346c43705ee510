"""The top curvature of the potential, which limits the step of every sampler."""

from __future__ import annotations

import math

import torch

from msat.errors import ComputationError, InputError
from msat.langevin.potential import Potential, Weights, inner

_TOLERANCE = 1e-3  # relative change of one iteration at which the largest value is taken: steps need two digits
_FEWEST = 5


def top_curvature(potential: Potential, weights: Weights, iterations: int = 40) -> float:
    """Return the largest curvature of U met by any chain at its present state.

    Power iteration on Hessian-vector products, directional derivatives of the forces, until the largest value over
    chains settles.

    Args:
        iterations: The most that are made.

    Raises:
        ComputationError: If it is not a positive number.
    """
    # a fixed start that no symmetry of the network makes orthogonal to the top eigenvector
    ramps = [torch.arange(layer.numel(), device=layer.device).double().reshape(layer.shape) for layer in weights]
    image = [(torch.cos if layer is not ramps[-1] else torch.sin)(layer).to(weights[0].dtype) for layer in ramps]
    readouts = weights[-1].sum(dim=2) if weights[-1].dim() > 2 else weights[-1]
    image[-2] = image[-2] + readouts[:, :, None]
    # the Hessian is symmetric: its product with a vector is the gradient of the forces' product with it, exactly (a
    # finite difference would straddle the kinks of ReLU); forward mode would import torch's compiler, two seconds, and
    # vectors handed to torch.autograd.grad would import sympy, most of one
    at = tuple(layer.detach().clone().requires_grad_() for layer in weights)
    forces, _ = potential.forces(at)
    value, previous = math.nan, math.nan
    for iteration in range(iterations):
        norm = torch.sqrt(inner(image, image)).to(weights[0].dtype)
        vector = tuple(layer / norm.reshape(-1, *(1 for _ in layer.shape[1:])) for layer in image)
        product = torch.stack([(force * layer).sum() for force, layer in zip(forces, vector, strict=True)]).sum()
        image = list(torch.autograd.grad(product, at, retain_graph=True))
        value, previous = float(inner(vector, image).max()), value
        if iteration >= _FEWEST and abs(value - previous) < _TOLERANCE * abs(value):
            break
    if not math.isfinite(value) or value <= 0:
        raise ComputationError(
            f"the curvature of the potential is {value:.3g}: g, kappa or the data are outside the "
            "range in which the dynamics can be computed"
        )
    return value


def refuse_unstable(step_size: float, largest: float, curvature: float, begun: bool) -> None:
    """Raise an error if a step size that was asked for is above the largest stable one.

    Args:
        begun: Whether chains have moved since the step size was asked for.

    Raises:
        InputError: If they have not: that it is too large could be known from data and network.
        ComputationError: If they have, to where the curvature is larger than at their starts.
    """
    if step_size <= largest:
        return
    where = f"the largest stable step at the top curvature {curvature:.3g}"
    if not begun:
        raise InputError(
            f"step_size = {step_size:.3g}: must be at most {largest:.3g}, {where} that these data and this network "
            f"have at the starts, and better at most {largest / 2:.3g}: the dynamics would diverge"
        )
    raise ComputationError(
        f"step_size = {step_size:.3g} is above {largest:.3g}, {where} that burn-in has met: the dynamics would "
        f"diverge; use at most {largest / 2:.3g}"
    )
