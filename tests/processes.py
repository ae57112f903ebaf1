"""Processes of a test: started, watched, killed; none of them outlives the test that started it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest

CHOWTAPE = (sys.executable, "-m", "chowtape_cli")
COMPILING = "chowtape: compiling the kernels for this processor, this once\n"
PATIENCE = 300  # seconds: no test waits for a speed, only for an end
_CHILDHOOD = 0.03  # seconds after which a process that was started is what it is to be
# Has a process find out its largest resident size in KiB. The figure of `getrusage` will not do: it
# starts from the size of whoever started the process.
PEAK = (
    "import re; from pathlib import Path\n"
    "peak = int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
)

T = TypeVar("T")
Process = subprocess.Popen[str]

needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")


class Start(AbstractContextManager["Start"]):
    """Starts commands in a folder, each in a process group of its own; all end with the context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []

    def __call__(self, *arguments: object, **options: Any) -> Process:
        """Start the real command; what it says is kept, unless an option sends it elsewhere."""
        return self.program([*CHOWTAPE, *map(str, arguments)], **options)

    def program(self, command: list[str], **options: Any) -> Process:
        """Start any command; a variable of ``env`` is added to those that are there."""
        where = {"cwd": self._folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {**os.environ, **options.pop("env", {})}
        process: Process = subprocess.Popen(
            command, text=True, start_new_session=True, env=environment, **{**where, **options}
        )
        self._started.append(process)
        return process

    def __exit__(self, *error: object) -> None:
        for process in self._started:
            end(process)


def end(process: Process) -> None:
    """Kill a process and whoever is left of its group, bury it, and close its pipes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def said(process: Process) -> tuple[str, str]:
    """Wait until a process has ended; return what it printed on stdout and stderr.

    What it says of compiling is left out, for it depends on what ran before.
    """
    out, complaints = process.communicate(timeout=PATIENCE)
    return out or "", (complaints or "").replace(COMPILING, "")


def seen(start: Start, *arguments: object, columns: int, results: bool = False) -> str:
    """Run the real command, which has to succeed, and return what its user sees on a terminal.

    That is what it says on the way, and where ``results``, what it prints as well.
    """
    ours, theirs = pty.openpty()
    how = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    out = theirs if results else subprocess.DEVNULL
    process = start(*arguments, stdout=out, stderr=theirs, env=how)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:
        pass  # the terminal's other end was closed
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    return shown.decode()


def wait_until(true: Callable[[], T], process: Process | None = None) -> T:
    """Wait until something is true while a process runs; return what it then is."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert process is None or process.poll() is None, said(process)
        assert time.monotonic() < deadline, f"waited for {PATIENCE} s"
        time.sleep(0.002)
    return found


def children(pid: int) -> list[int]:
    """The processes that a process has started and that run; none if it has ended itself."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return [child for child in found if alive(child)]


def workers(pid: int) -> list[int]:
    """The children that compute: the process of Python's resource tracker does not."""
    return [child for child in children(pid) if "resource_tracker" not in _command(child)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def those_with(file: Path, pid: int) -> list[int]:
    """The children that have a file open."""
    return [child for child in children(pid) if str(file) in _open_files(child)]


def _open_files(pid: int) -> list[str]:
    try:
        return [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
    except OSError:  # it closed one, or has ended, meanwhile
        return []


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> bool:
    """Kill a process; return whether there was one to kill."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_until_end(process: Process, victims: Callable[[], Iterable[int]]) -> set[int]:
    """Kill whoever is named, again and again, until a process has ended; return who was killed.

    Nobody is killed at once: before it has become what it is to be, a resource tracker looks like
    a worker.
    """
    killed = set()
    seen: dict[int, float] = {}
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        now = time.monotonic()
        grown = {pid for pid in victims() if now - seen.setdefault(pid, now) > _CHILDHOOD}
        killed |= {pid for pid in grown if kill(pid)}
        assert now < deadline, f"waited for {PATIENCE} s"
        time.sleep(0.001)
    return killed


def shared_memory(pid: int) -> set[Path]:
    """The pieces of shared memory that a process looks into, and that others can look into."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return set()
    pieces = re.findall(r"/dev/shm/\S+", maps)  # noqa: S108
    return {place for place in map(Path, pieces) if place.exists()}


def at_work(pid: int, jobs: int) -> list[int]:
    """The workers of a process, once as many as there are to be have somewhere to write to."""
    found = workers(pid)
    return found if len(found) == jobs and all(map(_writes, found)) else []


def _writes(pid: int) -> bool:
    return bool(shared_memory(pid)) or any(file.endswith(".part") for file in _open_files(pid))


def parts(folder: Path) -> list[Path]:
    """The files in the making below a folder."""
    return list(folder.rglob("*.part"))


def written(folder: Path) -> int:
    """How many bytes the files in the making below a folder have so far."""
    total = 0
    for part in parts(folder):
        with contextlib.suppress(FileNotFoundError):  # it was finished meanwhile
            total += part.stat().st_size
    return total
