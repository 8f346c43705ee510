"""Every level of a linear network in a hundred digits, from the defining equations of docs/theory.md, section 3.

Nothing of the package is used. The kernel is diagonal: eigenvalues lam, labels y and the test point b along them, and
n0 directions without kernel in which the labels have the length y0. What is a derivative of the log evidence is taken
as a difference quotient, which is exact to forty digits here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from benchmarks.attack.digits import HALF, ONE, PI, TWO, ZERO, D, log_gamma_half

STEP = D("1e-24")
Numbers = tuple[Decimal, ...]
Answer = dict[str, Decimal | list[Decimal]]


@dataclass(frozen=True)
class Diagonal:
    """A problem in the basis in which its kernel is diagonal."""

    lam: Numbers
    y: Numbers
    b: Numbers
    y0: Decimal
    n0: int
    N: int
    g: Decimal
    kappa: Decimal
    residual: Decimal  # of the test point's prior variance, outside the row space

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.lam) + self.n0

    def dot(self, u: Numbers, v: Numbers) -> Decimal:
        """Return the product of two vectors."""
        return sum((a * c for a, c in zip(u, v, strict=True)), ZERO)

    @property
    def squared(self) -> Decimal:
        """``|y|^2``."""
        return self.dot(self.y, self.y) + self.y0**2


def observables(p: Diagonal, y_delta: Decimal, y_cov: Decimal) -> Answer:
    """Return what follows from ``y.Delta`` and ``y.Cov y``."""
    P, kappa = D(p.samples), p.kappa
    return {
        "train_discrepancy": y_delta / P,
        "evidence_slope": P / TWO * (ONE - y_delta / P / kappa),
        "evidence_bend": ((y_cov - kappa * p.squared) / kappa**2 - y_delta / kappa) / 4,
        "variance_along_target": y_cov / p.squared,
    }


def gaussian(p: Diagonal, s: Decimal) -> Answer:
    """Return the Gaussian process of kernel s C; what is common to nngp and rescaling."""
    d = tuple(s * x + p.kappa for x in p.lam)
    mean = [s * x * y / e for x, y, e in zip(p.lam, p.y, d, strict=True)]
    delta = sum((p.kappa * y * y / e for y, e in zip(p.y, d, strict=True)), p.y0**2)
    cov = sum((p.kappa * s * x * y * y / e for x, y, e in zip(p.lam, p.y, d, strict=True)), ZERO)
    variance = sum((p.kappa * s * x * b * b / e for x, b, e in zip(p.lam, p.b, d, strict=True)), ZERO)
    return {
        **observables(p, delta, cov),
        "mean_train": mean,
        "mean_test": p.dot(p.b, tuple(mean)),
        "variance_test": variance + s * p.residual,
        "readout_norm": s,
    }


def log_normal(p: Diagonal, s: Decimal) -> Decimal:
    """Return ``ln N(y; 0, s C + kappa)``."""
    product, fit = p.kappa**p.n0, p.y0**2 / p.kappa
    for x, y in zip(p.lam, p.y, strict=True):
        d = s * x + p.kappa
        product *= d
        fit += y * y / d
    return -HALF * (product.ln() + fit + p.samples * (TWO * PI).ln())


def nngp(p: Diagonal) -> Answer:
    """Return the level `nngp`."""
    return {**gaussian(p, p.g), "log_evidence": log_normal(p, p.g), "hidden_kernel_top": p.lam[0]}


def slope(p: Diagonal, s: Decimal) -> tuple[Decimal, Decimal]:
    """Return first and second derivative in t = ln s of the exponent of eq. (4)."""
    first, second = p.N * (ONE - s / p.g), -p.N * s / p.g
    for x, y in zip(p.lam, p.y, strict=True):
        u = s * x / (s * x + p.kappa)
        signal = y * y * u * (ONE - u) / p.kappa
        first += signal - u
        second += signal * (ONE - TWO * u) - u * (ONE - u)
    return first * HALF, second * HALF


def exponent(p: Diagonal, t: Decimal) -> Decimal:
    """Return the integrand's logarithm in eq. (4), with all constants."""
    s, half = t.exp(), D(p.N) / TWO
    return half * (half / p.g).ln() - log_gamma_half(p.N) + half * (t - s / p.g) + log_normal(p, s)


def modes(p: Diagonal) -> list[Decimal]:
    """Return t of all maxima of the exponent, the highest first."""
    lam, y = (np.array([float(x) for x in v]) for v in (p.lam, p.y))
    g, kappa = float(p.g), float(p.kappa)
    signal = float(np.sum(y**2)) / (4 * kappa)
    low = np.log(g) + np.log(min(1.0, p.N / (2.0 * (len(lam) + 1)))) - 3
    low = min(low, np.log(p.N * kappa / (4 * max(lam.sum(), 1e-300))) - 3) if len(lam) >= p.N else low
    high = np.log(g) + np.log1p(signal / p.N) + 1
    grid = np.linspace(low, high, max(400, int(30 * (high - low))))
    rest = kappa / (np.exp(grid)[:, None] * lam + kappa)  # 1 - u, which rounding leaves nothing of
    rate = p.N * (1 - np.exp(grid - np.log(g))) + ((1 - rest) * (y**2 / kappa * rest - 1)).sum(axis=1)
    found = []
    for i in np.flatnonzero((rate[:-1] > 0) & (rate[1:] <= 0)):
        a, c, t = D(float(grid[i])), D(float(grid[i + 1])), D(float(grid[i]) / 2 + float(grid[i + 1]) / 2)
        for _ in range(100):
            first, second = slope(p, t.exp())
            a, c = (t, c) if first > 0 else (a, t)
            new = t - first / second if second else a
            new = new if a < new < c else (a + c) / 2
            if abs(new - t) < D("1e-60"):
                break
            t = new
        found.append(t)
    return sorted(found, key=lambda t: -exponent(p, t))


def rescaling(p: Diagonal) -> Answer:
    """Return the level `rescaling`."""
    t = modes(p)[0]
    s, (_, second) = t.exp(), slope(p, t.exp())
    d = s * p.lam[0] + p.kappa
    top = p.lam[0] + s / p.N * p.lam[0] ** 2 * ((p.y[0] / d) ** 2 - ONE / d)
    evidence = exponent(p, t) + HALF * (TWO * PI / -second).ln()
    return {**gaussian(p, s), "log_evidence": evidence, "hidden_kernel_top": top}


def exact(p: Diagonal) -> Answer:
    """Return the level `exact`: the trapezoid rule about every maximum, doubled until nothing changes."""
    top = exponent(p, (found := modes(p))[0])
    pieces: list[tuple[Decimal, Decimal]] = []
    for t in found:
        if exponent(p, t) < top - 50:
            continue
        width = (ONE / -slope(p, t.exp())[1]).sqrt()
        ends = []
        for sign in (-1, 1):
            step = width * 10
            while exponent(p, t + sign * step) > top - 50:
                step *= D("1.5")
            ends.append(t + sign * step)
        pieces.append((ends[0], ends[1]))
    pieces.sort()
    joined = [pieces[0]]
    for low, high in pieces[1:]:
        if low <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        else:
            joined.append((low, high))
    sums = [_integrated(p, top, low, high) for low, high in joined]
    total = [sum(column, ZERO) for column in zip(*sums, strict=True)]
    weight, E = total[0], [x / total[0] for x in total[1:9]]  # in the order of `_integrated`
    y_cov = p.kappa * E[2] + E[3] - (p.squared - p.kappa * E[1]) ** 2
    return {
        **observables(p, p.kappa * E[1], y_cov),
        "mean_train": [x / weight for x in total[9:]],
        "mean_test": E[4],
        "variance_test": p.kappa * E[6] + E[5] - E[4] ** 2 + E[0] * p.residual,
        "readout_norm": E[0],
        "log_evidence": top + weight.ln(),
        "hidden_kernel_top": p.lam[0] + E[7] / p.N,
    }


def _integrated(p: Diagonal, top: Decimal, low: Decimal, high: Decimal) -> list[Decimal]:
    """Return sums of 1, s, y.Ay, y.(s C A) y, (y.mean)^2, test mean, its square, b.(s C A) b, H and mean."""
    n, previous = 32, None
    total = _nodes(p, top, [low + (high - low) * i / n for i in range(1, n)])
    while True:
        current = [x * (high - low) / n for x in total]
        # the trapezoid's error is that of the old sum; that of the new one is its square
        if previous is not None and all(
            abs(a - c) <= D("1e-9") * max(abs(a), abs(c)) for a, c in zip(previous[:6], current[:6], strict=True)
        ):
            return current
        more = _nodes(p, top, [low + (high - low) * (2 * i + 1) / (2 * n) for i in range(n)])
        total, previous, n = [a + c for a, c in zip(total, more, strict=True)], current, 2 * n


def _nodes(p: Diagonal, top: Decimal, points: list[Decimal]) -> list[Decimal]:
    half = D(p.N) / TWO
    constant = half * (half / p.g).ln() - log_gamma_half(p.N) - HALF * p.samples * (TWO * PI).ln() - top
    total = [ZERO] * (9 + len(p.lam))
    for t in points:
        s = t.exp()
        product, fit, cov, test, test_cov = p.kappa**p.n0, p.y0**2 / p.kappa, ZERO, ZERO, ZERO
        mean, field0 = [], ZERO
        for k, (x, y, b) in enumerate(zip(p.lam, p.y, p.b, strict=True)):
            sx = s * x
            d = sx + p.kappa
            product *= d
            u, yd = sx / d, y / d
            fit += y * yd
            m = u * y
            cov += m * y
            test += b * m
            test_cov += b * b * u
            mean.append(m)
            if k == 0:
                field0 = s * x * x * (yd * yd - ONE / d)
        weight = (constant + half * (t - s / p.g) - HALF * (product.ln() + fit)).exp()
        y_mean = p.squared - p.kappa * fit
        values = (ONE, s, fit, cov, y_mean**2, test, test * test, test_cov, field0, *mean)
        total = [a + weight * v for a, v in zip(total, values, strict=True)]
    return total


def tree_gain(p: Diagonal, start: Decimal = ONE) -> Decimal:
    """Return Q: the root of ``1 - 1/Q - (g/N) sum lam y^2/(Q g lam + kappa)^2``, which rises and is concave."""

    def at(Q: Decimal) -> tuple[Decimal, Decimal]:
        value, rate = ONE - ONE / Q, ONE / (Q * Q)
        for x, y in zip(p.lam, p.y, strict=True):
            d = Q * p.g * x + p.kappa
            term = p.g / p.N * x * y * y / (d * d)
            value, rate = value - term, rate + TWO * term * p.g * x / d
        return value, rate

    low, high = ONE, max(start, ONE) * 2
    while at(high)[0] < 0:
        low, high = high, high * high
    Q = start if low < start < high else low
    for _ in range(400):
        value, rate = at(Q)
        low, high = (Q, high) if value < 0 else (low, Q)
        new = Q - value / rate
        if not low <= new <= high:
            new = (low * high).sqrt()
        if abs(new - Q) <= D("1e-90") * Q:
            return new
        Q = new
    return Q


def tree_level(p: Diagonal) -> Answer:
    """Return the tree level: ``y = kappa ft + W'``, and its response to the labels."""
    Q = tree_gain(p)
    d = tuple(Q * p.g * x + p.kappa for x in p.lam)
    ft = tuple(y / e for y, e in zip(p.y, d, strict=True))
    v = tuple(x * f for x, f in zip(p.lam, ft, strict=True))
    w = tuple(x / e for x, e in zip(v, d, strict=True))
    beta = TWO * Q**2 * p.g**2 / p.N
    core = beta / (ONE + beta * p.dot(v, w))
    mean = [Q * p.g * x for x in v]

    def spread(u: Numbers) -> Decimal:
        plain = sum((p.kappa * Q * p.g * x * a * a / e for x, a, e in zip(p.lam, u, d, strict=True)), ZERO)
        return plain + p.kappa**2 * core * p.dot(u, w) ** 2

    field = p.dot(ft, ft) + (p.y0 / p.kappa) ** 2
    y_ft = p.dot(p.y, ft) + p.y0**2 / p.kappa
    return {
        **observables(p, p.kappa * y_ft, spread(p.y)),
        "mean_train": mean,
        "mean_test": p.dot(p.b, tuple(mean)),
        "variance_test": spread(p.b) + p.g * Q * p.residual,
        "readout_norm": p.g * Q,
        "action": -y_ft + p.kappa / 2 * field + D(p.N) / 2 * Q.ln(),
        "hidden_kernel_top": p.lam[0] + p.g * Q / p.N * v[0] ** 2,
    }


def by_differences(p: Diagonal, log_evidence: Callable[[Diagonal], Decimal], mean: list[Decimal]) -> Answer:
    """Return the observables of a level whose log evidence is a function of the problem."""
    h, at = STEP, log_evidence(p)

    def both(change: Callable[[Decimal], Diagonal]) -> tuple[Decimal, Decimal]:
        up, down = log_evidence(change(h)), log_evidence(change(-h))
        return (up - down) / (2 * h), (up - 2 * at + down) / h**2

    y1, y2 = both(lambda e: replace(p, y=tuple(y * (ONE + e) for y in p.y), y0=p.y0 * (ONE + e)))
    size = max((abs(x) for x in p.b), default=ONE) or ONE
    scale = p.squared.sqrt() / size
    b1, b2 = both(lambda e: replace(p, y=tuple(y + e * scale * b for y, b in zip(p.y, p.b, strict=True))))
    g1, _ = both(lambda e: replace(p, g=p.g * (ONE + e)))
    k1, _ = both(lambda e: replace(p, lam=(p.lam[0] * (ONE + e), *p.lam[1:])))
    norm = p.g * (ONE + TWO / p.N * g1)
    b_squared = p.dot(p.b, p.b)
    test = p.kappa * b_squared + p.kappa**2 * b2 / scale**2
    return {
        **observables(p, -p.kappa * y1, p.kappa * p.squared + p.kappa**2 * y2),
        "mean_train": mean,
        "mean_test": p.dot(p.b, p.y) + p.kappa * b1 / scale,
        "variance_test": test + norm * p.residual,
        "readout_norm": norm,
        "log_evidence": at,
        "hidden_kernel_top": p.lam[0] * (ONE + TWO / p.N * k1),
    }


def laplace(p: Diagonal) -> Answer:
    """Return the level `laplace`: one loop about the tree level, S there by the maximum (A1) over Q."""
    guess = tree_gain(p)

    def log_evidence(q: Diagonal) -> Decimal:
        Q = tree_gain(q, guess)
        product, total, edge = q.kappa**q.n0, ZERO, ZERO
        fit = q.y0**2 / q.kappa
        for x, y in zip(q.lam, q.y, strict=True):
            d = Q * q.g * x + q.kappa
            product *= d
            ft = y / d
            fit += y * ft
            edge += x * ft * ft
            total += (x * ft) ** 2 / d
        S = -HALF * fit + D(q.N) / TWO * (Q.ln() - Q + ONE)
        loop = HALF * (product.ln() + (ONE + TWO * Q**2 * q.g**2 / q.N * total).ln())
        return S - loop - HALF * q.samples * (TWO * PI).ln()

    return by_differences(p, log_evidence, _laplace_mean(p, guess))


def _laplace_mean(p: Diagonal, Q: Decimal) -> list[Decimal]:
    """Return ``y + kappa d ln p / dy`` along each eigenvector; ln p as a function of (Q, y), and dQ/dy."""
    g, N = p.g, D(p.N)
    d = [Q * g * x + p.kappa for x in p.lam]
    A = TWO * g**2 / N
    s = sum(((x * y) ** 2 / e**3 for x, y, e in zip(p.lam, p.y, d, strict=True)), ZERO)
    s_Q = sum((-3 * (x * y) ** 2 * g * x / e**4 for x, y, e in zip(p.lam, p.y, d, strict=True)), ZERO)
    t = ONE + A * Q**2 * s
    F_Q = HALF * (sum((g * x / e for x, e in zip(p.lam, d, strict=True)), ZERO) + A * (TWO * Q * s + Q**2 * s_Q) / t)
    R_Q = ONE / Q**2 + sum(
        (TWO * g / N * x * y * y * g * x / e**3 for x, y, e in zip(p.lam, p.y, d, strict=True)), ZERO
    )
    mean = []
    for x, y, e in zip(p.lam, p.y, d, strict=True):
        Q_y = TWO * g / N * x * y / e**2 / R_Q
        F_y = HALF * A * Q**2 * TWO * x * x * y / e**3 / t
        mean.append(Q * g * x * y / e - p.kappa * (F_y + F_Q * Q_y))
    return mean
