"""`msat verify` on a whole run: nothing to say of it, and every file that is not what it must be by its name."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from msat.cli import main
from msat.stages import code
from msat.store import load_dataset, save_dataset
from msat.tables.files import read_table, write_table
from tests.stages.planned import LINEAR, VALUES, config_of, make, make_tables, merged, msat

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A whole run in a folder ``results``, with its config beside."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = config_of(Path("results"))
        make(config)
        make_tables(config)
        run = config.runs()[-1]
        states = Path("results/states/deep/seed1/chi1")
        states.mkdir(parents=True)
        options = config.training_of(run.experiment, "langevin") | {"data": f"results/{run.place}/data.npz"}
        msat("train", options, chi=run.chi, seed=run.seed, out="x.nc", final_state=states / "langevin.pt")
    (folder / "config.yaml").write_text(yaml.safe_dump(VALUES, sort_keys=False))
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Path("results")


def _verify(capsys, *options: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    done = main(["verify", "results", *options])
    said = capsys.readouterr()
    return done, (said.out + said.err).splitlines()


def test_a_whole_run_is_right(folder, capsys):
    # data, theory, trainings; the plan, tables and summary; maps; a state and the result beside it
    number = 4 + 4 + 12 + 2 + 11 + 1 + 3 + 2
    said = [f"{number} files in results are what the config asks for"]
    assert _verify(capsys) == _verify(capsys, "--same-code") == (0, said)
    shutil.copytree(folder / "deep/seed1", folder / "deep/seed7")
    code, lines = _verify(capsys)
    assert (code, lines[1:]) == (0, said)
    assert lines[0] == "note: results that are not in the plan: results/deep/seed7/chi1/langevin.nc and 3 more"


def _flip(path: Path) -> None:
    """Change one bit of a table's rows, which come first."""
    content = bytearray(path.read_bytes())
    content[len(content) // 20] ^= 4
    path.write_bytes(content)


def _flip_weight(path: Path) -> None:
    """Change one bit of a state's weights."""
    content = bytearray(path.read_bytes())
    weights = torch.load(path, weights_only=True)["state"]["weights"][0]
    content[content.find(weights.numpy().tobytes())] ^= 4
    path.write_bytes(content)


def _edit_csv(path: Path) -> None:
    path.write_text(path.read_text().replace("deep", "keep", 1))


def _edit_table(path: Path) -> None:
    """Another table, made as msat makes tables."""
    table = read_table(path)
    write_table(table.assign(train_discrepancy_z=2 * table["train_discrepancy_z"]), path.with_suffix(""))


@pytest.mark.parametrize(
    ("name", "change", "problems"),
    [
        ("deep/seed0/data.npz", Path.unlink, {"deep/seed0/data.npz": "no such file"}),
        (
            "deep/seed0/theory.nc",
            Path.unlink,
            {"deep/seed0/theory.nc": "no such file", "tables/": "made from other results"},
        ),
        ("states/deep/seed1/chi1/langevin.pt", _flip_weight, {"states/deep/seed1/chi1/langevin.pt": "altered"}),
        ("tables/plan.csv", _edit_csv, {"tables/plan.csv": "not the plan of this config"}),
        ("tables/comparison.csv", _edit_csv, {"tables/comparison.csv": "altered or damaged"}),
        ("tables/theory.parquet", _flip, {"tables/theory.parquet": "altered|not a readable"}),
        (
            "tables/checks.parquet",
            _edit_table,
            {"tables/checks.parquet": "made from other results", "checks.txt": "not the summary of"},
        ),
        ("checks.txt", _edit_csv, {"checks.txt": "not the summary of"}),
        ("maps/mine/phase_map.csv", Path.unlink, {"maps/mine/phase_map.csv": "no such file"}),
    ],
)
def test_what_is_wrong_is_named(folder, capsys, name, change, problems):
    change(folder / name)
    done, lines = _verify(capsys)
    assert done == 1
    named = [line.removeprefix("msat: error: ").removeprefix("checkpoint ") for line in lines[:-1]]
    named = [line for line in named if not line.startswith("note: ")]
    for path, problem in problems.items():
        wrong = [line for line in named if line.startswith(f"results/{path}")]
        assert wrong
        assert all(re.search(problem, line) for line in wrong), wrong
    assert not [line for line in named if not line.startswith(tuple(f"results/{path}" for path in problems))]
    assert re.match(r"\d+ of \d+ files in results are wrong; remove them, make them again by their names", lines[-1])


def test_partial_results_are_judged_as_far_as_they_go(folder, capsys):
    for path in ("tables", "maps", "deep/seed1"):
        shutil.rmtree(folder / path)
    assert _verify(capsys)[0] == 1
    assert _verify(capsys, "--partial") == (0, ["18 files in results are what the config asks for"])


def test_other_code_is_a_note(folder, capsys, monkeypatch):
    monkeypatch.setattr(code, "training", lambda *_: "0123456789abcdef")
    done, lines = _verify(capsys)
    assert done == 0
    assert re.match(
        r"note: trainings made by other code than this: results/nested/p4/seed1/chi2.15/langevin.nc "
        r"\(msat 0.1.0, commit \w+\) and 11 more$",
        lines[0],
    )
    done, lines = _verify(capsys, "--same-code")
    assert done == 1
    assert lines[0].startswith("msat: error: trainings made by other code than this")


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("experiments", "deep", "network"), {**LINEAR, "g_w": 3.0}, "deep/seed0/theory.nc: .* g_w = 0.5, must be 3.0"),
        (("langevin", "chains"), 16, "langevin.nc: .* chains = 4, must be 16"),
        (("loop_map", "widths"), [5], "loop_map.parquet: not what the config asks for: widths = 4, must be 5"),
        (("maps", "mine", "y_values"), [5, 8], "phase_map.parquet: .* y_values = 4.0,8.0, must be 5.0,8.0"),
        (("checks", "alpha"), 1e-200, "checks.txt: not the summary of .* at alpha = 1e-200"),
    ],
)
def test_another_config_is_seen(folder, capsys, path, value, problem):
    """In an overlay, which is merged as Snakemake does it."""
    change = value
    for name in reversed(path):
        change = {name: change}
    Path("overlay.yaml").write_text(yaml.safe_dump(change))
    done, lines = _verify(capsys, "--configfile", "config.yaml", "--configfile", "overlay.yaml")
    assert done == 1
    assert any(re.search(problem, line) for line in lines), lines
    Path("whole.yaml").write_text(yaml.safe_dump(merged(VALUES, *path, value=value), sort_keys=False))
    assert _verify(capsys, "--configfile", "whole.yaml") == (1, lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not a readable config"), ("- 1", "must hold keys"), ("a: 1", "experiments: required but missing")],
)
def test_a_bad_config_is_one_line(tmp_path, capsys, text, message):
    (tmp_path / "config.yaml").write_text(text)
    assert main(["verify", "--configfile", str(tmp_path / "config.yaml")]) == 2
    assert message in (said := capsys.readouterr().err)
    assert said.count("\n") == 1
    assert main(["verify", "--configfile", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: no such file" in capsys.readouterr().err


def test_show_says_where_a_file_is_from(folder, capsys, monkeypatch):
    shown = {
        "deep/seed0/data.npz": ("data set", "delta_p: 0.1", "seed: 0"),
        "nested/p4/seed1/theory.nc": ("theory result", "label: nested", "n_train: 4", 'levels: ["nngp", "rescaling"]'),
        "deep/seed0/chi1/langevin.nc": ("langevin result", "chains: 4", "width: [4, 5]"),
        "tables/checks.parquet": ("table checks", "kind"),
        "tables/checks.csv": ("table checks", "sources: "),
        "tables/loop_map.parquet": ("table loop_map", "widths: [4]"),
        "states/deep/seed1/chi1/langevin.pt": ("state of a training", "phase: done", "steps: 64"),
    }
    for name, (what, *entries) in shown.items():
        assert main(["show", str(folder / name)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [f"holds: {what}", "content: as it was written"]
        assert all(entry in lines or any(entry in line for line in lines) for entry in entries if entry != "kind")
        if not name.endswith(".pt"):
            assert lines[2] == "made by code: that of this checkout"
    path = folder / "deep/seed0/chi1/langevin.nc"
    load_dataset(path, "langevin").assign(rhat=np.nan).to_netcdf("x.nc", engine="h5netcdf")
    monkeypatch.setattr(code, "training", lambda *_: "0123456789abcdef")
    assert main(["show", "x.nc"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("content: x.nc: altered or damaged since msat wrote it")
    assert lines[2] == "made by code: other than that of this checkout"


def test_what_is_not_msats_is_refused(folder, capsys):
    Path("a.txt").write_text("a")
    Path("a.nc").write_text("a")
    pd.DataFrame({"a": [1]}).to_parquet("a.parquet")
    Path("a.png").write_bytes(b"\x89PNG")
    np.savez("a.npz", x_train=np.eye(2))
    theory = load_dataset(folder / "deep/seed0/theory.nc", "theory")
    save_dataset(Path("b.nc"), theory.drop_attrs())
    for name, message in {
        "a.txt": "must be a file that msat writes",
        "a.nc": "not a readable NetCDF file",
        "b.nc": "holds no msat result",
        "a.parquet": "has no checksum",
        "a.png": "says nothing of where it is from",
        "a.npz": "has no checksum",
        "none.nc": "no such file",
    }.items():
        assert main(["show", name]) == 2
        assert f"msat: error: {name}: {message}" in (said := capsys.readouterr().err)
        assert said.count("\n") == 1
