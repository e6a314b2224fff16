"""A real Slurm of one node with two pretended GPUs, for the time of a test.

It takes Debian's slurm-wlm and munge, root, and a machine that has no Slurm of its own: its
configuration must be /etc/slurm, since the executor takes SLURM_CONF away from the steps of jobs.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "scontrol")
DAEMONS_IN = ":/usr/sbin:/sbin"
SETTINGS = Path("/etc/slurm")
GPUS = 2
CPUS = 4  # told to Slurm, whatever there are: small jobs share two cores well enough

OURS = "# Made by the tests of Thin Ice, which remove it.\n"
CONFIGURATION = """\
ClusterName=thinice
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
SlurmdParameters=config_overrides
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MinJobAge=3600
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2
KillWait=5
UnkillableStepTimeout=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=1-0 State=UP
"""


def why_not() -> str:
    """Why no Slurm can be started here; empty if it can."""
    if DAEMONS_IN not in os.environ["PATH"]:
        os.environ["PATH"] += DAEMONS_IN
    lacking = [name for name in PROGRAMS if not shutil.which(name)]
    if lacking:
        return f"{', '.join(lacking)} not installed (apt-get install slurm-wlm munge)"
    if os.geteuid() != 0:
        return "only root can start slurmd and munged"
    settings = SETTINGS / "slurm.conf"
    if settings.exists() and not settings.read_text().startswith(OURS):
        return f"this machine has a Slurm of its own, by {settings}"
    if subprocess.run(["pgrep", "--exact", "slurmctld"], check=False).returncode == 0:
        return "another run of these tests has it up"
    return ""


@dataclass
class Cluster:
    """Daemons below one folder; a context manager."""

    folder: Path
    daemons: list[Path] = field(default_factory=list)

    def __enter__(self) -> "Cluster":
        if reason := why_not():
            raise RuntimeError(reason)
        self._configure()
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.call("scancel", "--user=root", check=False)
        deadline = time.monotonic() + 20
        while self._steps() and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid_file in reversed(self.daemons):
            _stop(pid_file)
        for name in ("slurm.conf", "gres.conf"):
            (SETTINGS / name).unlink(missing_ok=True)

    def _configure(self) -> None:
        host = socket.gethostname().split(".")[0]
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        for name in ("state", "spool", "gpu"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(GPUS):
            device = self.folder / "gpu" / f"gpu{number}"
            device.unlink(missing_ok=True)
            os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))  # a second /dev/null
        SETTINGS.mkdir(exist_ok=True)
        text = CONFIGURATION.format(
            host=host, folder=self.folder, cpus=CPUS, memory=memory, gpus=GPUS
        )
        (SETTINGS / "slurm.conf").write_text(OURS + text)
        devices = f"File={self.folder}/gpu/gpu[0-{GPUS - 1}]"
        (SETTINGS / "gres.conf").write_text(f"NodeName={host} Name=gpu {devices}\n")

    def _start(self) -> None:
        run = Path("/run/munge")
        run.mkdir(exist_ok=True)
        shutil.chown(run, "munge", "munge")
        if _pid(run / "munged.pid") is None:
            as_munge = ("runuser", "-u", "munge", "--")
            self.call(*as_munge, "/usr/sbin/munged", f"--pid-file={run}/munged.pid")
            self.daemons.append(run / "munged.pid")
        self.call("slurmctld")
        self.daemons.append(self.folder / "slurmctld.pid")
        self.call("slurmd", "-N", socket.gethostname().split(".")[0])
        self.daemons.append(self.folder / "slurmd.pid")
        self.wait_for(lambda: "idle" in self.call("sinfo", "-h", "-o", "%T", check=False), 30)

    def _steps(self) -> str:
        """Jobs with steps that have not ended, which would outlive their daemons."""
        return self.call("squeue", "--noheader", "--states=RUNNING,COMPLETING", check=False)

    def jobs(self) -> list[dict[str, str]]:
        """What Slurm says of every job, those that ended as well, a dictionary of fields each."""
        text = self.call("scontrol", "-o", "show", "job")
        lines = [line for line in text.splitlines() if line.startswith("JobId=")]
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]

    def wait_for(self, what, seconds: float):
        """Until ``what()`` gives something true, which is returned."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, f"nothing came within {seconds} s"
            time.sleep(0.2)
        return found

    def job(self, number: str) -> dict[str, str]:
        return next(job for job in self.jobs() if job["JobId"] == number)

    def call(self, *words: str, check: bool = True) -> str:
        """What a command prints."""
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout


def _pid(pid_file: Path) -> int | None:
    """Of a daemon that lives."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if _alive(pid) else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _stop(pid_file: Path) -> None:
    """End a daemon, and wait until it has: it removes its pid file before."""
    if (pid := _pid(pid_file)) is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 15
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
