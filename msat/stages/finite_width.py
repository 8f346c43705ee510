"""How the levels' errors fall with the width: the train discrepancy against exact (linear networks, Ising task).

Two ways to make a network wider: at a fixed number of samples P, or at a fixed ratio P/N. At fixed P the loop
expansion is one in 1/N: the tree level is off by 1/N, one loop about it by 1/N^2. At fixed P/N every sample adds
to the loop as every neuron adds to the action, and the tree level's error does not fall (docs/theory.md,
section 11).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from msat.network import Network
from msat.observables.functions import discrepancy
from msat.tasks.ising import ising
from msat.theory.anneal import anneal

LEVELS = ("nngp", "rescaling", "tree_level", "one_loop", "laplace")
REGIMES = ("fixed_samples", "fixed_ratio")

# powers of N that follow from the loop expansion, by regime and gamma; others have no simple law
_POWERS = {
    ("fixed_samples", 0.0): {"nngp": -1, "rescaling": -1, "tree_level": -1, "one_loop": -2, "laplace": -2},
    ("fixed_samples", 1.0): {"nngp": 0, "rescaling": -1, "tree_level": -1, "one_loop": -2, "laplace": -2},
    ("fixed_ratio", 0.0): {"tree_level": 0},
}


def finite_width(
    network: Network,
    widths: Sequence[int],
    n_train: int,
    samples_per_neuron: float,
    inputs_per_sample: float,
    gamma: Sequence[float],
    delta_p: float,
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Return one row for each regime, width, scale, level and seed, on the Ising task.

    Columns: regime (fixed_samples or fixed_ratio), width, n_train, dimension, gamma, chi, level, seed, converged,
    relative_error (of the train discrepancy against exact; NaN where the level has no solution), and, the same in
    all rows of one line, predicted_slope (power of N; NaN: none) and slope (fitted to the mean size of the error
    over the upper half of the widths; NaN where a solution is missing).

    Parameters
    ----------
    network
        A linear network; its width and chi are replaced.
    widths
        N of both regimes.
    n_train
        P at fixed P.
    samples_per_neuron
        P/N at fixed ratio; P is rounded.
    inputs_per_sample
        D/P in both regimes; D is rounded.
    gamma
        Scales, ``chi = N^gamma``.
    delta_p, seeds
        Of the Ising data.
    """
    rows = []
    for regime in REGIMES:
        for width in widths:
            samples = n_train if regime == "fixed_samples" else max(1, round(samples_per_neuron * width))
            dimension = max(1, round(inputs_per_sample * samples))
            at = Network(width, network.activation, network.g_w, network.g_v, network.kappa_0)
            scales = [float(width) ** exponent for exponent in gamma]
            for seed in seeds:
                task = ising(n_train=samples, n_test=0, dimension=dimension, delta_p=delta_p, seed=seed)
                solved = {
                    (index, level): prediction
                    for index, level, prediction in anneal(
                        task.x_train, task.y_train, task.x_test, at, scales, [*LEVELS, "exact"]
                    )
                }
                for index, exponent in enumerate(gamma):
                    exact = discrepancy(task.y_train, solved[index, "exact"].mean_train)
                    rows += [
                        {
                            "regime": regime,
                            "width": width,
                            "n_train": samples,
                            "dimension": dimension,
                            "gamma": exponent,
                            "chi": scales[index],
                            "level": level,
                            "seed": seed,
                            "converged": solved[index, level].converged,
                            "relative_error": discrepancy(task.y_train, solved[index, level].mean_train) / exact
                            - 1,
                            "predicted_slope": _POWERS.get((regime, float(exponent)), {}).get(level, np.nan),
                        }
                        for level in LEVELS
                    ]
    table = pd.DataFrame(rows)
    lines = [
        group.assign(slope=_slope(group)) for _, group in table.groupby(["regime", "gamma", "level"], sort=False)
    ]
    return pd.concat(lines, ignore_index=True)


def _slope(line: pd.DataFrame) -> float:
    """Return the power of N of the mean size of the error over seeds, over the upper half of the widths."""
    size = line["relative_error"].abs().groupby(line["width"]).agg(lambda values: values.mean(skipna=False))
    size = size.iloc[len(size) // 2 :]
    if len(size) < 2 or not np.all(size > 0):
        return float("nan")
    return float(np.polyfit(np.log(size.index.to_numpy(dtype=np.float64)), np.log(size.to_numpy()), 1)[0])
