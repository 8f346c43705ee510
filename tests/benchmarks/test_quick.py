"""`python -m benchmarks --quick` runs to the end and writes its tables and figure; peers may be missing."""

import subprocess
import sys

import pytest

from msat.langevin.samplers import NAMES
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def test_every_section_is_written(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    text = (tmp_path / "RESULTS.md").read_text()
    for heading in (
        "floor",
        "What must hold",
        "Samplers",
        "Cost against size",
        "Theory",
        "Dual kernels",
        "Small networks",
    ):
        assert any(line.startswith("## ") and heading in line for line in text.splitlines()), heading
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in text.splitlines() if line.startswith("| ")}
    for name in (*NAMES, "naive loop"):
        assert all(float(cell) > 0 for cell in rows[name][:6]), name
    assert (tmp_path / "results.png").stat().st_size > 10_000
