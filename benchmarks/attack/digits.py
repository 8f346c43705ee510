"""Constants and functions to a hundred digits that `decimal` does not have."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, getcontext
from fractions import Fraction

DIGITS = 100
D = Decimal
ZERO, ONE, TWO, HALF = D(0), D(1), D(2), D("0.5")


def set_digits() -> None:
    """Make `decimal` count with `DIGITS` digits."""
    getcontext().prec = DIGITS


def _pi() -> Decimal:
    """Return pi by Machin's formula, in whole numbers."""
    one = 10 ** (DIGITS + 10)

    def arctan(inverse: int) -> int:
        power = total = one // inverse
        n, sign = 3, -1
        while power:
            power //= inverse * inverse
            total, n, sign = total + sign * (power // n), n + 2, -sign
        return total

    return D(4 * (4 * arctan(5) - arctan(239))) / D(one)


set_digits()
PI = _pi()


def log_gamma_half(n: int) -> Decimal:
    """Return ``ln Gamma(n/2)`` of a whole number n >= 1, which is exact but for the logarithm."""
    product = Fraction(1)
    k = Fraction(n, 2)
    while k > 1:
        k -= 1
        product *= k
    value = (D(product.numerator) / D(product.denominator)).ln()
    return value + (PI.ln() * HALF if n % 2 else ZERO)


def solved(A: Sequence[Sequence[Decimal]], b: Sequence[Decimal]) -> tuple[list[Decimal], Decimal]:
    """Return the solution of a few equations by Gauss's elimination with pivots, and the determinant."""
    n, rows, determinant = len(b), [[*row, x] for row, x in zip(A, b, strict=True)], ONE
    for i in range(n):
        pivot = max(range(i, n), key=lambda j: abs(rows[j][i]))
        if rows[pivot][i] == 0:
            return [ZERO] * n, ZERO
        if pivot != i:
            rows[i], rows[pivot], determinant = rows[pivot], rows[i], -determinant
        determinant *= rows[i][i]
        for j in range(i + 1, n):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * c for a, c in zip(rows[j], rows[i], strict=True)]
    x = [ZERO] * n
    for i in reversed(range(n)):
        x[i] = (rows[i][n] - sum((rows[i][j] * x[j] for j in range(i + 1, n)), ZERO)) / rows[i][i]
    return x, determinant
