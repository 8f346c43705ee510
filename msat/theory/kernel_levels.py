"""Levels nngp and rescaling for any activation, from prior kernels alone (docs/theory.md, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from msat.activations.base import Activation
from msat.network import Network
from msat.theory.prediction import Prediction
from msat.theory.scale_mixture import ScaleMixture

Array = NDArray[np.float64]

RESCALING_NOTE = "for a non-linear activation rescaling is an ansatz: one number for all directions of the outputs"


@dataclass(frozen=True, eq=False)
class PriorKernels:
    """Prior hidden kernels ``E[phi phi]`` of one data set.

    Attributes
    ----------
    train
        (P, P).
    eigenvalues, eigenvectors
        Of `train`: (P,), clipped at 0, and (P, P), columns.
    test_train
        (Q, P).
    test_variance
        (Q,).
    """

    train: Array
    eigenvalues: Array
    eigenvectors: Array
    test_train: Array
    test_variance: Array


def prior_kernels(x_train: Array, x_test: Array, g_v: float, activation: Activation) -> PriorKernels:
    """Return the `PriorKernels` of inputs (P, D) and (Q, D)."""
    scale = g_v / x_train.shape[1]
    variance_train, variance_test = (scale * np.sum(x**2, axis=1) for x in (x_train, x_test))
    train = activation.dual_kernel(scale * (x_train @ x_train.T))
    eigenvalues, eigenvectors = np.linalg.eigh(train)
    return PriorKernels(
        train=train,
        eigenvalues=np.maximum(eigenvalues, 0.0),
        eigenvectors=eigenvectors,
        test_train=activation.cross_dual_kernel(variance_test, variance_train, scale * (x_test @ x_train.T)),
        test_variance=activation.dual_variance(variance_test),
    )


def nngp(kernels: PriorKernels, y: Array, network: Network) -> Prediction:
    """Return the infinite-width Gaussian process, ``<f> = g K (g K + kappa)^-1 y``."""
    s = network.g
    d = s * kernels.eigenvalues + network.kappa
    projected = kernels.eigenvectors.T @ y
    log_evidence = -0.5 * float(np.sum(np.log(2 * np.pi * d) + projected**2 / d))
    return _gaussian_process(kernels, y, network, s, kernels.train, log_evidence)


def rescaling(kernels: PriorKernels, y: Array, network: Network) -> Prediction:
    """Return the Gaussian process at the most probable readout scale, the maximum over s of eq. (4)."""
    lam, vectors = kernels.eigenvalues, kernels.eigenvectors
    projected = vectors.T @ y
    mixture = ScaleMixture(lam=lam, y=projected, width=network.width, g=network.g, kappa=network.kappa)
    t = mixture.mode()
    s, curvature = float(np.exp(t)), mixture.curvature(t)
    d = s * lam + network.kappa
    adapted = vectors @ (lam * projected / d)
    hidden = kernels.train + s / network.width * (
        np.outer(adapted, adapted) - (vectors * (lam**2 / d)) @ vectors.T
    )
    log_evidence = (
        mixture.log_constant
        + float(mixture.exponent(np.array([t]))[0])
        + (0.5 * float(np.log(2 * np.pi / -curvature)) if curvature < 0 else float("nan"))
    )
    return _gaussian_process(
        kernels,
        y,
        network,
        s,
        hidden,
        log_evidence,
        converged=curvature < 0,
        residual=abs(mixture.slope(t)) / network.width,
        note="" if network.activation == "linear" else RESCALING_NOTE,
    )


def _gaussian_process(
    kernels: PriorKernels,
    y: Array,
    network: Network,
    s: float,
    hidden_kernel: Array,
    log_evidence: float,
    converged: bool = True,
    residual: float = 0.0,
    note: str = "",
) -> Prediction:
    lam, vectors, kappa = kernels.eigenvalues, kernels.eigenvectors, network.kappa
    d = s * lam + kappa
    solved = vectors @ ((vectors.T @ y) / d)
    cross = kernels.test_train @ vectors
    return Prediction(
        mean_train=y - kappa * solved,
        mean_test=s * (kernels.test_train @ solved),
        covariance_train=(vectors * (kappa * s * lam / d)) @ vectors.T,
        variance_test=np.maximum(s * kernels.test_variance - s**2 * np.sum(cross**2 / d, axis=1), 0.0),
        hidden_kernel=hidden_kernel,
        readout_norm=s,
        log_evidence=log_evidence,
        converged=converged,
        residual=residual,
        note=note,
    )
