"""What the theory takes, for schedulers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msat.theory.kept import kept, parsed


def pairs(
    activation: str, matrices: Iterable[str | float] | None, levels: Sequence[str], scales: Iterable[str], n_train: int
) -> int:
    """Return the number of pairs of level and scale whose matrices a theory job holds, from its options.

    Those that its result keeps; of sampled networks, whose matrices are no factors, all of them beside.
    """
    choice, values = None if matrices is None else parsed(matrices), [float(scale) for scale in scales]
    held = 0 if activation == "linear" else len(levels) * len(values)
    return held + kept(choice, levels, values, n_train).pairs


def theory_mb(n_train: int, n_test: int, dimension: int, n_outputs: int, pairs: int, depth: int = 1) -> int:
    """Return the memory of a theory job in MB.

    Of each pair of `pairs` two P m by P m matrices are held, beside those of the data and of one level, in float64;
    with several hidden layers also one of each.
    """
    layers = depth if depth > 1 else 0
    matrices = ((2 + layers) * pairs + 8 + 2 * layers) * (n_train * n_outputs) ** 2
    return 400 + int(8e-6 * (matrices + 4 * n_train * n_test + 2 * (n_train + n_test) * dimension))
