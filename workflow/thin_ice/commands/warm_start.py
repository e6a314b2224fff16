"""Jobs of one machine that begin as forks of a process which has imported torch.

Importing torch takes seconds of a processor, and a study on a laptop is hundreds of jobs of a few
seconds. So a run of Snakemake keeps one process, the hearth, that has imported it. A job's command
stays what it is, ``python -m thin_ice STAGE ...``: where `ADDRESS` names a hearth, that command has
it fork and waits for the fork, which runs the stage with the command's arguments, environment,
folder and terminal. Without a hearth, or where anything is not as it was when the hearth began, the
command runs the stage itself; the results are the same.

The hearth imports packages only, nothing of the library but this file: a fork takes the code as it
lies there, as any command does. A fork dies with its command, however that ends.
"""

import atexit
import contextlib
import importlib
import json
import os
import secrets
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

ADDRESS = "THIN_ICE_HEARTH"  # names the hearth's socket; unset: a command imports torch itself
PACKAGES = ("torch", "numpy", "pandas", "pyarrow.parquet")
# By these Snakemake tells libraries, which ask when they are imported, a job's number of threads.
THREADS = (
    *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)
# Variables that no library reads when it is imported.
LATER = ("_", "OLDPWD", "PWD", "SHLVL", "TMPDIR", "TMP", "TEMP", "TEMPDIR")
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
KILLED = 128 + signal.SIGKILL

Run = Callable[[Sequence[str]], int]  # a command's arguments to its exit status


class Hearth:
    """The process to fork from, for as long as a run of Snakemake lasts. For Linux."""

    def __init__(self, threads: int) -> None:
        """Begin one for jobs to which Snakemake gives so many threads each."""
        os.environ[ADDRESS] = f"thin-ice-{secrets.token_hex(16)}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(_socket_of(os.environ[ADDRESS]))
            listener.listen(128)  # who comes before the packages are there waits for them
            # What it reads ends when this process does, however it does, and so does the hearth.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "thin_ice.commands.warm_start", str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=os.environ | dict.fromkeys(THREADS, f"{threads}"),
            )

    def release(self) -> None:
        """Fork no more. Jobs that run go on."""
        os.environ.pop(ADDRESS, None)
        self._process.terminate()
        self._process.communicate()


def _socket_of(address: str) -> str:
    """In Linux's own space of names, where nothing is left behind."""
    return f"\0{address}"


# The command.


def run(arguments: Sequence[str], otherwise: Run) -> int:
    """A command's exit status: a fork's of the hearth, or else ``otherwise``'s in this process."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        replies = connection.makefile()
        try:
            fork = _asked(connection, replies, arguments)
        except OSError:  # it has ended, or this process lacks a standard stream
            fork = None
        if fork is not None:
            return _status_of(fork, replies)
    return otherwise(arguments)


def _asked(connection: socket.socket, replies: TextIO, arguments: Sequence[str]) -> int | None:
    """The process that was told what to run, if there is a hearth and it is like this process."""
    if not (address := os.environ.get(ADDRESS)):
        return None
    connection.connect(_socket_of(address))
    socket.send_fds(connection, [b"\n"], [0, 1, 2])
    request = {
        "arguments": list(arguments),
        "folder": str(Path.cwd()),
        "variables": dict(os.environ),
        "like": _circumstances(),
    }
    connection.sendall(json.dumps(request).encode() + b"\n")
    answer = replies.readline().strip()
    return int(answer) if answer else None


def _status_of(fork: int, replies: TextIO) -> int:
    """The exit status of the process ``fork``, which gets the signals that this one gets."""
    passed = []

    def forward(number: int, _frame: object) -> None:
        passed.append(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(fork, number)

    for number in FORWARDED:
        signal.signal(number, forward)
    with contextlib.suppress(ConnectionError):
        if last := replies.readline().strip():
            return int(last)
    return 128 + passed[0] if passed else KILLED


def _circumstances() -> dict:
    """What must be the same for a fork to be what the command would have been."""
    variables = {name: value for name, value in os.environ.items() if name not in LATER}
    return {"python": sys.executable, "path": sys.path[1:], "variables": variables}


# The hearth.


def serve(listener: socket.socket) -> None:
    """Fork for every command that connects, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the jobs
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for a fork is its command
    like = _circumstances()
    for package in PACKAGES:
        importlib.import_module(package)
    with selectors.DefaultSelector() as events:
        events.register(listener, selectors.EVENT_READ)
        events.register(sys.stdin, selectors.EVENT_READ)
        while all(key.fileobj is listener for key, _ in events.select()):
            connection, _ = listener.accept()
            if _is_ours(connection) and not os.fork():
                try:
                    listener.close()
                    _be_the_command(connection, like)
                finally:
                    os._exit(1)
            connection.close()


def _is_ours(connection: socket.socket) -> bool:
    """Whether the same user is at the other end."""
    form = struct.Struct("iII")  # of Linux's ucred: process, user, group
    sent = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size)
    return form.unpack(sent)[1] == os.getuid()


def _be_the_command(connection: socket.socket, like: dict) -> None:
    """In a fork: run what the command asks for, if it is like the hearth."""
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    replies = connection.makefile("rw")
    request = json.loads(replies.readline())
    if request["like"] != like:
        print(file=replies, flush=True)
        return
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]  # as `python -m` has it
    os.environ.clear()
    os.environ.update(request["variables"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    threading.Thread(target=_die_with, args=(connection,), daemon=True).start()
    print(os.getpid(), file=replies, flush=True)
    status = _ended(request["arguments"])
    print(status, file=replies, flush=True)
    os._exit(status)


def _die_with(connection: socket.socket) -> None:
    """End this process at once when its command does, who has no more to say."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
    connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _ended(arguments: Sequence[str]) -> int:
    """Run a command to its end, as Python would; the exit status."""
    from thin_ice.commands.cli import main

    sys.argv = [sys.argv[0], *arguments]
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
