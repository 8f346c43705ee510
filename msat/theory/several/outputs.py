"""A prediction for several outputs from what a level gives in the eigenbasis of the prior kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.geometry import Geometry, Spectrum
from msat.theory.prediction import Outputs, Prediction
from msat.theory.several.matrices import Blocks
from msat.types import Array


def to_prediction(
    geometry: Geometry,
    mean: Array,
    covariance: Blocks | Array,
    hidden_kernel: Array,
    readout_covariance: Array,
    **account: Any,
) -> Prediction:
    """Return a solution of a linear network in the basis of samples, test points included: ``<f_*> = B <f>``.

    Args:
        mean, covariance, hidden_kernel: In the eigenbasis, (P, m), (P m, P m), (P, P).
        readout_covariance: ``<S>``, (m, m), which scales what lies outside the row space.
        **account: Further fields of the prediction.
    """
    spectrum = geometry.spectrum
    assert spectrum.to_test is not None
    assert spectrum.test_residual is not None
    variance = np.diag(readout_covariance) * spectrum.test_residual[:, None]
    outputs = train_outputs(geometry, mean, covariance, hidden_kernel, readout_covariance)
    return Prediction(
        **outputs,
        variance_test=variance + _test_variance(spectrum.to_test, covariance),
        readout_norm=float(np.trace(readout_covariance)),
        **account,
    )


def train_outputs(
    geometry: Geometry, mean: Array, covariance: Blocks | Array, hidden_kernel: Array, readout_covariance: Array
) -> dict[str, Any]:
    """Return the fields of `Outputs` of a linear network, from the arguments of `to_prediction`."""
    spectrum = geometry.spectrum
    assert spectrum.to_test is not None
    kernel = over_samples(spectrum.U, hidden_kernel)
    return {
        "mean_train": spectrum.U @ mean,
        "mean_test": spectrum.to_test @ mean,
        "covariance_train": covariance_of_samples(spectrum, covariance),
        "hidden_kernel": kernel,
        "first_layer": geometry.first_layer(kernel),
        "readout_covariance": readout_covariance,
    }


def covariance_of_samples(spectrum: Spectrum, covariance: Blocks | Array) -> Array:
    """Return a covariance in the eigenbasis in the basis of samples, (P m, P m)."""
    samples, outputs = spectrum.y.shape
    if isinstance(covariance, Blocks) and not covariance.V.size:  # no correlations in the eigenbasis
        full = np.empty((samples, outputs, samples, outputs))
        for c in range(outputs):
            for d in range(c + 1):
                full[:, c, :, d] = full[:, d, :, c] = (spectrum.U * covariance.d[:, c, d]) @ spectrum.U.T
        return full.reshape(samples * outputs, -1)
    dense = covariance.dense() if isinstance(covariance, Blocks) else covariance
    for _ in range(2):
        dense = (spectrum.U @ dense.reshape(samples, -1)).reshape(samples * outputs, -1).T
    return np.asarray(0.5 * (dense + dense.T))


def nothing(geometry: Geometry, batches: int = 0, **account: Any) -> Prediction:
    """Return what a level without a solution predicts: NaN, on batches too."""
    (samples, outputs), tests = geometry.y_train.shape, len(geometry.x_test)
    test = np.full((tests, outputs), np.nan)
    part = Outputs(
        mean_train=np.full((samples, outputs), np.nan),
        mean_test=test,
        covariance_train=np.full((samples * outputs,) * 2, np.nan),
        hidden_kernel=np.full((samples, samples), np.nan),
        readout_covariance=np.full((outputs, outputs), np.nan),
    )
    return Prediction(**vars(part), variance_test=test, readout_norm=np.nan, batches=[part] * batches, **account)


def over_samples(U: Array, matrix: Array) -> Array:
    """Return ``U M U^T`` of a matrix (P, P) in the eigenbasis."""
    full = U @ matrix @ U.T
    return np.asarray(0.5 * (full + full.T))


def _test_variance(to_test: Array, covariance: Blocks | Array) -> Array:
    """Return the variances of ``B f``, (Q, m), from the covariance in the eigenbasis."""
    if isinstance(covariance, Blocks):
        samples, outputs, _ = covariance.d.shape
        variance = (to_test**2) @ np.einsum("kcc->kc", covariance.d)
        half = np.tensordot(to_test, covariance.V.reshape(samples, outputs, -1), axes=1)
        return np.asarray(variance + np.sum((half @ covariance.S) * half, axis=2))
    samples = to_test.shape[1]
    blocks = covariance.reshape(samples, len(covariance) // samples, samples, -1)
    every = [np.sum((to_test @ blocks[:, c, :, c]) * to_test, axis=1) for c in range(blocks.shape[1])]
    return np.stack(every, axis=1)
