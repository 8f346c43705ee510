"""Phase diagrams: every cell is what `msat solve` says there, and the preferred scale is where eq. (6) vanishes."""

import re

import numpy as np
import pytest

import msat
from msat.errors import InputError
from msat.levels import EXACT, LAPLACE, LEVELS, NNGP, ONE_LOOP, RESCALING, TREE_LEVEL
from msat.network import NetworkSettings
from msat.stages import columns, phase_map
from msat.stages.phase_map import PhaseMapSettings
from msat.tables.files import read_table
from msat.tasks import get
from msat.validation import validated

COMPARED = ("train_discrepancy", "hidden_kernel_gain", "loop_strength", "converged")
NETWORK = NetworkSettings(width=30, g_w=0.6, g_v=0.7, kappa_0=0.8)


def _settings(**values):
    return validated(PhaseMapSettings, values)


def _map(settings, network=NETWORK, task="ising", report=lambda line: None, **sizes):
    module = get(task)
    given = validated(module.Settings, {"n_train": 16, "dimension": 30, **sizes})
    return phase_map.phase_map(settings, network, module.make, given, report)


def _data(n_train=16, dimension=30, seed=0):
    return msat.tasks.ising(n_train=n_train, n_test=0, dimension=dimension, seed=seed)


@pytest.mark.parametrize(
    ("x", "y", "fixed"),
    [
        (("chi", [0.5, 7.0]), ("width", [8, 40]), {}),
        (("width", [8, 40]), ("gamma", [0.0, 0.6]), {}),
        (("n_train", [6, 20]), ("width", [12, 50]), {"gamma": 1.0}),
        (("kappa_0", [0.3, 2.0]), ("g_w", [0.2, 1.5]), {"chi": 5.0}),
        (("g_v", [0.2, 1.5]), ("n_train", [6, 20]), {}),
    ],
)
def test_a_cell_is_what_solve_says_there(x, y, fixed):
    table = _map(_settings(x=x[0], x_values=x[1], y=y[0], y_values=y[1], seed=3, **fixed))
    assert list(table.columns[:2]) == [x[0], y[0]]
    assert len(table) == 4 * len(LEVELS)
    for (x_value, y_value), rows in table.groupby([x[0], y[0]]):
        at = {x[0]: x_value, y[0]: y_value}
        about = NETWORK.model_dump() | {name: value for name, value in at.items() if name in NETWORK.model_dump()}
        about["width"] = int(about["width"])
        gamma = at.get("gamma", fixed.get("gamma"))
        chi = at.get("chi", fixed.get("chi", 1.0)) if gamma is None else about["width"] ** gamma
        data = _data(int(at.get("n_train", 16)), seed=3)
        found = msat.solve(data, msat.Network(**about), chi=float(chi), seed=3).isel(chi=0)
        exact = float(found["train_discrepancy"].sel(level=EXACT.name))
        for _, row in rows.iterrows():
            level = found.sel(level=row["level"])
            for name in COMPARED:
                assert row[name] == pytest.approx(float(level[name]), rel=1e-12, nan_ok=True), (at, row["level"], name)
            error = float(level["train_discrepancy"]) / exact - 1
            assert row["relative_error"] == pytest.approx(error, abs=1e-12, nan_ok=True)
            assert row["chi"] == pytest.approx(chi)
            assert not row["transition"]


def test_the_preferred_scale_is_where_the_discrepancy_is_kappa():
    """At every level of every cell that has one; the neighbours bracket a maximum of ln p."""
    names = [level.name for level in (NNGP, RESCALING, TREE_LEVEL, ONE_LOOP, LAPLACE, EXACT)]
    settings = _settings(x="width", x_values=[20, 60], y="kappa_0", y_values=[0.3, 1.0], levels=names)
    table = _map(settings, n_train=12)
    found = table[table["chi_star"].notna()]
    assert set(found["level"]) == set(names)
    assert (table["chi_star"].isna() == (table["chi_star_note"] != "")).all()
    for _, row in found.iterrows():
        network = msat.Network(int(row["width"]), "linear", row["g_w"], row["g_v"], row["kappa_0"])
        around = row["chi_star"] * np.array([0.99, 1.0, 1.01])
        theory = msat.solve(_data(12), network, chi=list(around), levels=[row["level"]]).isel(level=0)
        ratio = theory["train_discrepancy"].to_numpy() * around / row["kappa_0"]
        assert ratio[1] == pytest.approx(1, abs=1e-9)
        assert ratio[0] < 1 < ratio[2]


def test_the_papers_preferred_scale():
    """Ising, N = 100, P = 80, D = 200, seed 0: chi* = 2.18 at the exact level (docs/theory.md, section 10)."""
    settings = _settings(x="width", x_values=[100, 200], y="g_w", y_values=[0.25, 0.5], levels=[EXACT.name])
    table = _map(settings, NetworkSettings(), n_train=80, dimension=200).set_index(["width", "g_w"])
    assert table.loc[(100, 0.5), "chi_star"] == pytest.approx(2.18, abs=0.005)


def test_a_range_without_the_preferred_scale_says_why():
    axes = {"x": "width", "x_values": [20, 60], "y": "kappa_0", "y_values": [0.3, 1.0], "levels": [EXACT.name]}
    for span, way in (([100.0, 200.0], "falls"), ([0.001, 0.01], "rises")):
        table = _map(_settings(**axes, chi_range=span), n_train=12)
        assert table["chi_star"].isna().all()
        assert table["chi_star_note"].str.startswith(f"not reached: ln p {way} from chi = {span[0]:g}").all()


def test_several_maxima_and_holes_are_said():
    """Of a made-up curve: the lowest of two maxima, and a level whose solution ends between two scales."""
    scales = list(np.geomspace(1, 16, 5))

    def wave(log_chi):
        return -float(np.cos(np.pi * log_chi / np.log(2) / 2 + 0.3))

    found = columns._maximum(scales, np.array([-1.0, 1.0, -1.0, -1.0, 1.0]), lambda log_chi: log_chi - 0.5)
    assert found.chi == pytest.approx(np.exp(0.5))
    assert found.note == "ln p has further maxima near chi = 11"
    hole = columns._maximum(scales, np.array([-1.0, 1.0, 1.0, 1.0, 1.0]), lambda log_chi: float("nan"))
    assert np.isnan(hole.chi)
    assert hole.note == "no solution between chi = 1 and 2"
    edge = columns._maximum(scales, np.array([1.0, -1.0, -1.0, -1.0, -1.0]), wave)
    assert edge.note.startswith("not reached: ln p has its maximum at an end")


@pytest.fixture(scope="module")
def erf():
    lines = []
    settings = _settings(x="n_train", x_values=[8, 12], y="chi", y_values=[0.5, 2.0, 8.0])
    network = NetworkSettings(width=20, activation="erf", g_w=0.5, g_v=0.5, kappa_0=0.5)
    return _map(settings, network, report=lines.append), network, lines


def test_one_ladder_a_column_where_the_scale_is_an_axis(erf):
    """Sampled levels: the column is one anneal with the seed of `msat solve`, so its numbers are the same."""
    table, network, lines = erf
    assert lines == ["column 1 of 2: n_train = 8", "column 2 of 2: n_train = 12"]
    assert set(table["level"]) == {LAPLACE.name}
    assert table["relative_error"].isna().all()
    for n_train, rows in table.groupby("n_train"):
        found = msat.solve(_data(n_train), msat.Network(**network.model_dump()), [0.5, 2.0, 8.0], [LAPLACE.name])
        rows = rows.sort_values("chi")
        for name in ("train_discrepancy", "hidden_kernel_gain", "anneal_difference"):
            assert rows[name].to_numpy() == pytest.approx(found[name].to_numpy()[0], rel=1e-12), name


def test_the_preferred_scale_of_a_sampled_level_is_found_between_its_scales(erf):
    """To 3 %: interpolation over scales a factor 4 apart, and Monte Carlo noise of an independent solution there."""
    table, network, _ = erf
    found = table.drop_duplicates("n_train")
    assert found["chi_star"].notna().any()
    for _, row in found[found["chi_star"].notna()].iterrows():
        data, star = _data(int(row["n_train"])), float(row["chi_star"])
        theory = msat.solve(data, msat.Network(**network.model_dump()), [star], [LAPLACE.name], seed=5)
        assert float(theory["train_discrepancy"].squeeze()) == pytest.approx(0.5 / star, rel=0.03)


def test_without_a_range_a_sampled_level_is_not_searched_for_where_the_scale_is_no_axis():
    settings = _settings(x="n_train", x_values=[4, 6], y="g_w", y_values=[0.3, 0.6], levels=[NNGP.name])
    network = NetworkSettings(width=20, activation="erf")
    table = _map(settings, network)
    assert table["chi_star"].isna().all()
    assert table["chi_star_note"].str.startswith("not looked for").all()
    given = _map(settings.model_copy(update={"chi_range": [0.1, 100.0]}), network)
    discrepancy = given["train_discrepancy"]  # of nngp it is the same at every scale
    assert given["chi_star"].to_numpy() == pytest.approx((1 / discrepancy).to_numpy(), rel=1e-9)


def test_anneals_that_differ_are_marked_and_warned_of(erf):
    table = erf[0].copy()
    assert phase_map.warnings(table) == []
    table.loc[1, ["transition", "converged", "note"]] = True, False, "upward and downward anneals differ by +3.00%"
    table.loc[2, "converged"] = False
    lines = phase_map.warnings(table)
    assert lines[0].startswith(
        "upward and downward anneals differ in 1 rows, as at a first-order transition; the first"
    )
    assert lines[1] == "not converged: laplace in 1 of 5 cells"


def test_a_ladder_that_disagrees_is_a_transition(monkeypatch):
    from msat.theory.sampled import ladder

    monkeypatch.setattr(ladder, "_turn_back", lambda *arguments: dict.fromkeys((1.0, 4.0), (0.03, False)))
    settings = _settings(x="chi", x_values=[1.0, 4.0], y="width", y_values=[20, 30])
    table = _map(settings, NetworkSettings(activation="erf"), n_train=6)
    assert table["transition"].all()
    assert not table["converged"].any()
    assert table["note"].str.contains("anneals differ by").all()


def test_scales_that_coincide_keep_their_rows():
    """At N = 1 every gamma is chi = 1."""
    table = _map(_settings(x="width", x_values=[1, 5], y="gamma", y_values=[0, 1], levels=[NNGP.name]), n_train=4)
    assert len(table) == 4
    assert table[table["width"] == 1]["train_discrepancy"].nunique() == 1


def test_files(tmp_path):
    module = get("ising")
    settings = _settings(x="chi", x_values=[1, 5], y="width", y_values=[10, 20])
    given = module.Settings(n_train=8, dimension=12)
    assert phase_map.run(settings, NETWORK, module.make, given, tmp_path) == []
    tables = [read_table(tmp_path / f"phase_map.{suffix}") for suffix in ("csv", "parquet")]
    assert [len(table) for table in tables] == [4 * len(LEVELS)] * 2
    assert tables[0]["train_discrepancy"].equals(tables[1]["train_discrepancy"])


AXES = {"x": "chi", "x_values": [1.0, 2.0], "y": "width", "y_values": [10, 20]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"y": "chi"}, "x = chi, y = chi: must be two different parameters"),
        ({"y": "gamma", "y_values": [0, 1]}, "x = chi, y = gamma: must be two different parameters"),
        ({"y": "depth"}, "y = 'depth': must be one of chi, gamma, width, n_train, kappa_0, g_w, g_v"),
        ({"x_values": [1]}, "x_values = 1: an axis must have at least two values"),
        ({"x_values": []}, "x_values = : an axis must have at least two values"),
        ({"x_values": [2, 1]}, "x_values = 2,1: must be ascending, each value once"),
        ({"x_values": [1, 1]}, "x_values = 1,1: must be ascending, each value once"),
        ({"x_values": [0, 1]}, "x_values = 0,1: chi must be greater than 0"),
        ({"y_values": [10, 10.5]}, "y_values = 10,10.5: width must be whole numbers, at least 1"),
        ({"x": "gamma", "x_values": [0, 3]}, "x_values = 0,3: gamma must be from -1 to 2"),
        ({"chi": 3.0}, "chi = 3: the scale is given by chi already"),
        ({"x": "g_w", "chi": 3.0, "gamma": 1.0}, "gamma = 1: the scale is given by chi already"),
        ({"chi_range": [2.0, 1.0]}, "chi_range = 2,1: the first must be less than the second"),
        ({"levels": ["two_loop"]}, "levels.0 = 'two_loop': must be one of nngp"),
    ],
)
def test_bad_axes_are_one_line(values, message):
    with pytest.raises(InputError, match="^" + re.escape(message)):
        _settings(**AXES | values)


def test_what_does_not_fit_together_is_refused_before_any_work(monkeypatch):
    monkeypatch.setattr("msat.stages.columns.column", None)
    quadratic = NetworkSettings(activation="quadratic")
    for network, values, message in (
        (quadratic, {"levels": [LAPLACE.name]}, "level = 'laplace' with activation = 'quadratic': not defined"),
        (NetworkSettings(activation="erf"), {"levels": [EXACT.name]}, "exact needs activation = 'linear'"),
        (NETWORK, {"x_values": [1.0, 1e200]}, "g = g_w / chi"),
        (NETWORK, {"y_values": [10, 1e12]}, "width = 1000000000000: must be an integer from 1 to"),
        (NetworkSettings(width=(5, 6)), {}, "width = 5,6: where the width is an axis there must be one hidden layer"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            _map(_settings(**AXES | values), network)
    for network, values, message in (
        (NETWORK, {"levels": [EXACT.name], "y_values": [2, 10]}, "3 outputs: width = 2: must be at least the number"),
        (NetworkSettings(width=(5, 6)), {"y": "g_w"}, "3 outputs and 2 hidden layers: several outputs with several"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            _map(_settings(**AXES | values), network, "teacher_student", outputs=3)
    settings = _settings(**AXES | {"y": "n_train", "y_values": [1, 4]})
    with pytest.raises(InputError, match=r"^n_train = 1: input should be greater than or equal to 2"):
        phase_map.check(settings, NETWORK, get("mnist").Settings())


def test_default_levels():
    settings, networks = _settings(**AXES), {name: NetworkSettings(activation=name) for name in ("erf", "quadratic")}
    assert settings.levels_of(NetworkSettings()) == list(LEVELS)
    assert settings.levels_of(networks["erf"]) == [LAPLACE.name]
    assert settings.levels_of(networks["quadratic"]) == [NNGP.name, RESCALING.name]
    assert settings.levels_of(NetworkSettings(), 11) == [name for name in LEVELS if name != EXACT.name]  # N = 10 < m
    deep = _settings(**AXES | {"y": "kappa_0"})
    assert ONE_LOOP.name not in deep.levels_of(NetworkSettings(width=(5, 6)))
    assert deep.levels_of(NetworkSettings(width=(5, 6), activation="erf")) == [NNGP.name, RESCALING.name]


def test_maps_of_several_outputs_and_of_several_layers():
    """Cells are what `msat solve` says; a width below the number of outputs has no exact level to compare with."""
    sizes, outputs = {"n_train": 5, "dimension": 6}, 3
    settings = _settings(x="width", x_values=[2, 7], y="chi", y_values=[1.0, 4.0])
    table = _map(settings, task="teacher_student", outputs=outputs, **sizes)
    assert set(table["level"]) == set(LEVELS) - {EXACT.name}
    assert (table["relative_error"].isna() == ((table["width"] == 2) | table["train_discrepancy"].isna())).all()
    data = msat.tasks.teacher_student(n_test=0, outputs=outputs, **sizes)
    found = msat.solve(
        data, msat.Network(7, "linear", 0.6, 0.7, 0.8), chi=[1.0, 4.0], levels=[LAPLACE.name, EXACT.name]
    )
    expected = found["train_discrepancy"].to_numpy()
    rows = table[(table["width"] == 7) & (table["level"] == LAPLACE.name)].sort_values("chi")
    np.testing.assert_allclose(rows["train_discrepancy"], expected[0], rtol=1e-12)
    np.testing.assert_allclose(rows["relative_error"], expected[0] / expected[1] - 1, atol=1e-12)
    layers = (6, 5)
    table = _map(_settings(x="g_w", x_values=[0.5, 1.0], y="chi", y_values=[1.0, 4.0]), NetworkSettings(width=layers))
    found = msat.solve(_data(), msat.Network(layers, g_w=1.0), chi=[1.0, 4.0])
    rows = table[(table["g_w"] == 1.0) & (table["level"] == EXACT.name)].sort_values("chi")
    np.testing.assert_allclose(rows["train_discrepancy"], found["train_discrepancy"].sel(level=EXACT.name), rtol=1e-12)
