"""What the theory takes, for schedulers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msat.theory.kept import kept, parsed


def pairs(matrices: Iterable[str | float] | None, levels: Sequence[str], scales: Iterable[str], n_train: int) -> int:
    """Return the number of pairs of level and scale whose matrices a theory job keeps, from its options."""
    choice = None if matrices is None else parsed(matrices)
    return kept(choice, levels, [float(scale) for scale in scales], n_train).pairs


def theory_mb(n_train: int, n_test: int, dimension: int, pairs: int) -> int:
    """Return the memory of a theory job in MB.

    Two P by P matrices are held of every pair of level and scale that the result keeps, beside those of the data and
    of one level, in float64.
    """
    matrices = (2 * pairs + 8) * n_train**2
    return 400 + int(8e-6 * (matrices + 4 * n_train * n_test + 2 * (n_train + n_test) * dimension))
