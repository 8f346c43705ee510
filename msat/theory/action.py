"""What a level needs of a network: the action S, its loop term F and their derivatives at one conjugate field.

    p(y) = int dft exp S(ft),   S = -ft.y + (kappa/2) ft.ft + W(ft),   F = (1/2) ln det(kappa + W'')

(docs/theory.md, eq. 3). Derivatives of F are given as T: ``F' = (N/2) T``, ``F'' = (N/2) dT``, and
``W''' = N kappa_3``. A linear network answers in closed form (`msat.theory.linear`), any other from draws of its
tilted neuron (`msat.theory.sampled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from msat.network import Network
from msat.theory.matrices import LowRank, Matrix
from msat.types import Array


class Action(Protocol):
    """S and F at one conjugate field ft of a network at its scale, all in the action's own basis.

    Attributes:
        network, y, ft: The network at its scale, labels and the field, (P,).
        value, gradient, curvature: ``S``, ``S'`` (P,) and ``S'' = kappa + W''``, (P, P).
        G: ``(kappa + W'')^-1``, (P, P).
        identity: The identity in the action's form of matrices.
        loop, T, dT: ``F``, and of its derivatives T, (P,), and dT, (P, P).
        shift: ``(N/2) G T = G F'``, (P,).
        has_second_derivative: Whether dT and `third_cumulant` can be formed.
        loop_note: What a reader must know of loop corrections from this action; empty if nothing.
        noise_margin: How far the lowest eigenvalue of the curvature of ``S - eps F`` must stay above 0, relative to
            S''. Nearer to a fold noise decides what is a root; 0 for closed forms.
        root_tolerance, path_tolerance: Residual, relative to ``|y|``, at which a root of ``S' = eps F'`` is found, at
            eps = 1 and on the way there.
        smallest_step: Of eps, below which a path of roots has ended.
    """

    noise_margin: float
    root_tolerance: float
    path_tolerance: float
    smallest_step: float

    @property
    def network(self) -> Network: ...
    @property
    def y(self) -> Array: ...
    @property
    def ft(self) -> Array: ...
    @property
    def value(self) -> float: ...
    @property
    def gradient(self) -> Array: ...
    @property
    def curvature(self) -> Matrix: ...
    @property
    def G(self) -> Matrix: ...
    @property
    def identity(self) -> Matrix: ...
    @property
    def loop(self) -> float: ...
    @property
    def T(self) -> Array: ...
    @property
    def dT(self) -> Matrix: ...
    @property
    def shift(self) -> Array: ...
    @property
    def has_second_derivative(self) -> bool: ...
    @property
    def loop_note(self) -> str: ...

    def third_cumulant(self, p: Array) -> Matrix:
        """Return ``kappa_3`` of one neuron's z contracted with a vector, ``W'''.p / N``."""

    def at(self, ft: Array) -> Action | None:
        """Return the action at another field; None outside the domain of W."""

    def stepped(self, step: Array) -> Action | None:
        """Return the action at ``ft + step``; None outside the domain of W."""

    def thinned(self) -> Action:
        """Return the action on as many draws as dT and `third_cumulant` are worth; closed forms return self."""

    def corrected(self, jacobian: Matrix, step: Array, residual: Array, strength: float) -> Matrix:
        """Return the curvature of ``S - strength F`` after a step that came here and left a residual."""


AnyAction = TypeVar("AnyAction", bound=Action, covariant=True)


@dataclass(frozen=True, eq=False)
class Saddle(Generic[AnyAction]):
    """The minimum of S, where every expansion starts, and the solver's account of it."""

    action: AnyAction
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


def covariance(action: Action, curvature: Matrix, response: Matrix) -> Matrix:
    """Return ``kappa - kappa^2 J^-1``, the covariance of the outputs, from a curvature J and its inverse."""
    if isinstance(curvature, LowRank):  # whose shift is kappa
        return curvature.remainder()
    kappa = action.network.kappa
    return kappa * (action.identity - kappa * response)


def relative(action: Action, vector: Array) -> float:
    """Return the length of a vector over that of the labels."""
    return float(np.linalg.norm(vector) / np.linalg.norm(action.y))


def joined(*notes: str) -> str:
    """Return the notes that say something, as one."""
    return "; ".join(note for note in notes if note)
