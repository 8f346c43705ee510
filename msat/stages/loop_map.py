"""Where the self-consistent one_loop exists, and how far levels are from the exact solution (linear networks)."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from msat.network import Network
from msat.observables.functions import discrepancy
from msat.tasks.ising import ising
from msat.theory.anneal import anneal

LEVELS = ("tree_level", "one_loop", "laplace")


def loop_map(
    network: Network,
    widths: Sequence[int],
    n_train: Sequence[int],
    gamma: Sequence[float],
    dimension: int,
    delta_p: float,
    seed: int,
) -> pd.DataFrame:
    """Return one row for each width, number of samples, scale and level, on the Ising task.

    Columns: width, n_train, gamma, chi, level, converged, loop_strength (how far one_loop could be followed, 1 is
    the whole way), relative_error (of the train discrepancy against exact; NaN where the level has no solution).

    Parameters
    ----------
    network
        A linear network; its width and chi are replaced.
    widths, n_train, gamma
        The grid; ``chi = N^gamma``.
    dimension, delta_p, seed
        Of the Ising data.
    """
    rows = []
    for samples in n_train:
        task = ising(n_train=samples, n_test=0, dimension=dimension, delta_p=delta_p, seed=seed)
        for width in widths:
            scales = [float(width) ** exponent for exponent in gamma]
            at = Network(width, network.activation, network.g_w, network.g_v, network.kappa_0)
            solved = {
                (index, level): prediction
                for index, level, prediction in anneal(
                    task.x_train, task.y_train, task.x_test, at, scales, [*LEVELS, "exact"]
                )
            }
            for index, exponent in enumerate(gamma):
                exact = discrepancy(task.y_train, solved[index, "exact"].mean_train)
                for level in LEVELS:
                    prediction = solved[index, level]
                    rows.append(
                        {
                            "width": width,
                            "n_train": samples,
                            "gamma": exponent,
                            "chi": scales[index],
                            "level": level,
                            "converged": prediction.converged,
                            "loop_strength": prediction.loop_strength,
                            "relative_error": discrepancy(task.y_train, prediction.mean_train) / exact - 1,
                        }
                    )
    return pd.DataFrame(rows)
