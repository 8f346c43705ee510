"""A deep network given its output scale s: a Gaussian process with kernel sK, K the prior kernel of its last layer.

A linear network is this exactly, with ``s = g prod_l r_l``. Everything is in the eigenbasis of K and a function of
t = ln s through ``u_k = s lam_k / (s lam_k + kappa)``, for which ``du/dt = u (1 - u)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from msat.network import Network
from msat.types import Array

_CHUNK = 2**22  # numbers held at once: bounds memory for large P


class Likelihood(NamedTuple):
    """``p(y | t)`` from kernel eigenvalues, labels in their eigenbasis, (P,), and label noise kappa."""

    lam: Array
    y: Array
    kappa: float

    def shares(self, t: Array | float) -> Array:
        """Return u, (P,) or (n, P)."""
        x = np.exp(np.asarray(t))[..., None] * self.lam
        return np.asarray(x / (x + self.kappa))

    def rests(self, t: Array | float) -> Array:
        """Return ``1 - u``, shaped like `shares`, which rounding would leave nothing of."""
        return np.asarray(self.kappa / (np.exp(np.asarray(t))[..., None] * self.lam + self.kappa))

    def log(self, t: Array) -> Array:
        """Return ``ln p(y | t)`` at each of n points."""
        return self._by_chunks(t, self._log)

    def signal(self, t: Array, with_determinant: bool) -> Array:
        """Return eta at each of n points: d/dt of twice the exponent that a saddle takes of the likelihood.

        That is ``s ft.C ft``, and with the determinant ``s ft.C ft - s tr CA``.
        """

        def at(t: Array) -> Array:
            u = self.shares(t)
            return np.asarray(
                (u * self.rests(t)) @ self.y**2 / self.kappa - (u.sum(axis=1) if with_determinant else 0.0)
            )

        return self._by_chunks(t, at)

    def _log(self, t: Array) -> Array:
        d = np.exp(t)[:, None] * self.lam + self.kappa
        return np.asarray(-0.5 * np.log(2 * np.pi * d).sum(axis=1) - 0.5 * (self.y**2 / d).sum(axis=1))

    def _by_chunks(self, t: Array, function: Callable[[Array], Array]) -> Array:
        rows = max(1, _CHUNK // max(1, len(self.lam)))
        return np.concatenate([function(t[start : start + rows]) for start in range(0, len(t), rows)])


def likelihood(lam: Array, y: Array, network: Network) -> Likelihood:
    """Return the `Likelihood` of labels in the eigenbasis for a network at its scale."""
    return Likelihood(lam, y, network.kappa)
