"""The commands of docs/own_data.md, as they stand there, and the numbers that it gives for the theory."""

import re
from pathlib import Path

import pytest
import yaml

from msat.cli import main
from msat.config import merged, parse_config, with_files
from tests.test_config import ROOT

TEXT = (ROOT / "docs/own_data.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def _levels(table: str) -> dict[tuple[str, str], float]:
    """Return the number of each quantity and level in what msat compare prints."""
    numbers, quantity = {}, ""
    for line in table.splitlines():
        if match := re.match(r"^  (\w+) +\S+ \+- ", line):
            quantity = match[1]
        elif match := re.match(r"^    (\w+) +(\S+) +z =", line):
            numbers[quantity, match[1]] = float(match[2])
    return numbers


@pytest.mark.slow
def test_the_documented_commands(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    exec(_blocks("python")[0], {})  # it is our own file
    commands = _blocks("sh")[0].splitlines()
    assert len(commands) == 4
    for command in commands:
        capsys.readouterr()
        assert main(command.removeprefix("msat ").split()) == 0, command
    printed, documented = _levels(capsys.readouterr().out), _levels(_blocks("text")[0])
    assert len(documented) == 12
    for key, value in documented.items():
        assert printed[key] == pytest.approx(value, rel=1e-5), key

    # and the overlay is the same experiment, once the table is there
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    config = parse_config(merged(values, yaml.safe_load((ROOT / "configs/own_data.yaml").read_text())))
    assert list(with_files(config)[0].experiments) == ["diabetes"]
    options = config.task_options("diabetes")
    assert options.pop("target") == ["progression"]
    assert "--target progression " in commands[0]
    for name in ("file", "n_train", "n_test", "standardise"):
        assert f"--{name.replace('_', '-')} {options[name]} " in commands[0]
    assert Path("theory.nc").exists()
