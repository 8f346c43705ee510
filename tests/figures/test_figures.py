"""Figures from real, tiny results: drawn, legible to a parser, and the same each time."""

import numpy as np
import pytest

import msat
from msat.errors import InputError
from msat.figures import FIGURES, STORE_FIGURES, draw, figures_of, style
from msat.stages.finite_width import finite_width
from msat.stages.loop_map import loop_map
from msat.store import save_dataset
from msat.tables import rows as tables
from msat.theory.anneal import LEVELS


@pytest.fixture(scope="module")
def results():
    theory, langevin = [], []
    for seed in (0, 1):
        task = msat.tasks.teacher_student(n_train=6, n_test=8, dimension=10, coefficients=[1, 0, 0.3], seed=seed)
        network = msat.Network(width=12)
        scales = [1.0, 4.0, 12.0]
        theory.append(msat.solve(task, network, scales, seed=seed))
        langevin += [msat.train(task, network.at(chi), seed=seed, steps=128, chains=4) for chi in scales]
    for dataset in (*theory, *langevin):
        dataset.attrs["label"] = "tiny"
    return theory, langevin


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    for name, table in tables.collect(*results).items():
        tables.write_table(table, path / name)
    network = msat.Network(width=1, g_w=0.5, g_v=0.5)
    table = loop_map(network, [10, 40], [6, 12], [0.0, 1.0], dimension=20, delta_p=0.1, seed=0)
    tables.write_table(table, path / "loop_map")
    table = finite_width(network, [10, 20, 40], 6, 0.5, 2.0, [0.0, 1.0], delta_p=0.1, seeds=[0, 1])
    tables.write_table(table, path / "finite_width")
    theory, langevin = results
    save_dataset(path / "theory.nc", theory[0])
    save_dataset(path / "low.nc", langevin[0])
    save_dataset(path / "high.nc", langevin[2])
    return path


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_and_reproducible(folder, tmp_path, name):
    if name in STORE_FIGURES:
        source = {"theory": folder / "theory.nc", "langevin": [folder / "high.nc", folder / "low.nc"]}
    else:
        source = {"tables": folder, "experiment": "tiny"}
    for run in ("a", "b"):
        draw(name, [tmp_path / f"{run}.{suffix}" for suffix in ("png", "pdf", "svg")], "A title", **source)
    for suffix in ("png", "pdf", "svg"):
        first = (tmp_path / f"a.{suffix}").read_bytes()
        assert first == (tmp_path / f"b.{suffix}").read_bytes()
        assert len(first) > 5000
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_components_are_drawn_where_there_is_a_teacher():
    assert "components" in figures_of(single_index=True)
    assert "components" not in figures_of(single_index=False)


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


def test_directions_say_what_rescaling_misses(folder):
    from msat.figures import directions

    theory, langevin = (tables.read_table(folder / f"{name}.parquet") for name in ("theory", "langevin"))
    figure = directions.draw(theory, langevin)
    keys = theory.set_index(["level", "seed", "chi"])["variance_along_target"]
    ratio = 100 * (keys["rescaling"] / keys["exact"] - 1)
    shown = {line.get_label(): line for line in figure.axes[4].get_lines()}
    np.testing.assert_allclose(shown["rescaling"].get_ydata(), ratio.groupby("chi").mean())
    (note,) = (text.get_text() for text in figure.axes[4].texts)
    assert f"{ratio.groupby('chi').mean()[12.0]:+.2g}" in note


def test_evidence_without_a_maximum_inside_is_drawn(folder):
    from msat.figures import evidence

    read = {name: tables.read_table(folder / f"{name}.parquet") for name in ("evidence", "evidence_maximum")}
    maximum = read["evidence_maximum"].assign(
        chi_best=np.nan, chi_best_error=np.nan, note="the maximum is at an edge"
    )
    figure = evidence.draw(read["evidence"], maximum)
    assert "no maximum inside" in figure.axes[1].texts[0].get_text()


def test_every_level_has_a_style_of_its_own():
    assert set(style.LEVEL_STYLE) == set(style.LEVEL_LABEL) == set(LEVELS)
    assert len({color for color, _ in style.LEVEL_STYLE.values()}) == len(LEVELS)
    assert len({str(line) for _, line in style.LEVEL_STYLE.values()}) == len(LEVELS)


def test_bad_requests_are_named(folder, tmp_path):
    with pytest.raises(InputError, match="figure = 'pie': must be one of discrepancies"):
        draw("pie", [tmp_path / "a.png"], tables=folder)
    with pytest.raises(InputError, match="experiment = 'huge': not in table theory; known are tiny"):
        draw("discrepancies", [tmp_path / "a.png"], tables=folder, experiment="huge")
    with pytest.raises(InputError, match="suffix must be"):
        draw("discrepancies", [tmp_path / "a.doc"], tables=folder, experiment="tiny")
    with pytest.raises(InputError, match="no such file"):
        draw("discrepancies", [tmp_path / "a.png"], tables=tmp_path, experiment="tiny")
    with pytest.raises(InputError, match="needs the folder of the tables"):
        draw("discrepancies", [tmp_path / "a.png"])
    with pytest.raises(InputError, match="needs result files"):
        draw("kernels", [tmp_path / "a.png"], tables=folder)
    assert list(tmp_path.iterdir()) == []
