"""How much memory a process and its children take, all together, at most."""

from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.02  # seconds
_MIB = 1024.0  # kB


@dataclass
class Memory:
    """The most that was seen, in MiB.

    Attributes:
        shared_out: the proportional set sizes: what processes share is counted once.
        resident: the resident set sizes: what they share is counted for each.
    """

    shared_out: float = 0.0
    resident: float = 0.0


def watch(process: subprocess.Popen[str]) -> Memory | None:
    """Look at a process until it ends; None where the system does not tell (only Linux does)."""
    most = Memory()
    while True:
        sizes = [size for size in map(_sizes, _family(process.pid)) if size is not None]
        if sizes:
            most.shared_out = max(most.shared_out, sum(size[0] for size in sizes) / _MIB)
            most.resident = max(most.resident, sum(size[1] for size in sizes) / _MIB)
        try:
            process.wait(_EVERY)
        except subprocess.TimeoutExpired:
            continue
        return most if most.resident else None


def _family(parent: int) -> list[int]:
    """Return a process and all that come from it."""
    family = [parent]
    for one in family:
        with contextlib.suppress(OSError):  # it has just ended
            for task in Path(f"/proc/{one}/task").iterdir():
                family += map(int, (task / "children").read_text(encoding="ascii").split())
    return family


def _sizes(process: int) -> tuple[int, int] | None:
    """Return the proportional and the resident set size in kB; None for one that has ended."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    found = dict(re.findall(r"^(Pss|Rss): +(\d+) kB", text, re.M))
    return (int(found["Pss"]), int(found["Rss"])) if len(found) == 2 else None
