"""What one level of theory predicts at one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from msat.observables.functions import Symmetric
from msat.types import Array

FirstLayer = Callable[[Array], float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Outputs:
    """Posterior averages of a level, on all draws or on one batch of them.

    Attributes:
        mean_train, mean_test: Mean outputs ``<f>``, shapes (P,) and (Q,); (P, m) and (Q, m) of m > 1 outputs.
        covariance_train: Output covariance without label noise, (P, P): an array, or by factors where they are known.
            Of m > 1 outputs (P m, P m), entry a m + c the output c of sample a.
        hidden_kernel: ``E[(1/N) sum_i phi_i phi_i^T]`` on the training points, (P, P), likewise.
        first_layer: Maps row-space coordinates u, (r,), to ``E[(1/N) sum_i (a_i.u)^2]``; None where the level does not
            give it.
        readout_covariance: ``<S>``, ``S = sum_i w_i w_i^T``, (m, m), under the prior g times 1; None for one output.
        hidden_kernels: The same of all hidden layers, bottom to top, where there are several; `hidden_kernel` is then
            that of the last one. NaN for layers that the level does not give.
        delta_train: ``y - <f>``, (P,) or (P, m), as ``kappa <ft>``: of a good fit the difference has only rounding.
            None where the difference is all there is.
        response: ``y.(d<ft>/dy) y = (kappa |y|^2 - y.Cov y)/kappa^2``; None likewise.
    """

    mean_train: Array
    mean_test: Array
    covariance_train: Symmetric
    hidden_kernel: Symmetric
    first_layer: FirstLayer | None = None
    readout_covariance: Array | None = None
    hidden_kernels: Sequence[Symmetric] = ()
    delta_train: Array | None = None
    response: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction(Outputs):
    """A level's averages at one scale, and the solver's account of them.

    Attributes:
        variance_test: Output variance at each test point, (Q,) or (Q, m).
        readout_norm: ``<|w|^2>``, ``tr <S>``; its prior value is g, m g of m outputs.
        batches: The averages on disjoint batches of neurons, from which the Monte Carlo error of any function of them
            follows; of a loop's covariance only the leading order varies between batches. Empty for closed forms.
        log_evidence, log_evidence_mc_error: ``ln p(y)`` with all constants, NaN where the level defines none, and its
            Monte Carlo standard error.
        action: The tree level's ``S(ft*)``; NaN elsewhere. Not comparable with a log evidence.
        converged, residual, iterations: The solver's own account: whether the equations are solved, how well
            (relative), in how many steps.
        loop_strength: Largest loop strength eps in [0, 1] to which `one_loop` was followed; NaN for other levels.
        effective_sample_size: Number of independent neurons that the answer of a sampling solver is worth; NaN for
            closed forms.
        anneal_difference: Relative difference in ``y.ft`` between the tree level of a downward and of the upward
            anneal; NaN for closed forms.
        anneals_agree: Whether that difference is none; so for closed forms.
        population: Pre-activations on the training points of neurons of the tree level, (neurons, P); None for closed
            forms.
        note: What a reader must know of this level on these data; empty if nothing.
    """

    variance_test: Array
    readout_norm: float
    batches: Sequence[Outputs] = ()
    log_evidence: float = float("nan")
    log_evidence_mc_error: float = 0.0
    action: float = float("nan")
    converged: bool = True
    residual: float = 0.0
    iterations: int = 0
    loop_strength: float = float("nan")
    effective_sample_size: float = float("nan")
    anneal_difference: float = float("nan")
    anneals_agree: bool = True
    population: Array | None = None
    note: str = ""


def nothing(n_train: int, n_test: int, batches: int = 0, **account: Any) -> Prediction:
    """Return what a level without a solution predicts: NaN, on batches too."""
    train, test, matrix = (np.full(shape, np.nan) for shape in (n_train, n_test, (n_train, n_train)))
    outputs = Outputs(mean_train=train, mean_test=test, covariance_train=matrix, hidden_kernel=matrix)
    return Prediction(**vars(outputs), variance_test=test, readout_norm=np.nan, batches=[outputs] * batches, **account)
