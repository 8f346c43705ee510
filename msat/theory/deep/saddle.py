"""The saddle over the layers' gains r_l, which for a deep network takes the place of that over ft alone.

``W(ft)`` does not exist for two or more hidden layers: E exp(ft.f) diverges. The action is that of ft and ln r_l
together, and after ft, with ``s = g prod_l r_l``,

    sum_l (N_l/2) (ln r_l - r_l + 1) - (1/2) y.(sK + kappa)^-1 y   [- (1/2) ln det(sK + kappa)]        (13.3)

without the determinant for the tree level, with it for rescaling. Its stationary points have ``r_l = 1 + eta/N_l`` and
so are the roots of one equation ``eta = signal(t(eta))``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from msat.network import Network
from msat.theory.deep.likelihood import Likelihood
from msat.types import Array

_SCAN = 2048
TWO_NOTE = "two solutions, of which this has the larger action: a first-order transition is near"


class DeepSaddle(NamedTuple):
    """The highest maximum.

    Attributes:
        eta, t, r: The root, ln s there, and the gains, (L,).
        value: The exponent there, (13.3).
        residual, iterations: Of the root, relative to the larger of 1 and eta; and steps to it.
        maxima: How many maxima there are.
    """

    eta: float
    t: float
    r: Array
    value: float
    residual: float
    iterations: int
    maxima: int

    @property
    def note(self) -> str:
        """What a reader must know; empty if nothing."""
        return TWO_NOTE if self.maxima > 1 else ""


def saddle(likelihood: Likelihood, network: Network, with_determinant: bool) -> DeepSaddle:
    """Return the `DeepSaddle`: all roots are bracketed by a scan of eta, since the exponent is not concave.

    Without the determinant eta is between 0 and ``|y|^2 / (4 kappa)``; with it above ``-N_min``.
    """
    widths = np.array(network.widths, dtype=np.float64)

    def scale(eta: Array) -> Array:
        return np.asarray(np.log(network.g) + np.log1p(eta[:, None] / widths).sum(axis=1))

    def excess(eta: Array) -> Array:
        return np.asarray(eta - likelihood.signal(scale(eta), with_determinant))

    def value(eta: float) -> float:
        at = np.array([eta])
        r, whole = 1 + eta / widths, float(likelihood.log(scale(at))[0])
        if not with_determinant:
            whole += 0.5 * float(np.log(2 * np.pi * (np.exp(scale(at)[0]) * likelihood.lam + likelihood.kappa)).sum())
        return float(np.sum(widths / 2 * (np.log(r) - r + 1))) + whole

    grid = _grid(likelihood, network, with_determinant)
    e = excess(grid)
    rising = np.flatnonzero((e[:-1] <= 0) & (e[1:] > 0))
    found = []
    for k in rising:
        if e[k] == 0:
            found.append((float(grid[k]), 0))
            continue
        root, report = brentq(
            lambda eta: float(excess(np.array([eta]))[0]),
            grid[k],
            grid[k + 1],
            xtol=1e-300,
            rtol=1e-15,
            full_output=True,
        )
        found.append((float(root), int(report.iterations)))
    eta, iterations = max(found, key=lambda each: value(each[0]))
    at = np.array([eta])
    residual = abs(float(excess(at)[0])) / max(1.0, abs(eta))
    return DeepSaddle(eta, float(scale(at)[0]), 1 + eta / widths, value(eta), residual, iterations, len(found))


def _grid(likelihood: Likelihood, network: Network, with_determinant: bool) -> Array:
    """Return eta, ascending, from where the excess cannot be positive to where it cannot be negative."""
    narrowest = min(network.widths)
    top = 1.0001 * float(likelihood.y @ likelihood.y) / (4 * likelihood.kappa) + 1e-280
    # even in ln r of the narrowest layer, and in ln eta
    parts = [np.zeros(1), np.geomspace(1e-12 * top, top, _SCAN)]
    low = 0.0
    if with_determinant:
        # below this r the determinant's s tr CA is less than N_min / 2
        trace = network.g * float(likelihood.lam.sum()) / likelihood.kappa
        low = float(np.log(min(0.5, narrowest / (2 * trace)))) if trace > 0 else float(np.log(0.5))
    parts.append(narrowest * np.expm1(np.linspace(low, np.log1p(top / narrowest), _SCAN)))
    return np.unique(np.clip(np.concatenate(parts), None, top))
