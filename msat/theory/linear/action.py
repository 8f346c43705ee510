"""Shared form of a linear network's solution, and the algebra that tree, laplace and one_loop share.

Everything is in the eigenbasis of the input kernel (`msat.theory.linear.spectrum`), where
``W(ft) = -(N/2) ln(1 - (g/N) ft.C ft)`` (docs/theory.md, section 2) has gradient ``Q g v`` and Hessian
``Q g C + (2/N) Q^2 g^2 v v^T`` with ``v = C ft`` and ``Q = 1/(1 - (g/N) ft.C ft)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from msat.network import Network
from msat.theory.linear.lowrank import LowRank
from msat.theory.linear.spectrum import Spectrum, rotate
from msat.theory.prediction import Prediction

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """One level's solution at one scale, in the eigenbasis of the input kernel.

    Attributes
    ----------
    mean
        Mean training outputs, (P,).
    covariance, hidden_kernel
        As in `msat.theory.prediction.Prediction`.
    readout_norm, log_evidence, action, converged, residual, iterations, loop_strength
        As in `msat.theory.prediction.Prediction`.
    """

    mean: Array
    covariance: LowRank
    hidden_kernel: LowRank
    readout_norm: float
    log_evidence: float = float("nan")
    action: float = float("nan")
    converged: bool = True
    residual: float = 0.0
    iterations: int = 0
    loop_strength: float = float("nan")


def to_prediction(spectrum: Spectrum, solution: LinearSolution) -> Prediction:
    """Return a solution in the basis of samples, test points included (docs/theory.md, section 3)."""
    B = spectrum.to_test
    variance = (B**2) @ solution.covariance.d
    half = B @ solution.covariance.V
    variance += np.sum((half @ solution.covariance.S) * half, axis=1)
    return Prediction(
        mean_train=spectrum.U @ solution.mean,
        mean_test=B @ solution.mean,
        covariance_train=rotate(spectrum, solution.covariance),
        variance_test=variance + solution.readout_norm * spectrum.test_residual,
        hidden_kernel=rotate(spectrum, solution.hidden_kernel),
        readout_norm=solution.readout_norm,
        log_evidence=solution.log_evidence,
        action=solution.action,
        converged=solution.converged,
        residual=solution.residual,
        iterations=solution.iterations,
        loop_strength=solution.loop_strength,
    )


@dataclass(frozen=True, eq=False)
class LinearAction:
    """``S``, ``ln det(kappa + W'')`` and their derivatives at one conjugate field ft.

    Build it with `linear_action`. With ``F(ft) = (1/2) ln det(kappa + W'')``:

    Attributes
    ----------
    ft, v
        The field and ``C ft``, (P,).
    Q
        Gain ``1/(1 - (g/N) ft.C ft)``.
    value
        ``S(ft) = -ft.y + (kappa/2) ft.ft + W(ft)``.
    gradient
        ``S'(ft)``, (P,).
    curvature
        ``S''(ft) = kappa + W''(ft)``.
    G
        ``S''(ft)^-1``.
    loop, loop_gradient, loop_hessian
        ``F``, ``F' = (N/2) T`` and ``F''``.
    """

    network: Network
    lam: Array
    ft: Array
    v: Array
    Q: float
    value: float
    gradient: Array
    curvature: LowRank
    G: LowRank
    loop: float
    loop_gradient: Array
    loop_hessian: LowRank

    def third_derivative(self, p: Array) -> LowRank:
        """Return ``W'''`` contracted with one vector, ``d W''(ft + t p) / dt`` at t = 0."""
        N, g, Q, v, lam = self.network.width, self.network.g, self.Q, self.v, self.lam
        a, a_Q = 2 * g * Q**2 / N, 4 * g * Q / N
        Q_p = a * float(v @ p)
        return LowRank.of(g * Q_p * lam, (g * a_Q * Q_p, v, v), (2 * g * a, lam * p, v))

    def kernel_derivative(self, with_loop: bool, shift: Array | None = None) -> LowRank:
        """Return the derivative of the log evidence with respect to the input kernel C.

        Parameters
        ----------
        with_loop
            Whether the log evidence contains ``-F``, the loop term.
        shift
            ``G F'`` where ft is the minimum of S rather than of ``S - F``: the minimum then moves
            with C, and the derivative follows it. None if ft is stationary for the whole exponent.
        """
        N, g, Q = self.network.width, self.network.g, self.Q
        ft, v, lam, G = self.ft, self.v, self.lam, self.G
        Q_C = Q**2 * g / N  # dQ/dC = Q_C ft ft^T
        outer = g * Q / 2
        derivative = LowRank.diagonal(np.zeros_like(ft))
        if with_loop:
            Gv = G @ v
            trace_GC = float(G.d @ lam + np.sum(G.S * (G.V.T @ (lam[:, None] * G.V))))
            outer -= (g * trace_GC + (4 / N) * Q * g**2 * float(v @ Gv)) * Q_C / 2
            derivative = G.scaled(-Q * g / 2) + LowRank.of(np.zeros_like(ft), (-(2 / N) * Q**2 * g**2, ft, Gv))
        if shift is not None:
            outer += g * float(shift @ v) * Q_C
            derivative = derivative + LowRank.of(np.zeros_like(ft), (g * Q, shift, ft))
        return derivative + LowRank.of(np.zeros_like(ft), (outer, ft, ft))


def linear_action(spectrum: Spectrum, network: Network, ft: Array) -> LinearAction | None:
    """Return the `LinearAction` at a field, or None outside the domain of W (``(g/N) ft.C ft >= 1``)."""
    N, g, kappa = network.width, network.g, network.kappa
    lam, y = spectrum.lam, spectrum.y
    v = lam * ft
    edge = (g / N) * float(ft @ v)
    if not edge < 1:
        return None
    Q = 1 / (1 - edge)
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
    curvature = LowRank(d, v[:, None], np.array([[beta]]))
    loop_hessian = LowRank.of(
        a * F_Q * lam + lam**2 * beta / (d * t),
        (F_QQ * a**2 + F_Q * a_Q * a, v, v),
        (2 * a, v, lam * F_Qv),
        (-2 * (beta / t) ** 2, lam * w, lam * w),
    )
    return LinearAction(
        network=network,
        lam=lam,
        ft=ft,
        v=v,
        Q=Q,
        value=-float(ft @ y) + kappa / 2 * float(ft @ ft) + N / 2 * np.log(Q),
        gradient=-y + kappa * ft + Q * g * v,
        curvature=curvature,
        G=curvature.solver(),
        loop=F,
        loop_gradient=F_Q * a * v + lam * F_v,
        loop_hessian=loop_hessian,
    )


def dressed_kernel(spectrum: Spectrum, network: Network, kernel_derivative: LowRank) -> tuple[LowRank, float]:
    """Return the hidden kernel and the readout norm that a log evidence implies.

    Uses ``H = C + (2/N) C (d ln p / dC) C`` and, since W depends on the product ``g C`` alone,
    ``<|w|^2> = g + (2 g / N) tr(C d ln p / dC)`` (docs/theory.md, section 3).
    """
    lam = spectrum.lam
    scaled = LowRank(lam**2 * kernel_derivative.d, lam[:, None] * kernel_derivative.V, kernel_derivative.S).scaled(
        2 / network.width
    )
    V, S = kernel_derivative.V, kernel_derivative.S
    trace = float(lam @ kernel_derivative.d) + float(np.sum(S * (V.T @ (lam[:, None] * V))))
    return LowRank.diagonal(lam) + scaled, network.g * (1 + 2 / network.width * trace)
