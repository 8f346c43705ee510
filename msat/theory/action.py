"""What a level needs of a network: the action S, its loop term F and their derivatives at one conjugate field.

    p(y) = int dft exp S(ft),   S = -ft.y + (kappa/2) ft.ft + W(ft),   F = (1/2) ln det(kappa + W'')

(docs/theory.md, eq. 3). Derivatives of F are given as T: ``F' = (N/2) T``, ``F'' = (N/2) dT``, and
``W''' = N kappa_3``. A linear network answers in closed form (`msat.theory.linear`), any other from draws of its
tilted neuron (`msat.theory.sampled`). Matrices are arrays (P, P) or `LowRank`: both take ``+``, ``-``, numbers on
the left, and ``@`` with a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from msat.network import Network
from msat.theory.linear.lowrank import LowRank
from msat.types import Array

Matrix = Any  # Array | LowRank, of one kind for one action


class Action(Protocol):
    """S and F at one conjugate field ft of a network at its scale, all in the action's own basis."""

    @property
    def network(self) -> Network:
        """The network at its scale."""

    @property
    def y(self) -> Array:
        """Labels, (P,)."""

    @property
    def ft(self) -> Array:
        """The conjugate field, (P,)."""

    @property
    def value(self) -> float:
        """``S``."""

    @property
    def gradient(self) -> Array:
        """``S'``, (P,)."""

    @property
    def curvature(self) -> Matrix:
        """``S'' = kappa + W''``, (P, P)."""

    @property
    def G(self) -> Matrix:
        """``(kappa + W'')^-1``, (P, P)."""

    @property
    def identity(self) -> Matrix:
        """The identity in the action's form of matrices."""

    @property
    def loop(self) -> float:
        """``F``."""

    @property
    def T(self) -> Array:
        """``F' = (N/2) T``, (P,)."""

    @property
    def dT(self) -> Matrix:
        """``F'' = (N/2) dT``, (P, P)."""

    @property
    def has_second_derivative(self) -> bool:
        """Whether dT and `third_cumulant` can be formed."""

    @property
    def loop_note(self) -> str:
        """What a reader must know of loop corrections from this action; empty if nothing."""

    @property
    def noise_margin(self) -> float:
        """How far the lowest eigenvalue of the curvature of ``S - eps F`` must stay above 0, relative to S''.

        Nearer to a fold noise decides what is a root; 0 for closed forms.
        """

    @property
    def root_tolerance(self) -> float:
        """Residual, relative to ``|y|``, at which a root of ``S' = eps F'`` is found at eps = 1."""

    @property
    def path_tolerance(self) -> float:
        """The same on the way there."""

    @property
    def smallest_step(self) -> float:
        """Of eps, below which a path of roots has ended."""

    def third_cumulant(self, p: Array) -> Matrix:
        """Return ``kappa_3`` of one neuron's z contracted with a vector, ``W'''.p / N``."""

    def at(self, ft: Array) -> Action | None:
        """Return the action at another field; None outside the domain of W."""

    def thinned(self) -> Action:
        """Return the action on as many draws as dT and `third_cumulant` are worth; closed forms return self."""

    def corrected(self, jacobian: Matrix, step: Array, residual: Array, strength: float) -> Matrix:
        """Return the curvature of ``S - strength F`` after a step that came here and left a residual."""


@dataclass(frozen=True, eq=False)
class Saddle:
    """The minimum of S, where every expansion starts, and the solver's account of it."""

    action: Action
    converged: bool
    residual: float
    iterations: int
    note: str = ""


@dataclass(frozen=True, eq=False)
class Expansion:
    """Where and how a level averages: about a field, with or without the loop (docs/theory.md, eq. 5).

    Attributes:
        action: At the field whose measure is averaged over.
        field: ``<ft>``, (P,): the mean outputs are ``y - kappa <ft>``.
        loop: Whether averages take the loop term.
        shift: delta in eq. (5), (P,); None for 0.
    """

    action: Action
    field: Array
    loop: bool = False
    shift: Array | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """A level's answer at one scale, but for what follows from it by averaging.

    Attributes:
        expansion: None if the level has no solution: all its predictions are NaN.
        covariance: Of the training outputs, without label noise, (P, P).
        loop_covariance: Its part beyond ``kappa - kappa^2 G``; None for none.
        jacobian: The curvature that fixes the level's field, where that is not S''; None otherwise.
        log_evidence, action, converged, residual, iterations, loop_strength, note: As in
            `msat.theory.prediction.Prediction`.
    """

    expansion: Expansion | None
    covariance: Matrix = None
    loop_covariance: Matrix = None
    jacobian: Matrix = None
    log_evidence: float = float("nan")
    action: float = float("nan")
    converged: bool = True
    residual: float = 0.0
    iterations: int = 0
    loop_strength: float = float("nan")
    note: str = ""

    def account(self) -> dict[str, Any]:
        """Return what a prediction takes over as it is."""
        names = ("log_evidence", "action", "converged", "residual", "iterations", "loop_strength", "note")
        return {name: getattr(self, name) for name in names}


def fluctuations(action: Action) -> float:
    """Return ``-F - (P/2) ln 2 pi``, what Gaussian fluctuations about a field add to the log evidence."""
    return -action.loop - 0.5 * len(action.y) * float(np.log(2 * np.pi))


def relative(action: Action, vector: Array) -> float:
    """Return the length of a vector over that of the labels."""
    return float(np.linalg.norm(vector) / np.linalg.norm(action.y))


def congruence(G: Matrix, X: Matrix) -> Matrix:
    """Return ``G X G``."""
    return G.congruence(X) if isinstance(G, LowRank) else G @ X @ G


def inverse(M: Matrix) -> Matrix:
    """Return the inverse of a positive definite matrix, by its Cholesky factor or Woodbury's identity."""
    if isinstance(M, LowRank):
        return M.inverse()
    return cho_solve(cho_factor(M, lower=True), np.eye(len(M)))


def solve(M: Matrix, vector: Array, definite: bool = False) -> Array:
    """Return ``M^-1 v``; of a matrix that is known to be positive definite by its Cholesky factor."""
    if isinstance(M, LowRank):
        return M.inverse() @ vector
    return np.asarray(cho_solve(cho_factor(M, lower=True), vector) if definite else np.linalg.solve(M, vector))


def positive_definite(M: Matrix) -> bool:
    """Return whether every eigenvalue of a symmetric matrix is positive."""
    if isinstance(M, LowRank):
        return M.positive_definite()
    try:
        np.linalg.cholesky(M)
    except np.linalg.LinAlgError:
        return False
    return True


def joined(*notes: str) -> str:
    """Return the notes that say something, as one."""
    return "; ".join(note for note in notes if note)
