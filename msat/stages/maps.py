"""Stage `maps`: how far levels are from the exact solution over a grid of sizes (linear networks, Ising task).

`loop_map` shows where the self-consistent one loop exists; `finite_width` how errors fall with the width, at a fixed
number of samples P and at a fixed ratio P/N (docs/theory.md, section 11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from msat.levels import LAPLACE, LEVELS, NNGP, ONE_LOOP, RESCALING, TREE_LEVEL
from msat.network import Network, NetworkSettings
from msat.settings import Seed, Settings
from msat.tasks.ising import Settings as IsingSettings

if TYPE_CHECKING:  # settings are read by config and command line, which must start at once
    import pandas as pd

_ISING: Any = IsingSettings.model_fields
_NETWORK: Any = NetworkSettings.model_fields
Count = Annotated[int, Field(ge=1)]
Gamma = Annotated[float, Field(ge=-1, le=2)]


class MapSettings(Settings):
    """What both maps share: linear networks on the Ising task, theory only."""

    delta_p: float = _ISING["delta_p"]
    g_w: float = _NETWORK["g_w"]
    g_v: float = _NETWORK["g_v"]
    kappa_0: float = _NETWORK["kappa_0"]


class LoopMapSettings(MapSettings):
    """A map of where one_loop exists: linear networks on the Ising task, theory only."""

    widths: list[Count] = Field([10, 14, 20, 28, 40, 57, 80, 113, 160], min_length=1, description="Widths N.")
    n_train: list[Count] = Field([20, 40, 80], min_length=1, description="Numbers of samples P.")
    gamma: list[Gamma] = Field([0.0, 0.5, 1.0], min_length=1, description="Scales, chi = N^gamma.")
    dimension: int = Field(200, ge=1, description="Input dimension D.")
    seed: Seed = Field(0, description="Seed of the data.")


class FiniteWidthSettings(MapSettings):
    """How the levels' errors fall with the width: linear networks on the Ising task, theory only."""

    widths: list[Count] = Field([20, 28, 40, 57, 80, 113, 160, 226], min_length=2, description="Widths N.")
    n_train: int = Field(20, ge=1, description="Samples P of the panels at fixed P.")
    samples_per_neuron: float = Field(0.8, gt=0, lt=1e6, description="P/N of the panels at fixed ratio.")
    inputs_per_sample: float = Field(2.5, gt=0, lt=1e6, description="D/P.")
    gamma: list[Gamma] = Field([0.0, 1.0], min_length=1, description="Scales, chi = N^gamma.")
    seeds: list[Seed] = Field([0, 1, 2, 3, 4], min_length=1, description="Seeds of the data.")


LOOP_LEVELS = tuple(level.name for level in LEVELS.values() if level.method == "action")
WIDTH_LEVELS = tuple(level.name for level in LEVELS.values() if not level.exact)
REGIMES = ("fixed_samples", "fixed_ratio")

# powers of N that follow from the loop expansion, by regime and gamma; others have no simple law
_LOOPS = {RESCALING.name: -1, TREE_LEVEL.name: -1, ONE_LOOP.name: -2, LAPLACE.name: -2}
_POWERS = {
    ("fixed_samples", 0.0): {NNGP.name: -1, **_LOOPS},
    ("fixed_samples", 1.0): {NNGP.name: 0, **_LOOPS},
    ("fixed_ratio", 0.0): {TREE_LEVEL.name: 0},
}


def loop_map(settings: LoopMapSettings) -> pd.DataFrame:
    """Return the table `loop_map` (docs/formats.md): levels that expand about a conjugate field, against exact.

    ``loop_strength`` 1 is the whole way; ``relative_error`` is NaN where the level has no solution.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for n_train, width in product(settings.n_train, settings.widths):
        found = _against_exact(settings, LOOP_LEVELS, width, n_train, settings.dimension, settings.seed)
        rows += [{"width": width, "n_train": n_train, **row} for row in found]
    return pd.DataFrame(rows)


def finite_width(settings: FiniteWidthSettings) -> pd.DataFrame:
    """Return the table `finite_width` (docs/formats.md).

    The same in all rows of one line: ``predicted_slope`` (NaN: none), and ``slope``, NaN where a solution is missing.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for regime, width, seed in product(REGIMES, settings.widths, settings.seeds):
        ratio = max(1, round(settings.samples_per_neuron * width))
        n_train = settings.n_train if regime == "fixed_samples" else ratio
        dimension = max(1, round(settings.inputs_per_sample * n_train))
        place = {"regime": regime, "width": width, "n_train": n_train, "dimension": dimension, "seed": seed}
        for row in _against_exact(settings, WIDTH_LEVELS, width, n_train, dimension, seed):
            power = _POWERS.get((regime, float(row["gamma"])), {}).get(row["level"], float("nan"))
            rows.append({**place, **row, "predicted_slope": power})
    lines = pd.DataFrame(rows).groupby(["regime", "gamma", "level"], sort=False)
    return pd.concat([line.assign(slope=_slope(line)) for _, line in lines], ignore_index=True)


MAPS: dict[str, tuple[type[MapSettings], Callable[[Any], pd.DataFrame]]] = {
    "loop_map": (LoopMapSettings, loop_map),
    "finite_width": (FiniteWidthSettings, finite_width),
}


def run(name: str, settings: MapSettings, out: Path, made: Mapping[str, Any] | None = None) -> None:
    """Make the map of a name and write it into a folder, as CSV and parquet, with what it was made by."""
    from msat.store import check_writable
    from msat.tables.files import write_table

    check_writable(out / f"{name}.csv")
    write_table(MAPS[name][1](settings), out / name, {"key": settings.model_dump(), **(made or {})})


def _against_exact(
    settings: LoopMapSettings | FiniteWidthSettings,
    levels: Sequence[str],
    width: int,
    n_train: int,
    dimension: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Yield a row for each scale and level of one network on one data set, against the exact solution."""
    from msat.stages.columns import column
    from msat.tasks.ising import make

    task = make(IsingSettings(n_train=n_train, n_test=0, dimension=dimension, delta_p=settings.delta_p), seed)
    network = Network(width=width, g_w=settings.g_w, g_v=settings.g_v, kappa_0=settings.kappa_0)
    scales = [float(width) ** exponent for exponent in settings.gamma]
    cells = column(task, network, scales, levels, seed).cells
    for exponent, chi in zip(settings.gamma, scales, strict=True):
        for level in levels:
            cell = cells[chi, level]
            row = {"gamma": exponent, "chi": chi, "level": level, "converged": cell.converged}
            yield row | {"loop_strength": cell.loop_strength, "relative_error": cell.relative_error}


def _slope(line: pd.DataFrame) -> float:
    """Return the power of N of the mean size of the error over seeds, over the upper half of the widths."""
    import numpy as np

    size = line["relative_error"].abs().groupby(line["width"]).agg(lambda values: values.mean(skipna=False))
    size = size.iloc[len(size) // 2 :]
    if len(size) < 2 or not np.all(size > 0):
        return float("nan")
    return float(np.polyfit(np.log(size.index.to_numpy(dtype=np.float64)), np.log(size.to_numpy()), 1)[0])
