"""Seeded problems whose kernel is diagonal by construction: X = U diag(s) V^T with known factors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msat.network import Network
from msat.tasks.base import Task
from msat.types import Array

COUNT = 3000
SPECTRA = ("smooth", "clustered", "deficient", "collinear", "scaled", "one")
LABELS = ("any", "inside", "outside", "weakest", "strongest")


@dataclass(frozen=True)
class Problem:
    """One problem: data and network, and the factors from which the data were made.

    Attributes:
        index, extreme, spectrum, labels: Which it is, and of what kind.
        s: Singular values of the inputs, descending, (r,).
        U: Their left vectors, (P, r).
        along: Labels along these, (r,).
        outside: Length of the labels outside the row space.
        test: Components of the test point along the right vectors, (r,), and its length outside the row space.
    """

    index: int
    extreme: bool
    spectrum: str
    labels: str
    task: Task
    network: Network
    s: Array
    U: Array
    along: Array
    outside: float
    test: Array
    test_outside: float


def problem(index: int) -> Problem:
    """Return the problem with a number; two of five are of moderate size."""
    rng = np.random.default_rng([12, index])
    extreme = index % 5 >= 2
    spectrum = SPECTRA[index % len(SPECTRA)]
    labels = LABELS[(index // len(SPECTRA)) % len(LABELS)]

    def spread(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def whole(low: int, high: int) -> int:
        return min(high, max(low, round(spread(low, high))))

    if extreme:
        N, P, D, size = whole(1, 2000), whole(1, 300), whole(1, 400), spread(1e-6, 1e6)
        chi, kappa_0, g_w, g_v = spread(1e-3, 1e6), spread(1e-8, 1e8), spread(1e-4, 1e4), spread(1e-4, 1e4)
    else:
        N, P, D, size = whole(10, 1000), whole(2, 100), whole(2, 200), spread(1e-2, 1e2)
        chi, kappa_0, g_w, g_v = spread(0.1, 1e3), spread(1e-3, 1e3), spread(0.01, 100), spread(0.01, 100)
    full = min(P, D)
    r = 1 if spectrum == "one" else rng.integers(1, full + 1) if spectrum == "deficient" else full
    s = np.sqrt(D) * _singular(rng, spectrum, int(r), extreme) * spread(0.1, 10)
    U = np.linalg.qr(rng.normal(size=(P, min(P, r + 1))))[0]
    V = np.linalg.qr(rng.normal(size=(D, min(D, r + 1))))[0]
    along, outside = rng.normal(size=r), 0.0
    if labels == "weakest":
        along = 1e-8 * along
        along[-1] = 1.0
    elif labels == "strongest":
        along = np.eye(1, r)[0]
    if r < P:
        outside = abs(float(rng.normal())) if labels in ("any", "outside") else 0.0
        along = 0 * along if labels == "outside" else along
    along, outside = (np.sqrt(P) * size / np.hypot(np.linalg.norm(along), outside) * part for part in (along, outside))
    y = U[:, :r] @ along + (U[:, r] * outside if r < P else 0.0)
    test = rng.normal(size=r) * s / np.sqrt(P)
    test_outside = s[0] / np.sqrt(P) * abs(float(rng.normal())) if r < D else 0.0
    x_test = V[:, :r] @ test + (V[:, r] * test_outside if r < D else 0.0)
    x = (U[:, :r] * s) @ V[:, :r].T
    task = Task(x_train=x, y_train=y, x_test=x_test[None], y_test=np.array([size]))
    network = Network(width=N, g_w=g_w, g_v=g_v, kappa_0=kappa_0, chi=chi)
    return Problem(
        *(index, extreme, spectrum, labels, task, network, s, U[:, :r], along, float(outside), test, test_outside)
    )


def _singular(rng: np.random.Generator, spectrum: str, r: int, extreme: bool) -> Array:
    """Return singular values, descending, of order 1 but for those that are to be small."""
    if spectrum == "clustered":
        centres = np.exp(rng.uniform(-3, 1, size=3))
        s = rng.choice(centres, r) * (1 + 1e-9 * rng.normal(size=r))
    elif spectrum == "collinear":
        s = np.exp(rng.uniform(np.log(1e-9 if extreme else 1e-4), 0)) * rng.uniform(0.5, 1, r)
        s[0] = 1.0
    elif spectrum == "scaled":
        s = 10 ** rng.uniform(-12 if extreme else -4, 0, r)
    else:
        s = rng.uniform(0.3, 2, r)
    return np.sort(s)[::-1]
