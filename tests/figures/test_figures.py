"""Figures from real, tiny results: drawn, legible to a parser, and the same each time."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import msat
from msat import figures
from msat.errors import InputError
from msat.figures import (
    NAMES,
    convergence,
    declaration,
    directions,
    discrepancies,
    draw,
    evidence,
    figures_of,
    learning_curves,
    style,
)
from msat.figures import finite_width as finite_width_figure
from msat.figures import phase_map as phase_map_figure
from msat.levels import LEVELS, NNGP, ONE_LOOP, RESCALING, TREE_LEVEL
from msat.network import NetworkSettings
from msat.stages.maps import FiniteWidthSettings, LoopMapSettings, finite_width, loop_map
from msat.stages.phase_map import PhaseMapSettings, phase_map
from msat.stages.tables import collect_files
from msat.store import load_dataset, save_dataset
from msat.tables.files import read_table, write_table
from msat.tasks import get

ROOT = Path(__file__).parents[2]
ising = get("ising")
FEW = [[NNGP.name, RESCALING.name], [TREE_LEVEL.name]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    theory, langevin = [], []
    for seed in (0, 1):
        task = msat.tasks.teacher_student(n_train=6, n_test=8, dimension=10, coefficients=[1, 0, 0.3], seed=seed)
        network = msat.Network(width=12)
        scales = [1.0, 4.0, 12.0]
        results = {"theory": msat.solve(task, network, scales, seed=seed)}
        for chi in scales:
            results[f"langevin{chi:g}"] = msat.train(task, network.at(chi), seed=seed, steps=128, chains=4)
        for name, dataset in results.items():
            dataset.attrs["label"] = "tiny"
            save_dataset(path / f"{name}_{seed}.nc", dataset)
            (theory if name == "theory" else langevin).append(path / f"{name}_{seed}.nc")
    for n_train in (3, 6, 12):
        options = {"n_test": 8, "dimension": 6, "coefficients": [1, 0, 0.3]}
        task = msat.tasks.teacher_student(n_train=n_train, n_drawn=12, **options)
        results = {"theory": msat.solve(task, network, scales[::2])}
        results |= {f"langevin{chi:g}": msat.train(task, network.at(chi), steps=128, chains=4) for chi in scales[::2]}
        for name, dataset in results.items():
            dataset.attrs["label"] = "several"
            save_dataset(path / f"{name}_several_{n_train}.nc", dataset)
            (theory if name == "theory" else langevin).append(path / f"{name}_several_{n_train}.nc")
    collect_files(theory, langevin, path)
    shared = {"delta_p": 0.1, "gamma": [0.0, 1.0]}
    grid = LoopMapSettings(widths=[10, 40], n_train=[6, 12], dimension=20, **shared)
    write_table(loop_map(grid), path / "loop_map")
    ratios = {"samples_per_neuron": 0.5, "inputs_per_sample": 2.0}
    grid = FiniteWidthSettings(widths=[10, 20, 40], n_train=6, seeds=[0, 1], **ratios, **shared)
    write_table(finite_width(grid), path / "finite_width")
    axes = PhaseMapSettings(x="width", x_values=[10, 30], y="gamma", y_values=[0.0, 0.5, 1.0])
    write_table(_phase_map(axes), path / "phase_map")
    return path


def _phase_map(axes):
    return phase_map(axes, NetworkSettings(), ising.make, ising.Settings(n_train=12, dimension=20))


def read(folder, *names, experiment="tiny"):
    """Return tables, of one experiment where they are of several."""
    tables = [read_table(folder / f"{name}.parquet") for name in names]
    return [table[table["experiment"] == experiment] if "experiment" in table else table for table in tables]


@pytest.mark.parametrize("name", NAMES)
def test_figure_is_drawn_and_reproducible(folder, tmp_path, name):
    source = {"tables": folder, "experiment": "several" if declaration(name).against_samples else "tiny"}
    if declaration(name).kind == "runs":
        source = {"theory": folder / "theory_0.nc", "langevin": [folder / "langevin12_0.nc", folder / "langevin1_0.nc"]}
    for run in ("a", "b"):
        draw(name, [tmp_path / f"{run}.{suffix}" for suffix in ("png", "pdf", "svg")], "A title", **source)
    for suffix in ("png", "pdf", "svg"):
        first, second = ((tmp_path / f"{run}.{suffix}").read_bytes() for run in "ab")
        if suffix == "svg":  # names of clips are hashes of all digits of their corners, the layout's last ones vary
            first, second = (re.sub(rb"\bp[0-9a-f]{10}\b", b"clip", text) for text in (first, second))
        assert first == second
        assert len(first) > 5000
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_of_several_numbers_of_samples_the_largest_is_shown(folder, tmp_path):
    """Or the one asked for, which the title then says; learning curves show all."""
    every = read(folder, "theory", experiment="several")[0]
    assert sorted(every["n_train"].unique()) == [3, 6, 12]
    for n_train in (None, 3, 12):
        shown = figures.read("features", folder, "several", n_train=n_train)["theory"]
        assert shown["n_train"].unique().tolist() == [n_train or 12]
    assert len(figures.read("learning_curves", folder, "several", n_train=3)["theory"]) == len(every)
    with pytest.raises(InputError, match="n_train = 4: not in table theory of this experiment; known are 3, 6, 12"):
        figures.read("features", folder, "several", n_train=4)
    assert figures.titled("features", "A", 12) == "A, P = 12"
    assert figures.titled("features", "A", None) == figures.titled("learning_curves", "A", 12) == "A"
    draw("features", [tmp_path / "a.png"], "A", tables=folder, experiment="several", n_train=6)
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_learning_curves_say_where_half_is_learned(folder):
    tables = dict(
        zip(
            declaration("learning_curves").tables,
            read(folder, *declaration("learning_curves").tables, experiment="several"),
            strict=True,
        )
    )
    half = tables["half_learned"]
    first = (half["source"] == NNGP.name) & (half["chi"] == 1.0) & (half["degree"] == 3)
    assert first.sum() == 1
    half.loc[first, ["n_half", "n_half_error", "note"]] = 4.5, 0.24, ""
    others = (half["chi"] == 1.0) & (half["degree"] == 3) & ~first
    half.loc[others, ["n_half", "note"]] = np.nan, "not reached"
    figure = learning_curves.draw(**tables)
    (note,) = (text.get_text() for text in figure.axes[6].texts)  # second of two columns comes after
    assert f"{NNGP.label} 0.75 $\\pm$ 0.04" in note
    assert "half not reached:" in note
    assert RESCALING.label in note
    ratios = figure.axes[0].get_lines()[0].get_xdata(orig=False)
    np.testing.assert_allclose(ratios, np.array([3, 6, 12]) / 6)


def test_runs_that_have_not_mixed_are_hollow(folder):
    names = declaration("learning_curves").tables
    tables = dict(zip(names, read(folder, *names, experiment="several"), strict=True))
    tables["langevin"] = tables["langevin"].assign(mixed=tables["langevin"]["n_train"] > 3)
    labels = learning_curves.draw(**tables).axes[0].get_legend_handles_labels()[1]
    assert labels[-2:] == ["Langevin", "Langevin, not mixed"]
    tables["langevin"] = tables["langevin"].assign(mixed=True)
    assert learning_curves.draw(**tables).axes[0].get_legend_handles_labels()[1][-1] == "Langevin"


def test_components_are_drawn_where_there_is_a_teacher():
    assert "components" in figures_of(LEVELS, has_direction=True)
    assert "components" not in figures_of(LEVELS, has_direction=False)


def test_an_experiment_has_the_figures_whose_levels_it_has():
    of_experiment = [name for name in NAMES if declaration(name).kind in ("experiment", "runs")]
    every = [name for name in of_experiment if not declaration(name).against_samples]
    assert figures_of(LEVELS, has_direction=True) == every
    assert figures_of(LEVELS, has_direction=True, several_samples=True) == sorted([*every, "learning_curves"])
    assert figures_of(FEW[0], has_direction=True) == [name for name in every if name != "kernels"]
    assert figures_of(FEW[1], has_direction=True) == [name for name in every if name not in ("kernels", "directions")]


@pytest.mark.slow
@pytest.mark.parametrize("levels", FEW)
def test_few_levels_have_all_their_figures(folder, tmp_path, levels):
    """No figure that an experiment has may need a level that it does not declare."""
    absent = [name for name in LEVELS if name not in levels]
    for name in ("theory", "langevin", "samples", "chains", "components", "evidence", "evidence_maximum"):
        (table,) = read(folder, name)
        for column in {"level", "source"} & set(table):
            table = table[~table[column].isin(absent)]
        table.drop(columns=absent, errors="ignore").to_parquet(tmp_path / f"{name}.parquet")
    for name in figures_of(levels, has_direction=True):
        draw(name, [tmp_path / f"{name}.png"], tables=tmp_path, experiment="tiny")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_a_missing_level_is_one_line(folder, tmp_path):
    predicted = load_dataset(folder / "theory_0.nc", "theory")
    save_dataset(tmp_path / "theory.nc", predicted.sel(level=FEW[0]))
    with pytest.raises(InputError, match=r"^figure kernels needs level laplace; theory.nc has nngp, rescaling$"):
        draw("kernels", [tmp_path / "a.png"], theory=tmp_path / "theory.nc", langevin=[folder / "langevin1_0.nc"])
    theory, langevin = read(folder, "theory", "langevin")
    write_table(theory[theory["level"] == NNGP.name], tmp_path / "theory")
    write_table(langevin, tmp_path / "langevin")
    with pytest.raises(InputError, match=r"^figure directions needs level rescaling; table theory has nngp$"):
        draw("directions", [tmp_path / "a.png"], tables=tmp_path, experiment="tiny")
    assert not (tmp_path / "a.png").exists()


def test_levels_that_the_registry_does_not_know_are_left_out(folder):
    theory, langevin, widths = read(folder, "theory", "langevin", "finite_width")
    for table, drawn in ((theory, lambda at: discrepancies.draw(at, langevin)), (widths, finite_width_figure.draw)):
        stranger = table[table["level"] == NNGP.name].assign(level="two_loop")
        legends = [
            [text.get_text() for text in drawn(rows).legends[0].get_texts()]
            for rows in (table, pd.concat([table, stranger]))
        ]
        assert legends[0] == legends[1]


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_phase_map_hatches_what_has_no_value_and_crosses_what_differs(folder):
    """One panel for each error; what is drawn into the maps is in the legend, and nothing else."""
    (table,) = read(folder, "phase_map")
    hole = (table["level"] == ONE_LOOP.name) & (table["width"] == 10)
    table.loc[hole, ["train_discrepancy", "hidden_kernel_gain", "relative_error", "chi_star"]] = np.nan
    figure = phase_map_figure.draw(table)
    assert "no value (no solution, or not reached)" in _legend(figure)
    assert "anneals differ" not in _legend(figure)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["exact", "exact"]
    (panel,) = (axes for axes in figure.axes if axes.get_title() == ONE_LOOP.label)
    assert np.ma.getmaskarray(panel.collections[0].get_array()).reshape(3, 2)[:, 0].all()
    whole = table[table["level"] == "exact"].copy()
    whole.loc[whole.index[:2], "transition"] = True
    figure = phase_map_figure.draw(whole)
    assert "anneals differ" in _legend(figure)
    assert "no value (no solution, or not reached)" not in _legend(figure)
    crosses = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert [len(line.get_xdata()) for line in crosses] == [2]


@pytest.mark.parametrize("column", ["chi_star", "train_discrepancy"])
def test_a_phase_map_without_any_value_is_drawn(folder, tmp_path, column):
    """Neither axis a scale, and no preferred scale anywhere; or no solution anywhere."""
    axes = PhaseMapSettings(x="g_w", x_values=[0.3, 0.6], y="width", y_values=[10, 20], levels=["exact"])
    table = _phase_map(axes)
    table[column] = np.nan
    write_table(table, tmp_path / "phase_map")
    draw("phase_map", [tmp_path / "a.png"], tables=tmp_path)
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_levels_without_a_solution_end_their_line(folder):
    """A mean over the seeds that happen to have a solution would mix data sets."""
    theory, langevin = read(folder, "theory", "langevin")
    hole = (theory["level"] == "one_loop") & (theory["seed"] == 0) & (theory["chi"] == 12.0)
    theory.loc[hole, "train_discrepancy"] = np.nan
    figure = discrepancies.draw(theory, langevin)
    (line,) = (line for line in figure.axes[0].get_lines() if line.get_label() == ONE_LOOP.label)
    assert np.isnan(line.get_ydata()[-1])
    assert np.isfinite(line.get_ydata()[:-1]).all()


def test_directions_say_what_rescaling_misses(folder):
    theory, langevin = read(folder, "theory", "langevin")
    figure = directions.draw(theory, langevin)
    keys = theory.set_index(["level", "seed", "chi"])["variance_along_target"]
    ratio = 100 * (keys["rescaling"] / keys["exact"] - 1)
    shown = {line.get_label(): line for line in figure.axes[4].get_lines()}
    np.testing.assert_allclose(shown["rescaling"].get_ydata(), ratio.groupby("chi").mean())
    (note,) = (text.get_text() for text in figure.axes[4].texts)
    assert f"{ratio.groupby('chi').mean()[12.0]:+.2g}" in note


def test_residuals_are_from_the_reference(folder):
    tables = read(folder, *declaration("convergence").tables)
    assert "exact" in convergence.draw(*tables).axes[3].get_xlabel()
    without = tables[3][tables[3]["level"] == NNGP.name]
    assert not convergence.draw(*tables[:3], without).axes[3].axison


def test_evidence_without_a_maximum_inside_is_drawn(folder):
    table, maximum = read(folder, "evidence", "evidence_maximum")
    maximum = maximum.assign(chi_best=np.nan, chi_best_error=np.nan, note="the maximum is at an edge")
    assert "no maximum inside" in evidence.draw(table, maximum).axes[1].texts[0].get_text()


def test_every_level_has_a_style_of_its_own():
    for looks in zip(*((level.color, level.line, level.marker) for level in LEVELS.values()), strict=True):
        assert len({str(look) for look in looks}) == len(LEVELS)


def run(code, path):
    environment = os.environ | {"PYTHONPATH": str(path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=path)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_declarations_are_light():
    """The workflow and the config read them when they start."""
    code = "import sys; from msat import figures; [figures.declaration(name) for name in figures.NAMES]; "
    heavy = {"matplotlib", "seaborn", "pandas", "xarray", "scipy.stats", "torch", "msat.store"}
    assert run(f"{code} print(*({heavy} & set(sys.modules)))", ROOT) == []


def test_a_file_in_the_folder_is_a_figure(folder, tmp_path):
    shutil.copytree(ROOT / "msat", tmp_path / "msat", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(tmp_path / "msat/figures/features.py", tmp_path / "msat/figures/toy.py")
    arguments = f"[Path({str(tmp_path / 'toy.pdf')!r})], tables=Path({str(folder)!r}), experiment='tiny'"
    code = (
        "from pathlib import Path; from msat import figures; "
        "print('toy' in figures.NAMES, 'toy' in figures.figures_of([], False)); "
        f"figures.draw('toy', {arguments})"
    )
    assert run(code, tmp_path) == ["True", "True"]
    assert (tmp_path / "toy.pdf").stat().st_size > 5000


def test_colours_are_those_of_seaborn():
    import seaborn as sns

    assert list(style.palette()) == list(sns.color_palette("colorblind").as_hex())


def test_a_figure_of_tables_loads_no_more_than_it_needs(folder, tmp_path):
    """What takes a second to load and is not used: each figure is a process of its own in the workflow."""
    arguments = f"[Path({str(tmp_path / 'a.png')!r})], tables=Path({str(folder)!r}), experiment='tiny'"
    code = (
        f"import sys; from pathlib import Path; from msat import figures; figures.draw('discrepancies', {arguments}); "
    )
    unused = {"seaborn", "xarray", "h5py", "scipy.stats", "scipy.optimize", "torch", "matplotlib.pyplot"}
    assert run(f"{code} print(*({unused} & set(sys.modules)))", ROOT) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_caption(name):
    assert len((ROOT / f"workflow/report/{name}.rst").read_text(encoding="utf-8")) > 100


def test_bad_requests_are_named(folder, tmp_path):
    with pytest.raises(InputError, match=f"figure = 'pie': must be one of {', '.join(NAMES)}"):
        draw("pie", [tmp_path / "a.png"], tables=folder)
    with pytest.raises(InputError, match="experiment = 'huge': not in table theory; known are several, tiny"):
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
