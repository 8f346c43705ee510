"""The level `one_loop` in a hundred digits: the root of three equations that is reached from the tree level.

The field is ``ft_k = y_k / D_k`` with D_k a function of Q, ``sum v^2/d`` and ``Q sum g lam v^2/d^2``, v = lam ft.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any, NamedTuple

import numpy as np

from benchmarks.attack.digits import HALF, ONE, PI, TWO, ZERO, D, solved
from benchmarks.attack.reference import Answer, Diagonal, by_differences, tree_gain
from msat.types import Array

PRECISE = D("1e-26")  # a last step of Newton's method
CHANGE = D("1e-26")  # relative, of what a Jacobian is taken by
ON_PATH = D("1e-9")  # a last step this short leaves its square


def one_loop(p: Diagonal) -> Answer | None:
    """Return the level `one_loop`; None if its root does not exist at every strength of the loop up to 1."""
    with localcontext() as context:
        context.prec = 50
        start = _path(p)
    if start is None:
        return None

    def log_evidence(q: Diagonal) -> Decimal:
        found = _root(q, ONE, start if start[1] else _point(q, _closed(q, ONE, start)[1]))
        assert found is not None
        _, (Q, s, _), D_k = found
        product, fit, square = q.kappa**q.n0, q.y0**2 / q.kappa, q.y0**2 / q.kappa**2
        for x, y, den in zip(q.lam, q.y, D_k, strict=True):
            product *= Q * q.g * x + q.kappa
            fit += y * y / den
            square += (y / den) ** 2
        loop = HALF * (product.ln() + (ONE + TWO * Q**2 * q.g**2 / q.N * s).ln())
        S = -fit + q.kappa / 2 * square + D(q.N) / 2 * Q.ln()
        return S - loop - HALF * q.samples * (TWO * PI).ln()

    found = _root(p, ONE, start)
    assert found is not None
    start = found[1]
    mean = [y * (den - p.kappa) / den for y, den in zip(p.y, found[2], strict=True)]
    return by_differences(p, log_evidence, mean)


class Arrays(NamedTuple):
    """A `Diagonal` in extended precision."""

    lam: Array
    y: Array
    N: int
    g: Any
    kappa: Any


Point = tuple[Decimal, Decimal, Decimal]  # Q, sum v^2/d, Q sum g lam v^2/d^2


def _tree_point(p: Diagonal) -> Point:
    """Return the three quantities at the tree level."""
    Q = tree_gain(p)
    return _point(p, [Q * p.g * x + p.kappa for x in p.lam])


def _point(p: Diagonal, D_k: list[Decimal]) -> Point:
    """Return the three quantities of the field ``y/D_k``."""
    v = [x * y / den for x, y, den in zip(p.lam, p.y, D_k, strict=True)]
    Q = ONE / (ONE - p.g / p.N * sum((a * y / den for a, y, den in zip(v, p.y, D_k, strict=True)), ZERO))
    d = [Q * p.g * x + p.kappa for x in p.lam]
    s = sum((a * a / e for a, e in zip(v, d, strict=True)), ZERO)
    return Q, s, sum((Q * p.g * x * (a / e) ** 2 for x, a, e in zip(p.lam, v, d, strict=True)), ZERO)


def _closed(p: Diagonal, eps: Decimal, at: Point) -> tuple[list[Decimal], list[Decimal]]:
    """Return residuals of the three quantities on which the field depends, and ``y/ft``."""
    Q, s, sigma = at
    g, N = p.g, D(p.N)
    a, beta = TWO * g * Q**2 / N, TWO * Q**2 * g**2 / N
    t = ONE + beta * s
    d = [Q * g * x + p.kappa for x in p.lam]
    F_Q = HALF * (sum((g * x / e for x, e in zip(p.lam, d, strict=True)), ZERO) + beta / Q * (2 * s - sigma) / t)
    D_k = [e - eps * (F_Q * a * x + beta * x * x / (e * t)) for x, e in zip(p.lam, d, strict=True)]
    edge = new_s = new_sigma = ZERO
    for x, y, e, den in zip(p.lam, p.y, d, D_k, strict=True):
        if den == 0:
            return [ONE] * 3, D_k
        v = x * y / den
        edge += v * y / den
        new_s += v * v / e
        new_sigma += Q * g * x * (v / e) ** 2
    # relative
    return [ONE / Q - ONE + g / N * edge, (new_s - s) * beta / t, (new_sigma - sigma) * beta / t], D_k


def _closed_fast(p: Arrays, eps: float, at: Array) -> tuple[Array, Array]:
    """Return the same in extended precision, for the way to a root."""
    Q, s, sigma = at
    a, beta = 2 * p.g * Q**2 / p.N, 2 * Q**2 * p.g**2 / p.N
    t, x = 1 + beta * s, Q * p.g * p.lam
    d = x + p.kappa
    F_Q = 0.5 * (np.sum(p.g * p.lam / d) + beta / Q * (2 * s - sigma) / t)
    D_k = d - eps * (F_Q * a * p.lam + beta * p.lam**2 / (d * t))
    ft = p.y / D_k
    v = p.lam * ft
    new = np.sum(v * v / d), np.sum(x * (v / d) ** 2)
    return np.array([1 / Q - 1 + p.g / p.N * (v @ ft), (new[0] - s) * beta / t, (new[1] - sigma) * beta / t]), D_k


def _root_fast(p: Arrays, eps: float, start: Array) -> tuple[Any, Array] | None:
    """Return determinant and root as `_root` does, to nine digits."""
    at = start
    for _ in range(14):
        r, _ = _closed_fast(p, eps, at)
        jacobian = np.array([(_closed_fast(p, eps, at * (1 + 1e-7 * e))[0] - r) / 1e-7 for e in np.eye(3)]).T
        step, determinant = _solved_fast(jacobian, -r)
        if determinant == 0 or not np.max(np.abs(step)) <= 0.5:
            return None
        at = at * (1 + step)
        if np.max(np.abs(step)) < 1e-9:
            D_k = _closed_fast(p, eps, at)[1]
            return (determinant, at) if np.all(D_k > 0) and at[0] >= 1 else None
    return None


def _solved_fast(A: Array, b: Array) -> tuple[Array, Any]:
    """Return the solution of three equations in extended precision, by Cramer's rule on scaled rows."""
    scale = np.max(np.abs(A), axis=1)
    if not np.all(scale > 0):
        return 0 * b, 0.0
    A, b = A / scale[:, None], b / scale
    crossed = np.array([np.cross(A[:, (i + 1) % 3], A[:, (i + 2) % 3]) for i in range(3)])
    determinant = A[:, 0] @ crossed[0]
    return (crossed @ b / determinant if determinant else 0 * b), determinant


def _root(
    p: Diagonal, eps: Decimal, start: Point, last: Decimal = PRECISE
) -> tuple[Decimal, Point, list[Decimal]] | None:
    """Return the Jacobian's determinant, the root near a point, and ``y/ft``; None if Newton's method ends."""
    at, size = start, None
    if all(y == 0 for y in p.y):
        return ONE, (ONE, ZERO, ZERO), _closed(p, eps, (ONE, ZERO, ZERO))[1]
    for _ in range(14):
        r, _ = _closed(p, eps, at)
        columns = []
        for i in range(3):
            moved = list(at)
            moved[i] *= ONE + CHANGE
            columns.append([(x - c) / CHANGE for x, c in zip(_closed(p, eps, (*moved,))[0], r, strict=True)])
        jacobian = [[columns[j][i] for j in range(3)] for i in range(3)]
        step, determinant = solved(jacobian, [-x for x in r])
        if determinant == 0 or max(abs(x) for x in step) > HALF:
            return None
        at = at[0] * (ONE + step[0]), at[1] * (ONE + step[1]), at[2] * (ONE + step[2])
        size = max(abs(x) for x in step)
        if size < last:
            _, D_k = _closed(p, eps, at)
            return (determinant, at, D_k) if all(x > 0 for x in D_k) and at[0] >= ONE else None
    return None


def _path(p: Diagonal) -> Point | None:
    """Return the root at eps = 1 that is reached from the tree level; None if the path ends."""
    point = _tree_point(p)
    if point[1] == 0:
        return point
    if len(p.lam) > 8 and point[0] < 1e4 and point[0] - 1 > D("1e-6"):
        wide = [np.array([np.longdouble(str(x)) for x in v]) for v in (p.lam, p.y, point)]
        fast = Arrays(wide[0], wide[1], p.N, *(np.longdouble(str(x)) for x in (p.g, p.kappa)))
        end = followed(lambda eps, at: _root_fast(fast, float(eps), np.array(at)), tuple(wide[2]), np.longdouble)
        return None if end is None else tuple(D(str(x)) for x in end)
    return followed(lambda eps, at: _root(p, eps, at, ON_PATH), point, D)


def followed(root: Callable[[Any, Any], Any], start: Any, number: Callable[[Any], Any]) -> Any:
    """Return the root at eps = 1 reached from that at 0 in steps near the secant; None if the path ends."""
    found = root(number(0), start)
    if found is None:
        return None
    eps, step, (sign, at), before = number(0), number("0.125"), found[:2], None
    while eps < 1:
        target = min(number(1), eps + step)
        guess = at
        if before is not None:  # along the secant, in logarithms
            ratio = (target - eps) / (eps - before[0])
            guess = tuple(x + ratio * (x - o) for x, o in zip(at, before[1], strict=True))
        new = root(target, guess)
        # a step that turns the path by more than a little may have left it
        if new is not None and sign * new[0] > 0 and _near(new[1], guess, at):
            before, eps, (sign, at) = (eps, at), target, new[:2]
            step = min(step * number("1.5"), number("0.25"))
            continue
        step /= 2
        if step < 2e-5:
            return None
    return at


def _near(new: Any, guess: Any, old: Any) -> bool:
    """Return whether a root is close to where it was foreseen: in 1 percent, or a fifth of the way."""
    return all(abs(a - b) <= max(abs(a) / 100, abs(a - c) / 5) for a, b, c in zip(new, guess, old, strict=True))
