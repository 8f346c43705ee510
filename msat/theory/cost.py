"""What the theory takes, for schedulers."""

from __future__ import annotations


def theory_mb(n_train: int, n_test: int, levels: int, scales: int) -> int:
    """Return the memory of a theory job in MB: two P by P matrices a level and scale are held, in float64."""
    matrices = (2 * levels * scales + 8) * n_train**2
    return 400 + int(8e-6 * (matrices + 4 * n_train * n_test))
