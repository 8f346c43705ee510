"""One declaration for each observable: from it follow files, tables, checks, `msat compare` and docs/formats.md.

An observable is a function of `Moments`. Theory evaluates it on a level's moments, with a Monte Carlo error from
its batches of draws; training on the moments of all chains, with an error from a block series where it is linear in
one, and from leaving out one chain at a time (jackknife; brackets for eigenvalues) where it is not. Nothing is trained
again for a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from msat.observables.functions import (
    accuracy,
    across_target,
    along_target,
    centred_alignment,
    discrepancy,
    effective_rank,
    evidence_bend,
    evidence_slope,
    gain,
    weight_alignment,
)
from msat.observables.moments import Frame, Moments
from msat.observables.training import (
    Series,
    along_to_discrepancy,
    bend,
    bulk,
    gap,
    held_covariance,
    held_kernel,
    held_readout,
    norm_gap,
    test_discrepancy,
    train_discrepancy,
    variance_along,
    weights_along,
    whole_discrepancy,
)
from msat.types import Array


@dataclass(frozen=True)
class Observable:
    """A number, or a vector, drawn from the moments of outputs, hidden layer and weights.

    Attributes:
        name, text, units: Name in files and tables, what it is in one line, and its units.
        formula: The value on `Moments`; NaN where they do not give it.
        needs: The fields of `Moments` that it is a function of.
        series: The series (chains, blocks, ...) whose mean it is to first order in the noise, from the block series and
            the moments of all; None: its error is taken by leaving out one chain at a time.
        held: Of eigenvalues, what it is on the first moments in the eigenvectors that the second ones have.
        dimensions: Names of its dimensions beside level and chi.
        theory: Whether theory predicts it.
        compared: Whether training is compared with every level in it, in tables and checks.
        printed: Whether `msat compare` prints it.
        pooled: Whether it counts in the chi-squared of all observables: False where it is another one times a constant.
        optional: Whether data exist on which it is not defined.
        several: True: only of several outputs; False: only of one; None: of any number.
    """

    name: str
    text: str
    formula: Callable[[Moments], Any]
    needs: tuple[str, ...]
    units: str = "1"
    series: Callable[[Series, Moments], Array] | None = None
    held: Callable[[Moments, Moments], Any] | None = None
    dimensions: tuple[str, ...] = ()
    theory: bool = True
    compared: bool = False
    printed: bool = False
    pooled: bool = True
    optional: bool = False
    several: bool | None = None

    @property
    def jackknifed(self) -> bool:
        """Whether training's error is a jackknife's, so that z follows Student's t."""
        return self.series is None

    def defined(self, frame: Frame) -> bool:
        """Return whether data and network have it: test points, one or several outputs, a teacher, hidden layers."""
        if self.several not in (None, frame.y_train.ndim == 2):
            return False
        if "layer" in self.dimensions:
            return frame.layers > 1
        if "degree" in self.dimensions:
            return frame.projection is not None
        return len(frame.y_test) > 0 or self.needs != ("mean_test",)

    def attributes(self, name: str) -> dict[str, str]:
        """Return the attributes of a variable in a file: of the observable, or of an error of it."""
        text = self.text
        if name.endswith("_mc_error"):
            text = f"Monte Carlo standard error of {self.name}; 0 for closed forms"
        elif name.endswith("_error"):
            text = f"standard error of {self.name}" + (", jackknife over chains" if self.jackknifed else "")
        return {"long_name": text, "units": self.units}


def _layers_along(m: Moments) -> Array:
    found = m.averages.get("layers_along")
    return np.array([along_target(m.frame.y_train, H) for H in m.hidden_kernels]) if found is None else found


_of_covariance = partial(Observable, needs=("covariance_train",), units="label^2", compared=True)
_of_kernel = partial(Observable, needs=("hidden_kernel",), compared=True)

OBSERVABLES = (
    Observable(
        "train_discrepancy",
        "y.(y - <f>)/P on the training points",
        whole_discrepancy,
        needs=("mean_train",),
        units="label^2",
        series=train_discrepancy,
        compared=True,
        printed=True,
    ),
    Observable(
        "train_discrepancy_draws",
        "train_discrepancy of the outputs themselves, without the average over the readout",
        lambda m: along_to_discrepancy(m, m.averages["along_draws"]),
        needs=("averages",),
        units="label^2",
        series=lambda s, m: along_to_discrepancy(m, s["along_draws"]),
        theory=False,
    ),
    Observable(
        "readout_gap",
        "train_discrepancy_draws minus train_discrepancy: 0 where readouts follow their law given the first layer",
        lambda m: gap(m.averages, m) if m.averages else 0.0 * m.readout_norm,
        needs=("readout_norm",),
        units="label^2",
        series=lambda s, m: gap(s, m),
        compared=True,
        pooled=False,
    ),
    Observable(
        "test_discrepancy",
        "y.(y - <f>)/Q on the test points",
        lambda m: discrepancy(m.frame.y_test, m.mean_test) if len(m.frame.y_test) else np.nan,
        needs=("mean_test",),
        units="label^2",
        series=test_discrepancy,
        compared=True,
        printed=True,
        optional=True,
    ),
    _of_covariance(
        "variance_along_target",
        "y.Cov y / |y|^2",
        lambda m: along_target(m.frame.y_train.ravel(), m.covariance_train),
        series=variance_along,
        printed=True,
    ),
    Observable(
        "readout_norm_gap",
        "mean of |w|^2 over draws minus readout_norm, over readout_norm: 0 for the same reason",
        lambda m: norm_gap(m.averages, m) if m.averages else 0.0 * m.readout_norm,
        needs=("readout_norm",),
        series=lambda s, m: norm_gap(s, m),
        compared=True,
        pooled=False,
    ),
    _of_kernel(
        "hidden_kernel_along_target",
        "y.H y / |y|^2",
        # training measures it as a series, with the labels in the precision of its dynamics
        lambda m: float(m.averages.get("hidden_along", along_target(m.frame.y_train, m.hidden_kernel))),
        series=lambda s, m: s["hidden_along"],
        printed=True,
    ),
    Observable(
        "readout_norm",
        "<|w|^2>, prior value g_w / chi",
        lambda m: m.readout_norm,
        needs=("readout_norm",),
        series=lambda s, m: s["readout_norm"],
        compared=True,
        printed=True,
    ),
    _of_covariance(
        "variance_across_target",
        "(tr Cov - y.Cov y / |y|^2) / (P - 1)",
        lambda m: across_target(m.frame.y_train.ravel(), m.covariance_train),
        printed=True,
        optional=True,
    ),
    _of_covariance(
        "covariance_outlier",
        "largest eigenvalue of covariance_train",
        lambda m: m.covariance_outlier,
        held=lambda m, other: held_covariance(m, other)[0],
    ),
    _of_kernel(
        "hidden_kernel_gain",
        "y.H y / y.K y, K the prior hidden kernel",
        lambda m: gain(m.frame.y_train, m.hidden_kernel, m.frame.prior_kernel),
        pooled=False,  # hidden_kernel_along_target over a constant
    ),
    _of_kernel(
        "hidden_kernel_alignment",
        "centred kernel alignment of H with y y^T",
        lambda m: centred_alignment(m.frame.y_train, m.hidden_kernel),
        printed=True,
        optional=True,
    ),
    _of_kernel(
        "hidden_kernel_outlier",
        "largest eigenvalue of H",
        lambda m: m.hidden_outlier,
        held=lambda m, other: held_kernel(m, other)[0],
    ),
    _of_kernel(
        "hidden_kernel_bulk",
        "mean of the other eigenvalues of H",
        lambda m: bulk(m, m.hidden_outlier),
        held=lambda m, other: bulk(m, held_kernel(m, other)[0]),
        optional=True,
    ),
    _of_kernel("hidden_kernel_effective_rank", "(tr H)^2 / tr H^2", lambda m: effective_rank(m.hidden_kernel)),
    Observable(
        "weight_alignment",
        "E[(1/N) sum_i (V_i.u)^2] D / g_v; 1 under the prior; NaN where a level does not give it",
        lambda m: weight_alignment(weights_along(m), m.frame.direction),
        needs=("first_layer",),
        series=lambda s, m: s["weights_along"] + weight_alignment(0.0, m.frame.direction),
        compared=True,
        printed=True,
    ),
    Observable(
        "first_layer_variance",
        "mean square of whitened first-layer weights, 1 under the prior",
        lambda m: m.first_layer_variance,
        needs=("first_layer_variance",),
        series=lambda s, m: s["first_layer_variance"],
        theory=False,
    ),
    Observable(
        "evidence_slope",
        "d ln p(y) / d ln chi = P/2 - y.(y - <f>)/(2 kappa)",
        lambda m: evidence_slope(m.frame.y_train, m.mean_train, m.frame.kappa, m.delta_train),
        needs=("mean_train",),
        units="nat",
        series=lambda s, m: m.frame.y_train.size / 2 * (1 - train_discrepancy(s, m) / m.frame.kappa),
    ),
    Observable(
        "evidence_bend",
        "d^2 ln p(y) / d(ln chi)^2 from covariance_train",
        lambda m: evidence_bend(
            m.frame.y_train, m.mean_train, m.covariance_train, m.frame.kappa, m.delta_train, m.response
        ),
        needs=("mean_train", "covariance_train"),
        units="nat",
        series=bend,
    ),
    Observable(
        "covariance_spectrum",
        "eigenvalues of covariance_train, descending (not sample by sample)",
        lambda m: m.covariance_spectrum,
        needs=("covariance_train",),
        units="label^2",
        held=held_covariance,
        # the k-th of P eigenvalues: an axis of its own would add a dimension to the contract
        dimensions=("train",),
        several=False,
    ),
    Observable(
        "hidden_kernel_spectrum",
        "eigenvalues of H, descending (not sample by sample)",
        lambda m: m.hidden_spectrum,
        held=held_kernel,
        needs=("hidden_kernel",),
        dimensions=("train",),
    ),
    Observable(
        "learned_component",
        "coefficients of He_k(u.x), u the teacher's direction, in the mean test outputs",
        lambda m: np.full(3, np.nan) if m.frame.projection is None else m.frame.projection @ m.mean_test,
        needs=("mean_test",),
        units="label",
        series=lambda s, m: s["components"],
        dimensions=("degree",),
        optional=True,
    ),
    Observable(
        "relative_discrepancy",
        "tr y^T (y - <f>) / |y|^2 on the training points: train_discrepancy whatever the size of the labels",
        lambda m: whole_discrepancy(m) * m.frame.y_train.size / np.sum(m.frame.y_train**2),
        needs=("mean_train",),
        series=lambda s, m: train_discrepancy(s, m) * m.frame.y_train.size / np.sum(m.frame.y_train**2),
        several=True,
    ),
    Observable(
        "test_accuracy",
        "share of test points whose largest mean output is that of the largest label",
        lambda m: accuracy(m.frame.y_test, m.mean_test),
        needs=("mean_test",),
        optional=True,
        several=True,
    ),
    Observable(
        "readout_outlier",
        "largest eigenvalue of <S>/g, S = sum_i w_i w_i^T; 1 under the prior",
        lambda m: float(m.readout_spectrum[0]),
        needs=("readout_covariance",),
        held=lambda m, other: held_readout(m, other)[0],
        compared=True,
        printed=True,
        several=True,
    ),
    Observable(
        "readout_spectrum",
        "eigenvalues of <S>/g, descending (not output by output)",
        lambda m: m.readout_spectrum,
        needs=("readout_covariance",),
        held=held_readout,
        dimensions=("output",),
        several=True,
    ),
    Observable(
        "hidden_kernels_along_target",
        "y.H y / |y|^2 of every hidden layer, where there are several; NaN where a level does not give it",
        _layers_along,
        needs=("hidden_kernels",),
        series=lambda s, m: s["layers_along"],
        dimensions=("layer",),
        optional=True,
    ),
)

BY_NAME = {observable.name: observable for observable in OBSERVABLES}
COMPARED = tuple(observable for observable in OBSERVABLES if observable.compared)
SCALARS = tuple(observable for observable in OBSERVABLES if not observable.dimensions)


def of_outputs(observables: Iterable[Observable], several: bool) -> list[Observable]:
    """Return those observables that there are of several outputs, or of one."""
    return [item for item in observables if item.several in (None, several)]
