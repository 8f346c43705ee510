"""What the theory takes, for schedulers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msat.levels import LEVELS
from msat.theory.kept import kept, parsed
from msat.theory.several.points import POINTS, SCRAMBLES

_OF_DRAWS = 1000


def pairs(
    activation: str, matrices: Iterable[str | float] | None, levels: Sequence[str], scales: Iterable[str], n_train: int
) -> int:
    """Return the number of pairs of level and scale whose matrices a theory job holds, from its options.

    Those that its result keeps; of sampled networks, whose matrices are no factors, all of them beside.
    """
    choice, values = None if matrices is None else parsed(matrices), [float(scale) for scale in scales]
    held = 0 if activation == "linear" else len(levels) * len(values)
    return held + kept(choice, levels, values, n_train).pairs


def theory_mb(
    n_train: int,
    n_test: int,
    dimension: int,
    n_outputs: int,
    pairs: int,
    depth: int = 1,
    levels: Sequence[str] = (),
    activation: str = "linear",
) -> int:
    """Return the memory of a theory job in MB.

    Of each pair of `pairs` two P m by P m matrices are held, beside those of the data and of one level, in float64;
    with several hidden layers also one of each. Of several outputs the exact level holds two more for each of its
    scrambles, and some, and arrays over points, samples and outputs. Levels that draw neurons hold what counts as so
    many matrices more, by their measured peaks.
    """
    layers, labels = depth if depth > 1 else 0, n_train * n_outputs
    matrices = ((2 + layers) * pairs + 8 + 2 * layers) * labels**2
    if n_outputs > 1 and any(LEVELS[name].exact for name in levels):
        matrices += (2 * SCRAMBLES + 4) * labels**2 + 8 * POINTS * labels
    if activation != "linear" and any(LEVELS[name].method == "action" for name in levels):
        matrices += _OF_DRAWS * labels**2
    return 400 + int(8e-6 * (matrices + 4 * n_train * n_test + 2 * (n_train + n_test) * dimension))
