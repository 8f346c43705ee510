"""The action of a linear network with m outputs in closed form (docs/theory.md, section 12).

In the eigenbasis of the input kernel (`msat.geometry.Spectrum`), with a field ft, (P, m), and ``v = C ft``,

    W = (N/2) ln det Q,   Q = (1 - (g/N) ft^T C ft)^-1,   W' = g v Q
    kappa + W'' = blocks ``D_k = kappa + g lam_k Q``  +  (g^2/2N) sum_p r_p r_p^T,   r_pk = 2 F_p v_k

with ``F_p = Q^(1/2) E_p Q^(1/2)`` and E_p an orthonormal basis of the n = m(m+1)/2 symmetric matrices. Every quantity
but dT costs O(P m^2 n + n^3), most of it along the eigenvectors of Q, where each D_k is diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.geometry import Spectrum
from msat.network import Network
from msat.theory.several.linear.hessian import loop_hessian
from msat.theory.several.matrices import Blocks, over_outputs, symmetric_basis
from msat.types import Array

LARGEST_COVARIANCE = 6000  # outputs P m up to which second derivatives of the loop, (P m, P m), are formed


@dataclass(frozen=True, eq=False)
class SeveralAction:
    """`msat.theory.action.Action` of several outputs; vectors are (P m,). Build it with `linear_action`.

    Attributes:
        network, spectrum, ft: Network, data, and the field, (P m,).
        q, axes: Eigenvalues and eigenvectors of the gain Q, (m,) and (m, m).
        v: ``C ft`` along these eigenvectors, (P, m).
        D: Eigenvalues of the blocks D_k, (P, m).
        r: (P m, n), along the eigenvectors.
        core: ``(1 + (g^2/2N) r^T D^-1 r)^-1``, (n, n).
        loop: F.
    """

    network: Network
    spectrum: Spectrum
    ft: Array
    q: Array
    axes: Array
    v: Array
    D: Array
    r: Array
    core: Array
    loop: float

    loop_note = ""
    noise_margin = 0.0
    root_tolerance = path_tolerance = 1e-12
    smallest_step = 1e-4

    @property
    def shape(self) -> tuple[int, int]:
        """(P, m)."""
        return self.v.shape[0], self.v.shape[1]

    @property
    def y(self) -> Array:
        """Labels in the eigenbasis, (P m,)."""
        return self.spectrum.y.reshape(-1)

    @property
    def field(self) -> Array:
        """The field as (P, m)."""
        return self.ft.reshape(self.shape)

    @property
    def Q(self) -> Array:
        """The gain, (m, m)."""
        return np.asarray((self.axes * self.q) @ self.axes.T)

    @property
    def value(self) -> float:
        """``S(ft)``."""
        quadratic = 0.5 * self.network.kappa * float(self.ft @ self.ft) - float(self.ft @ self.y)
        return quadratic + 0.5 * self.network.width * float(np.log(self.q).sum())

    @property
    def slope(self) -> Array:
        """``W' = g v Q``, (P m,)."""
        return np.asarray(self.network.g * ((self.v * self.q) @ self.axes.T)).reshape(-1)

    @property
    def gradient(self) -> Array:
        """``S' = kappa ft + W' - y``, (P m,)."""
        return np.asarray(self.network.kappa * self.ft + self.slope - self.y)

    @cached_property
    def curvature(self) -> Blocks:
        """``kappa + W''``."""
        core = self.network.g**2 / (2 * self.network.width) * np.eye(len(self.core))
        return Blocks(over_outputs(self.D, self.axes), self._turned(self.r), core)

    @cached_property
    def G(self) -> Blocks:
        """``(kappa + W'')^-1``, by Woodbury's identity."""
        scaled = self._turned(self.r / self.D.reshape(-1, 1))
        core = -(self.network.g**2) / (2 * self.network.width) * self.core
        return Blocks(over_outputs(1 / self.D, self.axes), scaled, core)

    @property
    def identity(self) -> Blocks:
        """The identity."""
        samples, outputs = self.shape
        return Blocks.diagonal(np.broadcast_to(np.eye(outputs), (samples, outputs, outputs)))

    @cached_property
    def T(self) -> Array:
        """``N T`` is the gradient of ``ln det(kappa + W'')``, eq. (A2); (P m,)."""
        N, g, lam, q = self.network.width, self.network.g, self.spectrum.lam[:, None], self.q
        samples, outputs = self.shape
        F, n = scaled_basis(q), len(self.core)
        scaled = (self.r / self.D.reshape(-1, 1)).reshape(samples, outputs, n)
        G_r = scaled @ self.core  # (G r_p)_k
        weighted = (scaled * lam[:, :, None]).transpose(1, 0, 2).reshape(outputs, -1)
        S1 = np.diag((lam / self.D).sum(axis=0))
        S1 -= g**2 / (2 * N) * (weighted @ (scaled @ self.core).transpose(1, 0, 2).reshape(outputs, -1).T)
        # r_p.G r_p' = (2N/g^2) (1 - core)
        S2 = np.einsum("pq,pac,c,qcb->ab", np.eye(n) - self.core, F, 1 / q, F, optimize=True)
        moved = (2 * g**2 / N) * (q[:, None] * S1 * q) + (4 * g / N) * S2
        gradient = self.v @ moved + (2 * g**2 / N) * lam * np.einsum("pab,kbp->ka", F, G_r, optimize=True)
        return np.asarray(gradient @ self.axes.T).reshape(-1) / N

    @property
    def has_second_derivative(self) -> bool:
        """Whether P m is small enough for dT."""
        return len(self.ft) <= LARGEST_COVARIANCE

    @cached_property
    def dT(self) -> Array:
        """``dT/dft``, (P m, P m)."""
        samples, outputs = self.shape
        hessian = loop_hessian(self.spectrum.lam, self.network, self.v, self.q, self.core)
        turned = np.tensordot(hessian.reshape(samples, outputs, samples, outputs), self.axes, axes=(3, 1))
        turned = np.moveaxis(np.tensordot(turned, self.axes, axes=(1, 1)), 3, 1)
        return turned.reshape(len(self.ft), len(self.ft)) / self.network.width

    def third_cumulant(self, p: Array) -> Blocks:
        """Return ``d W''(ft + t p) / dt / N`` at t = 0."""
        N, g, q, lam = self.network.width, self.network.g, self.q, self.spectrum.lam[:, None]
        direction, F = lam * (p.reshape(self.shape) @ self.axes), scaled_basis(self.q)
        along = (p.reshape(self.shape) @ self.axes).T @ self.v
        change = (g / N) * (q[:, None] * (along + along.T))  # (dQ) Q^-1
        F_change = 0.5 * (change @ F + F @ change.T)
        r_change = 2 * (np.einsum("pab,kb->kap", F_change, self.v) + np.einsum("pab,kb->kap", F, direction))
        both = np.hstack([self.r, r_change.reshape(self.r.shape)])
        zero, one = np.zeros_like(self.core), g**2 / (2 * N**2) * np.eye(len(self.core))
        Q_change = self.axes @ (change * q) @ self.axes.T
        blocks = (g / N) * lam[:, :, None] * Q_change
        return Blocks(blocks, self._turned(both), np.block([[zero, one], [one, zero]]))

    def at(self, ft: Array) -> SeveralAction | None:
        """Return the action at another field; None outside the domain of W."""
        return linear_action(self.spectrum, self.network, ft)

    @cached_property
    def shift(self) -> Array:
        """``(N/2) G T``."""
        return np.asarray(0.5 * self.network.width * (self.G @ self.T))

    def stepped(self, step: Array) -> SeveralAction | None:
        """Return the action at ``ft + step``; None outside the domain of W."""
        return self.at(self.ft + step)

    def thinned(self) -> SeveralAction:
        """Return the action itself."""
        return self

    def corrected(self, jacobian: Array, step: Array, residual: Array, strength: float) -> Array:
        """Return the curvature of ``S - strength F`` here."""
        return np.asarray(self.curvature - (0.5 * strength * self.network.width) * self.dT)

    def _turned(self, columns: Array) -> Array:
        """Return vectors (P m, k) along the eigenvectors of Q in the basis of the outputs."""
        samples, outputs = self.shape
        return np.asarray(self.axes @ columns.reshape(samples, outputs, -1)).reshape(columns.shape)


def scaled_basis(q: Array) -> Array:
    """Return ``F_p = Q^(1/2) E_p Q^(1/2)`` along the eigenvectors of Q, (n, m, m)."""
    root = np.sqrt(q)
    return np.asarray(root[:, None] * symmetric_basis(len(q)) * root)


def low_rank(lam: Array, v: Array, q: Array, network: Network) -> tuple[Array, Array, Array]:
    """Return D (P, m), r (P m, n) and ``M = 1 + (g^2/2N) r^T D^-1 r`` (n, n), along the eigenvectors of Q."""
    D = network.kappa + network.g * lam[:, None] * q
    r = 2 * np.einsum("pab,kb->kap", scaled_basis(q), v).reshape(v.size, -1)
    M = np.eye(r.shape[1]) + network.g**2 / (2 * network.width) * (r.T @ (r / D.reshape(-1, 1)))
    return D, r, M


def linear_action(spectrum: Spectrum, network: Network, ft: Array) -> SeveralAction | None:
    """Return the `SeveralAction` at a field (P m,), or None outside the domain of W (``1 - (g/N) ft^T C ft`` > 0)."""
    field: Array = ft.reshape(spectrum.y.shape)
    v: Array = spectrum.lam[:, None] * field
    edge, axes = np.linalg.eigh(np.eye(field.shape[1]) - network.tau * (field.T @ v))
    if not edge[0] > 0:
        return None
    q = 1 / edge
    v = v @ axes
    D, r, M = low_rank(spectrum.lam, v, q, network)
    factor = cho_factor(M, lower=True)
    loop = 0.5 * float(np.log(D).sum()) + float(np.log(np.diag(factor[0])).sum())
    core = cho_solve(factor, np.eye(len(M)))
    return SeveralAction(network, spectrum, ft, q, axes, v, D, r, core, loop)
