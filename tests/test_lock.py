"""The lock and pyproject.toml must agree; refresh the lock with ``make lock``."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def _pins():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)) for pin in pins}


def test_lock_satisfies_every_requirement():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["workflow"], *extras["dev"]]
    pins = _pins()
    for text in wanted:
        requirement = Requirement(text)
        pin = pins[canonicalize_name(requirement.name)]
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{text} against {pin}"


def test_torch_is_pinned_without_a_build():
    """A build tag such as +cpu would bind the lock to one kind of machine."""
    pin = _pins()["torch"]
    assert str(pin) == "==2.13.0"
    assert not re.search(r"sha256|--hash|://|/", (ROOT / "requirements.lock").read_text())
