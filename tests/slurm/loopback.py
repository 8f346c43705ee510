"""A SLURM cluster on one machine: every daemon on 127.0.0.1, several nodes, one of them with pretended GPUs.

It needs root, and the packages slurm-wlm and munge; no daemon of the system is used, started or stopped. All
files lie in one folder, but for the links that lead from the system's configuration folder to them: the
executor's inner srun looks only there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
SYSTEM_FOLDER = Path("/etc/slurm")
CPUS = 2  # of each node

_CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
MailProg=/bin/true
MpiDefault=none
# no cgroups: memory limits are accounted for and not enforced
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
# the nodes may pretend to have more CPUs and memory than the machine
SlurmdParameters=config_overrides
ReturnToService=2
# finished jobs stay visible to squeue
MinJobAge=3600
KillWait=10
SlurmdTimeout={node_timeout}
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes={cpu_nodes} Default=YES MaxTime=INFINITE
PartitionName=gpu Nodes={gpu_node} MaxTime=INFINITE
"""


def missing() -> str:
    """Return why there can be no cluster here; empty if there can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not installed (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "only root can start the daemons"
    if any((SYSTEM_FOLDER / name).exists() for name in ("slurm.conf", "gres.conf", "cgroup.conf")):
        return f"{SYSTEM_FOLDER} already holds a configuration"
    return ""


class Cluster:
    """Start with `start`, stop with `stop`; nodes n1, n2, ... in partition cpu, g1 in partition gpu."""

    def __init__(self, folder: Path, cpu_nodes: int = 3, node_timeout: int = 10) -> None:
        self.folder = folder
        self.nodes = [*(f"n{index}" for index in range(1, cpu_nodes + 1)), "g1"]
        self._node_timeout = node_timeout
        self._links: list[Path] = []
        self._killed: set[str] = set()

    def start(self) -> None:
        """Write the configuration, start the daemons, and wait until every node is idle."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self._configure()
        munge = {name: f"{self.folder}/munge.{name}" for name in ("key", "socket", "seed", "log")}
        key = Path(munge["key"])
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        self._run(
            "munged",
            *(f"--{name}={munge[short]}" for name, short in [("key-file", "key"), ("socket", "socket")]),
            *(f"--{name}-file={munge[name]}" for name in ("seed", "log")),
            f"--pid-file={self.folder}/munged.pid",
        )
        self._run("slurmctld", "-c")
        for node in self.nodes:
            self.start_node(node)
        self.wait(lambda: self.states().count("idle") == len(self.nodes), 30, "nodes did not become idle")

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._run("slurmd", "-N", node)
        self._killed.discard(node)

    def kill_node(self, node: str) -> None:
        """SIGKILL a node's daemon; what runs on the node goes on, as when only the network fails."""
        os.kill(self._pid(f"slurmd.{node}"), signal.SIGKILL)
        self._killed.add(node)

    def stop(self) -> None:
        """Cancel all jobs, stop the daemons that `start` started, and remove the links."""
        try:
            self._pid("slurmctld")
            for node in set(self._killed):
                self.start_node(node)  # it ends the jobs that its dead daemon has left
            self._run("scancel", "--user=root", check=False)
            self.wait(lambda: not self.ask("squeue", "-h", "-t", "running,completing"), 20, "")
        except (OSError, subprocess.SubprocessError, TimeoutError):
            pass  # it is not up
        for name in (*(f"slurmd.{node}" for node in self.nodes), "slurmctld", "munged"):
            self._stop(name)
        for link in self._links:
            link.unlink(missing_ok=True)

    def ask(self, *command: str) -> str:
        """Return what a SLURM command prints."""
        return self._run(*command).stdout

    def states(self) -> list[str]:
        """Return the state of every node."""
        nodes = set(self.ask("sinfo", "-h", "-N", "-o", "%N %t").splitlines())  # once for each partition
        return [line.split()[1] for line in sorted(nodes)]

    @staticmethod
    def wait(condition, seconds: float, message: str) -> None:
        """Wait until the condition holds.

        Raises
        ------
        TimeoutError
            If it does not within the given time.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(message)
            time.sleep(0.2)

    def _configure(self) -> None:
        ports = _free_ports(len(self.nodes) + 1)
        lines = [
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} Sockets=1 "
            f"CoresPerSocket={CPUS} ThreadsPerCore=1 RealMemory=8000" + (" Gres=gpu:2" if node == "g1" else "")
            for node, port in zip(self.nodes, ports[1:], strict=True)
        ]
        text = _CONFIGURATION.format(
            folder=self.folder,
            controller_port=ports[0],
            node_timeout=self._node_timeout,
            nodes="\n".join(lines),
            cpu_nodes=",".join(self.nodes[:-1]),
            gpu_node="g1",
        )
        # a pretended GPU needs a device file of its own that exists
        gpus = "AutoDetect=off\n" + "".join(f"NodeName=g1 Name=gpu File=/dev/{device}\n" for device in ("null", "zero"))
        SYSTEM_FOLDER.mkdir(exist_ok=True)
        for name, content in (("slurm.conf", text), ("gres.conf", gpus), ("cgroup.conf", "CgroupAutomount=no\n")):
            (self.folder / name).write_text(content)
            link = SYSTEM_FOLDER / name
            link.symlink_to(self.folder / name)
            self._links.append(link)

    def _run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        # daemons keep their standard streams: a pipe would stay open for as long as they live
        if command[0] in ("munged", "slurmctld", "slurmd"):
            with (self.folder / "start.log").open("a") as log:
                return subprocess.run(command, check=check, stdout=log, stderr=log, text=True, timeout=30)
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=30)

    def _pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def _stop(self, name: str) -> None:
        try:
            pid = self._pid(name)
            os.kill(pid, signal.SIGTERM)
            self.wait(lambda: not _alive(pid), 10, name)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            pass  # was never started, or is gone


def _alive(pid: int) -> bool:
    """Whether a process runs; what has stopped can stay as a zombie where pid 1 does not collect it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
