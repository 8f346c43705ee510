"""The smoke run, made once for all tests of the workflow, whichever process comes first."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from tests.workflow.running import copy_repository, snakemake


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A copy of the repository in which the smoke run has finished, of the module's own."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    run = shared / "smoke"
    with (shared / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "smoke.done").exists():
            shutil.rmtree(run, ignore_errors=True)
            copy_repository(run)
            snakemake(run)
            (shared / "smoke.done").touch()
    folder = tmp_path_factory.mktemp("copy") / "msat"
    shutil.copytree(run, folder)
    return folder


@pytest.fixture
def edited(finished):
    """Edit a file for one test, and put it back."""
    originals = {}

    def edit(name: str, change) -> None:
        path = finished / name
        originals.setdefault(path, path.read_bytes())
        path.write_text(change(path.read_text()))

    yield edit
    for path, content in originals.items():
        path.write_bytes(content)
