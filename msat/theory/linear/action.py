"""The action of a linear network in closed form.

Everything is in the eigenbasis of the input kernel (`msat.geometry.Spectrum`), where
``W(ft) = -(N/2) ln(1 - (g/N) ft.C ft)`` (docs/theory.md, section 2) has gradient ``Q g v`` and Hessian
``Q g C + (2/N) Q^2 g^2 v v^T`` with ``v = C ft`` and ``Q = 1/(1 - (g/N) ft.C ft)``. After the one
eigendecomposition every quantity costs O(P).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msat.geometry import Spectrum
from msat.network import Network
from msat.theory.matrices import LowRank
from msat.types import Array


@dataclass(frozen=True, eq=False)
class LinearAction:
    """`msat.theory.action.Action` in closed form. Build it with `linear_action`.

    Attributes:
        spectrum: The data.
        v: ``C ft``, (P,).
        Q: Gain ``1/(1 - (g/N) ft.C ft)``.
    """

    network: Network
    spectrum: Spectrum
    ft: Array
    v: Array
    Q: float
    value: float
    gradient: Array
    curvature: LowRank
    G: LowRank
    loop: float
    T: Array
    dT: LowRank

    has_second_derivative = True
    loop_note = ""
    noise_margin = 0.0
    root_tolerance = path_tolerance = 1e-12
    smallest_step = 1e-4

    @property
    def y(self) -> Array:
        """Labels in the eigenbasis, (P,)."""
        return self.spectrum.y

    @property
    def stiffness(self) -> float:
        """``1 + beta v.D^-1 v``: by what the curvature along v exceeds D, its diagonal part."""
        return 1 + float(self.curvature.S[0, 0]) * float(self.v @ (self.v / self.curvature.diagonal_part))

    @property
    def Gv(self) -> Array:
        """``G v = w / (1 + beta v.w)``, ``w = v/d``, with no difference taken, (P,)."""
        return self.v / self.curvature.diagonal_part / self.stiffness

    @property
    def shift(self) -> Array:
        """``(N/2) G T``, (P,).

        Strongly adapted, ``1 + beta v.w`` is large, and the product of the two matrices would lose as many digits: T
        is c v and a part ``(lam/d - mean) v`` that G takes as D^-1, ``lam/d = (1 - kappa/d)/(Q g)``.
        """
        N, g, Q, lam = self.network.width, self.network.g, self.Q, self.spectrum.lam
        d, beta = self.curvature.diagonal_part, float(self.curvature.S[0, 0])
        w = self.v / d
        s = float(self.v @ w)
        t = 1 + beta * s
        rest = self.network.kappa / d
        mean = float(self.v @ (w * rest)) / s if s > 0 else 0.0
        F_Q = 0.5 * (
            float((g * lam / d).sum()) + (2 * beta / Q) * float(w @ (self.v * (1 - 0.5 * Q * g * lam / d))) / t
        )
        along = F_Q * 2 * g * Q**2 / N + beta / t * (1 - mean) / (Q * g)
        return along * w / t - beta / t / (Q * g) * (rest - mean) * w

    @property
    def identity(self) -> LowRank:
        """The identity."""
        return LowRank.diagonal(np.ones_like(self.ft))

    def at(self, ft: Array) -> LinearAction | None:
        """Return the action at another field; None outside the domain of W."""
        return linear_action(self.spectrum, self.network, ft)

    def stepped(self, step: Array) -> LinearAction | None:
        """Return the action at ``ft + step``; None outside the domain of W.

        What changes is 1/Q: near the edge of the domain, where ``(g/N) ft.C ft`` is close to 1, the field alone would
        not give it.
        """
        change = (self.network.g / self.network.width) * float((2 * self.v + self.spectrum.lam * step) @ step)
        inverse_gain = 1 / self.Q - change
        if not inverse_gain > 0:
            return None
        return linear_action(self.spectrum, self.network, self.ft + step, 1 / inverse_gain)

    @property
    def slope(self) -> Array:
        """``W' = Q g C ft``, (P,)."""
        return self.Q * self.network.g * self.v

    def thinned(self) -> LinearAction:
        """Return the action itself."""
        return self

    def corrected(self, jacobian: LowRank, step: Array, residual: Array, strength: float) -> LowRank:
        """Return the curvature of ``S - strength F`` here, which costs no more than a correction of another."""
        return self.curvature - (0.5 * strength * self.network.width) * self.dT

    def third_cumulant(self, p: Array) -> LowRank:
        """Return ``d W''(ft + t p) / dt / N`` at t = 0."""
        N, g, Q, v, lam = self.network.width, self.network.g, self.Q, self.v, self.spectrum.lam
        a, a_Q = 2 * g * Q**2 / N, 4 * g * Q / N
        Q_p = a * float(v @ p)
        return (1 / N) * LowRank.of(g * Q_p * lam, (g * a_Q * Q_p, v, v), (2 * g * a, lam * p, v))

    def kernel_derivative(self, with_loop: bool, shift: Array | None = None) -> LowRank:
        """Return the derivative of the log evidence with respect to the input kernel C.

        Args:
            with_loop: Whether the log evidence contains ``-F``, the loop term.
            shift: ``G F'`` where ft is the minimum of S rather than of ``S - F``: the minimum then moves with C, and
                the derivative follows it. None if ft is stationary for the whole exponent.
        """
        N, g, Q = self.network.width, self.network.g, self.Q
        ft, v, lam, G = self.ft, self.v, self.spectrum.lam, self.G
        Q_C = Q**2 * g / N  # dQ/dC = Q_C ft ft^T
        outer = g * Q / 2
        terms: list[tuple[float, Array, Array]] = []
        if with_loop:
            Gv = self.Gv
            outer -= (g * G.trace_with(lam) + (4 / N) * Q * g**2 * float(v @ Gv)) * Q_C / 2
            terms.append((-(2 / N) * Q**2 * g**2, ft, Gv))
        if shift is not None:
            outer += g * float(shift @ v) * Q_C
            terms.append((g * Q, shift, ft))
        derivative = LowRank.of(np.zeros_like(ft), *terms, (outer, ft, ft))
        return (-Q * g / 2) * G + derivative if with_loop else derivative


def linear_action(spectrum: Spectrum, network: Network, ft: Array, gain: float | None = None) -> LinearAction | None:
    """Return the `LinearAction` at a field, or None outside the domain of W (``(g/N) ft.C ft >= 1``).

    Args:
        gain: Q, where it is known better than the field gives it.
    """
    N, g, kappa = network.width, network.g, network.kappa
    lam, y = spectrum.lam, spectrum.y
    v = lam * ft
    if gain is None:
        edge = (g / N) * float(ft @ v)
        if not edge < 1:
            return None
        gain = 1 / (1 - edge)
    Q = gain
    d = Q * g * lam + kappa
    a, a_Q = 2 * g * Q**2 / N, 4 * g * Q / N  # dQ/dft = a v
    beta, beta_Q, beta_QQ = 2 * Q**2 * g**2 / N, 4 * Q * g**2 / N, 4 * g**2 / N
    w = v / d
    s = float(v @ w)
    x = g * lam / d
    s_Q, s_QQ = -float(w @ (x * v)), 2 * float(w @ (x * x * v))
    t = 1 + beta * s
    t_Q = beta_Q * s + beta * s_Q
    t_QQ = beta_QQ * s + 2 * beta_Q * s_Q + beta * s_QQ
    # F as a function of the two quantities (Q, v) it depends on
    F = 0.5 * (float(np.log(d).sum()) + np.log(t))
    F_Q = 0.5 * (float(x.sum()) + t_Q / t)
    F_QQ = 0.5 * (-float(x @ x) + t_QQ / t - (t_Q / t) ** 2)
    F_v = beta * w / t
    F_Qv = w * (beta_Q / t - beta * x / t - beta * t_Q / t**2)
    curvature = LowRank(Q * g * lam, v[:, None], np.array([[beta]]), shift=kappa)
    hessian = LowRank.of(
        a * F_Q * lam + lam**2 * beta / (d * t),
        (F_QQ * a**2 + F_Q * a_Q * a, v, v),
        (2 * a, v, lam * F_Qv),
        (-2 * (beta / t) ** 2, lam * w, lam * w),
    )
    return LinearAction(
        network=network,
        spectrum=spectrum,
        ft=ft,
        v=v,
        Q=Q,
        value=-float(ft @ y) + kappa / 2 * float(ft @ ft) + N / 2 * np.log(Q),
        gradient=-y + kappa * ft + Q * g * v,
        curvature=curvature,
        G=curvature.inverse(),
        loop=F,
        T=(2 / N) * (F_Q * a * v + lam * F_v),
        dT=(2 / N) * hessian,
    )
