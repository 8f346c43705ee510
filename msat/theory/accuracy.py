"""How well data in float64 fix what a linear network predicts (docs/theory.md, section 3a)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from msat.geometry import Geometry
from msat.theory.action import joined
from msat.types import Array

if TYPE_CHECKING:
    from msat.theory.linear.action import LinearAction

TOLERANCE = 1e-6  # largest change of an answer by rounding of the data, relative
_FLOOR = 1e-7  # of its natural size, below which a number counts as if it had that size
_EPS = 4 * float(np.finfo(np.float64).eps)  # times the root of the number of entries: rounding of a decomposition


def believed(account: dict[str, Any], reason: str) -> dict[str, Any]:
    """Return the account of a solver, not converged where there is a reason."""
    if not reason:
        return account
    return {**account, "converged": False, "note": joined(account.get("note", ""), reason)}


def beyond_data(geometry: Geometry, kappa: float, s: float, field: Array, log_evidence: float = float("nan")) -> str:
    """Return why the data do not fix the answer to `TOLERANCE`; empty if they do.

    Inputs are known to ``dX`` of length e s_max, labels to ``dy`` of length e |y|. In units where ``C = X X^T``, with
    ``A = (s C + kappa)^-1``, ``ft = A y``, ``M = 1 - s X^T A X`` and ``theta = s X^T ft``, to first order

        d(y.ft) = 2 ft.dy - 2 theta.(dX^T ft)         d(y.Cov y) = kappa^2 times the second, and 2 kappa <f>.dy
        d ln det A^-1 = 2 s tr(A X dX^T)              d(x.M x) = 2 (M x).(dx - s dX^T A X x)
        d(x.theta) = s (M x).(dX^T ft) + s (A X x).(dy - dX theta) + dx.theta

    for a test point x, whose mean is x.theta and variance s x.M x; all bounded by lengths. What of ft lies outside the
    row space moves theta within it only, as long as the numerical rank stays. All levels are close to this Gaussian
    process of kernel s C.

    Args:
        s: Scale of the kernel.
        field: ft in the eigenbasis, (P,).
        log_evidence: NaN where there is none.
    """
    spectrum = geometry.spectrum
    lam, y = spectrum.lam, np.linalg.norm(spectrum.y)
    largest = float(lam.max(initial=0.0))
    if largest == 0 or y == 0:
        return ""
    e, d = _EPS * np.sqrt(max(geometry.x_train.shape)), s * lam + kappa
    top, ft, theta = np.sqrt(largest), np.linalg.norm(field), s * np.sqrt(float(lam @ field**2))
    mean = s * lam * field
    by_inputs = 2 * theta * e * top * ft
    y_ft = float(spectrum.y @ field)
    along = max(kappa * float(spectrum.y @ mean), _FLOOR * min(kappa, s * largest) * y**2)
    changes = {
        "the train discrepancy": (by_inputs + 2 * ft * e * y) / abs(y_ft),
        "the variance along the target": (kappa**2 * by_inputs + 2 * kappa * np.linalg.norm(mean) * e * y) / along,
    }
    if np.isfinite(log_evidence):
        change = s * e * top * np.sqrt(float(np.sum(lam / d**2))) + by_inputs / 2 + ft * e * y
        changes["the log evidence"] = change / max(1.0, abs(log_evidence))
    if spectrum.to_test is not None and len(spectrum.to_test):
        changes |= _of_tests(geometry, kappa, s, mean, field, theta, e)
    name = max(changes, key=lambda each: changes[each])
    if changes[name] <= TOLERANCE:
        return ""
    return f"outside the attainable accuracy: rounding of the data changes {name} by up to {changes[name]:.0e} of it"


def beyond_loop(action: LinearAction) -> str:
    """Return why a loop's closed form is lost in rounding; empty if it is not.

    ``1 + beta v.w``, by which the curvature along v exceeds that of a Gaussian process, is about 2 Q: products with G
    lose as many digits, in terms that are 1/N of the whole.
    """
    if _EPS * action.stiffness / action.network.width <= TOLERANCE:
        return ""
    return (
        f"outside the attainable accuracy: the kernel is rescaled {action.Q:.0e} times, and the loop lost in rounding"
    )


def _of_tests(
    geometry: Geometry, kappa: float, s: float, mean: Array, field: Array, theta: float, e: float
) -> dict[str, float]:
    """Return the relative changes of test means and variances, root mean squares over the test points.

    Args:
        mean, field: ``<f>`` and ft in the eigenbasis.
        theta: Its length.
    """
    spectrum = geometry.spectrum
    B, outside = spectrum.to_test, spectrum.test_residual
    assert B is not None
    assert outside is not None
    lam, size = spectrum.lam, np.sqrt(spectrum.test_variance)
    d, squares = s * lam + kappa, B**2
    # x.M x, |M x| and |A X x| of every test point
    whole = squares @ (lam * kappa / d) + outside
    inside = np.sqrt(squares @ (lam * (kappa / d) ** 2))
    shrunk = np.hypot(inside, np.sqrt(outside))
    reached = np.sqrt(squares @ (lam / d) ** 2)
    floor = _FLOOR * np.sqrt(squares @ (s * lam / d) ** 2) * np.linalg.norm(spectrum.y)  # of the largest mean
    top, y = np.sqrt(lam.max()), np.linalg.norm(spectrum.y)
    ft, reaching = np.linalg.norm(field), np.linalg.norm(field[lam > 0])
    moved = top * (ft * inside + reaching * np.sqrt(outside)) + (y + top * theta) * reached
    by_mean = e * np.linalg.norm(s * moved + theta * size)
    by_variance = 2 * e * np.linalg.norm(shrunk * (size + s * top * reached))
    means, variances = np.linalg.norm(np.abs(B) @ np.abs(mean) + floor), np.linalg.norm(whole)
    return {
        "test means": float(by_mean / means) if means > 0 else 0.0,
        "test variances": float(by_variance / variances) if variances > 0 else 0.0,
    }
