"""The workflow on a SLURM cluster: the tables of a local run, through every fault that a cluster has.

One machine plays the cluster (loopback.py). The GPUs are pretended: jobs must ask for one and land on its node,
where training then finds no CUDA device and says so.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.slurm.loopback import Cluster, missing

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slurm

PROVENANCE = ["wall_time_s"]  # table columns that say when and how fast
# what the loopback cluster needs beside profiles/slurm: it has no accounting, and is asked more often
LOOPBACK = [
    *("--default-resources", "slurm_partition=cpu", "slurm_account=none", "slurm_extra='--signal=TERM@20'"),
    *("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "15"),
]
# one scale a node: 300,000 steps take 90 s on a fast idle core, beyond a limit of one minute and its warning
FAULTS = """\
results: results/faults
select: [ising_linear]
experiments:
  ising_linear:
    task: {n_train: 20, n_test: 50, dimension: 40}
    network: {width: 20}
    levels: [nngp, exact]
scales:
  chi: [1, 5, 20]
seeds: [0]
langevin:
  steps: 300000
  max_steps: 3000000 # not in use with steps, but long enough for a submission of its own
  max_burn_in: 3000000
saving:
  checkpoint_every: 1
"""


def _copy(folder: Path) -> Path:
    """A copy of the repository's files."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "configs/faults.yaml").write_text(FAULTS)
    return folder


def _start(folder: Path, overlay: str, *arguments: str, log: str = "driver.log") -> subprocess.Popen[bytes]:
    """Start Snakemake on an overlay in a copy; what it prints goes to a file."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "snakemake", *arguments]
    with (folder / log).open("w") as file:
        return subprocess.Popen(
            [*command, "--configfile", "config.yaml", f"configs/{overlay}.yaml"],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def _finish(process: subprocess.Popen[bytes], folder: Path, log: str = "driver.log", seconds: float = 600) -> str:
    code = process.wait(seconds)
    text = (folder / log).read_text()
    assert code == 0, text
    return text


def _assert_same_tables(one: Path, other: Path) -> None:
    names = sorted(path.name for path in one.glob("*.parquet"))
    assert names == sorted(path.name for path in other.glob("*.parquet"))
    assert len(names) >= 7
    for name in names:
        a, b = (pd.read_parquet(path / name).drop(columns=PROVENANCE, errors="ignore") for path in (one, other))
        pd.testing.assert_frame_equal(a, b, check_exact=True)


@pytest.fixture(scope="module")
def cluster():
    reason = missing()
    if reason:
        pytest.skip(f"no SLURM here: {reason}")
    # munge wants a folder that everybody can enter, which pytest's are not
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="module")
def local(cluster, tmp_path_factory):
    """Run an overlay on this machine without SLURM, and return its results."""
    folder = _copy(tmp_path_factory.mktemp("local"))

    def finished(overlay: str, target: str = "all") -> Path:
        log = f"{overlay}.log"
        _finish(_start(folder, overlay, target, "--cores", "2", log=log), folder, log)
        return folder / "results" / overlay

    return finished


@pytest.fixture(scope="module")
def remote(cluster, tmp_path_factory):
    return _copy(tmp_path_factory.mktemp("remote"))


def test_a_wrong_partition_is_said_once_and_stops(remote):
    wrong = ["slurm_partition=nowhere", "slurm_account=none"]
    arguments = ["--profile", "profiles/slurm", *LOOPBACK, "--default-resources", *wrong]
    process = _start(remote, "smoke", *arguments, log="wrong.log")
    assert process.wait(120) != 0
    text = (remote / "wrong.log").read_text()
    assert text.count("invalid partition specified: nowhere") == 1, text
    assert "Nothing was submitted." in text
    assert "Traceback" not in text
    assert "has been submitted" not in text


def test_smoke_run_gives_the_tables_of_a_local_run(cluster, local, remote):
    process = _start(remote, "smoke", "--profile", "profiles/slurm", *LOOPBACK)
    text = _finish(process, remote)
    submitted = text.count("has been submitted with SLURM jobid")
    assert submitted < 13, "groups: fewer submissions than the 3 + 3 + 6 + 2 + 1 jobs"
    used = cluster.ask("scontrol", "show", "jobs")
    nodes = set(re.findall(r"^ *NodeList=(\S+)", used, flags=re.MULTILINE))
    assert "g1" in nodes
    assert len(nodes) >= 2
    gpu_jobs = [job for job in used.split("\n\n") if "Partition=gpu" in job]
    assert gpu_jobs
    for job in gpu_jobs:
        assert re.search(r"gres[:/]gpu[:=]1\b", job), job  # a group of trainings takes one GPU
    log = (remote / "results/smoke/logs/ising_linear/seed0/chi1/train.log").read_text()
    assert "runs on CPU, 1 thread (device auto: torch finds no CUDA device)" in log
    _assert_same_tables(local("smoke") / "tables", remote / "results/smoke/tables")
    assert not list((remote / "results/smoke/checkpoints").iterdir())


class Driver:
    """A run of the fault overlay, each training a submission of its own, on the CPU nodes."""

    ARGUMENTS = (
        *("--profile", "profiles/slurm", *LOOPBACK),
        *("--set-resources", "train:slurm_partition=cpu", "train:gpu=0", "train:mem_mb=1000"),
    )

    def __init__(self, folder: Path, log: str) -> None:
        self.path = folder / log
        self.process = _start(folder, "faults", "tables", *self.ARGUMENTS, log=log)

    def says(self, pattern: str, count: int = 1) -> bool:
        assert self.process.poll() is None, self.path.read_text()
        return len(re.findall(pattern, self.path.read_text())) >= count


def test_faults_lose_nothing(cluster, local, remote):
    """scancel, a time limit and a dead node hit three trainings; then the driver is killed and started again."""
    results = remote / "results/faults"
    trainings = [results / f"logs/ising_linear/seed0/chi{chi}/train.log" for chi in (1, 5, 20)]

    def running() -> dict[str, str]:
        """Node of each running training."""
        listed = cluster.ask("squeue", "-h", "-t", "running", "-o", "%i %N %k").splitlines()
        return {line.split()[0]: line.split()[1] for line in listed}

    def checkpoints() -> list[Path]:
        return list((results / "checkpoints").glob("*.pt"))

    driver = Driver(remote, "faults.log")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: driver.process.kill())
        cluster.wait(
            lambda: driver.says("") and len(checkpoints()) == 3 and len(running()) == 3, 180, "no three trainings"
        )
        time.sleep(3)
        nodes = running()
        alone = next(job for job, node in nodes.items() if list(nodes.values()).count(node) == 1)
        cancelled, limited = (job for job in nodes if job != alone)
        cluster.kill_node(nodes[alone])
        cluster.ask("scancel", cancelled)
        cluster.ask("scontrol", "update", f"jobid={limited}", "TimeLimit=1")

        cluster.wait(lambda: driver.says(r"Trying to restart job [1-9]", 3), 240, "no three retries")
        text = driver.path.read_text()
        assert "CANCELLED" in text
        assert "NODE_FAIL" in text
        # the message that the user sees is the training's own
        assert re.search(r"msat: stopped by SIGTERM in \w+ at step \d+, saved in \S+: the same command goes on", text)
        cluster.start_node(nodes[alone])  # the orphan on it ends

        cluster.wait(lambda: len(running()) >= 1, 60, "no retry is running")
        time.sleep(8)
        driver.process.send_signal(signal.SIGKILL)
        driver.process.wait()

        # as docs/cluster.md says: cancel what the dead driver left, unlock, run again
        names = cluster.ask("squeue", "-h", "-o", "%i %j").split("\n")
        left = [line.split()[0] for line in names if " msat" in line]
        if left:
            cluster.ask("scancel", *left)
        cluster.wait(lambda: not cluster.ask("squeue", "-h", "-t", "pending,running,completing"), 60, "jobs stay")
        unlock = _start(remote, "faults", "--unlock", log="unlock.log")
        _finish(unlock, remote, "unlock.log")
        driver = Driver(remote, "again.log")
        _finish(driver.process, remote, "again.log")

    # the orphan on the dead node may have come to its end: then its final state is taken up, computing nothing
    texts = [log.read_text() for log in trainings]
    assert all(re.search(r"resumed from|goes on from \S+ in done", text) for text in texts), texts
    assert sum("resumed from" in text for text in texts) >= 2, texts
    assert not checkpoints()
    langevin = pd.read_parquet(results / "tables/langevin.parquet")
    assert list(langevin["chi"]) == [1, 5, 20]
    _assert_same_tables(local("faults", "tables") / "tables", results / "tables")
