"""What one level of theory predicts at one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Posterior predictions of one level at one scale chi.

    Attributes
    ----------
    mean_train, mean_test
        Mean outputs ``<f>``, shapes (P,) and (Q,).
    covariance_train
        Output covariance without label noise, (P, P).
    variance_test
        Output variance at each test point, (Q,).
    hidden_kernel
        ``E[(1/N) sum_i phi_i phi_i^T]`` on the training points, (P, P).
    readout_norm
        ``<|w|^2>``; its prior value is g.
    log_evidence
        ``ln p(y)`` with all constants; NaN where the level defines none.
    action
        The tree level's ``S(ft*)``; NaN elsewhere. Not comparable with a log evidence.
    converged, residual, iterations
        The solver's own account: whether the equations are solved, how well (relative), in how many steps.
    loop_strength
        Largest loop strength eps in [0, 1] to which `one_loop` was followed; NaN for other levels.
    effective_sample_size
        Number of independent neurons that the answer of a sampling solver is worth; NaN for closed forms.
    mean_train_mc_error, mean_test_mc_error
        Monte Carlo standard errors of the means, (P,) and (Q,); None for closed forms.
    mean_train_batches, mean_test_batches
        The means on disjoint batches of neurons, (B, P) and (B, Q), from which the Monte Carlo error of any
        linear function of the outputs follows; None for closed forms.
    hidden_kernel_batches, covariance_train_batches
        The same of the matrices, (B, P, P), for any function of them; of a loop's covariance only the leading
        order varies between batches. None for closed forms.
    log_evidence_mc_error
        Monte Carlo standard error of `log_evidence`; 0 for closed forms.
    weight_alignment, weight_alignment_mc_error
        `msat.observables.functions.weight_alignment` of the level, and its Monte Carlo standard error; NaN where the level
        does not give it (for linear networks it follows from the hidden kernel).
    anneal_difference
        Relative difference in ``y.ft`` between the tree level of a downward and of the upward anneal; NaN for
        closed forms.
    note
        What a reader must know of this level on these data; empty if nothing.
    """

    mean_train: Array
    mean_test: Array
    covariance_train: Array
    variance_test: Array
    hidden_kernel: Array
    readout_norm: float
    log_evidence: float = float("nan")
    action: float = float("nan")
    converged: bool = True
    residual: float = 0.0
    iterations: int = 0
    loop_strength: float = float("nan")
    effective_sample_size: float = float("nan")
    mean_train_mc_error: Array | None = None
    mean_test_mc_error: Array | None = None
    mean_train_batches: Array | None = None
    mean_test_batches: Array | None = None
    hidden_kernel_batches: Array | None = None
    covariance_train_batches: Array | None = None
    log_evidence_mc_error: float = 0.0
    weight_alignment: float = float("nan")
    weight_alignment_mc_error: float = 0.0
    anneal_difference: float = float("nan")
    note: str = ""


def batch_error(batches: Array) -> Array:
    """Return the standard error of the mean over batches, (B, ...) to (...)."""
    return np.asarray(batches.std(axis=0, ddof=1) / np.sqrt(len(batches)))
