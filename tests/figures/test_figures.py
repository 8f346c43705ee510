"""Figures from real, tiny results: drawn, legible to a parser, and the same each time."""

import numpy as np
import pytest

import msat
from msat import tables
from msat.errors import InputError
from msat.figures import FIGURES, draw, style
from msat.theory.levels import LEVELS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    theory, langevin = [], []
    for seed in (0, 1):
        task = msat.tasks.ising(n_train=6, n_test=8, dimension=10, seed=seed)
        network = msat.Network(width=12)
        scales = [1.0, 4.0, 12.0]
        theory.append(msat.solve(task, network, scales, seed=seed))
        langevin += [msat.train(task, network.at(chi), seed=seed, steps=128, chains=4) for chi in scales]
    for dataset in (*theory, *langevin):
        dataset.attrs["label"] = "tiny"
    path = tmp_path_factory.mktemp("tables")
    for name, table in tables.collect(theory, langevin).items():
        tables.write_table(table, path / name)
    return path


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_and_reproducible(folder, tmp_path, name):
    for run in ("a", "b"):
        draw(name, folder, "tiny", "A title", [tmp_path / f"{run}.{suffix}" for suffix in ("png", "pdf", "svg")])
    for suffix in ("png", "pdf", "svg"):
        first = (tmp_path / f"a.{suffix}").read_bytes()
        assert first == (tmp_path / f"b.{suffix}").read_bytes()
        assert len(first) > 5000
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_levels_without_a_solution_end_their_line(folder):
    """A mean over the seeds that happen to have a solution would mix data sets."""
    from msat.figures import discrepancies

    theory, langevin = (tables.read_table(folder / f"{name}.parquet") for name in ("theory", "langevin"))
    hole = (theory["level"] == "one_loop") & (theory["seed"] == 0) & (theory["chi"] == 12.0)
    theory.loc[hole, "train_discrepancy"] = np.nan
    figure = discrepancies.draw(theory, langevin)
    (line,) = (line for line in figure.axes[0].get_lines() if line.get_label() == style.LEVEL_LABEL["one_loop"])
    assert np.isnan(line.get_ydata()[-1])
    assert np.isfinite(line.get_ydata()[:-1]).all()


def test_every_level_has_a_style_of_its_own():
    assert set(style.LEVEL_STYLE) == set(style.LEVEL_LABEL) == set(LEVELS)
    assert len({color for color, _ in style.LEVEL_STYLE.values()}) == len(LEVELS)
    assert len({str(line) for _, line in style.LEVEL_STYLE.values()}) == len(LEVELS)


def test_bad_requests_are_named(folder, tmp_path):
    with pytest.raises(InputError, match="figure = 'pie': must be one of discrepancies"):
        draw("pie", folder, "tiny", "", [tmp_path / "a.png"])
    with pytest.raises(InputError, match="experiment = 'huge': not in table theory; known are tiny"):
        draw("discrepancies", folder, "huge", "", [tmp_path / "a.png"])
    with pytest.raises(InputError, match="suffix must be"):
        draw("discrepancies", folder, "tiny", "", [tmp_path / "a.doc"])
    with pytest.raises(InputError, match="no such file"):
        draw("discrepancies", tmp_path, "tiny", "", [tmp_path / "a.png"])
    assert list(tmp_path.iterdir()) == []
