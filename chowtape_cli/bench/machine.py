"""What the benchmark ran on, and the most arithmetic that one of its cores does."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.kernels.peak import OPERATIONS, double_peak, single_peak

_ITEMS = 1024
_ROUNDS = 1000
_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine.

    Attributes:
        processor: its name, None where it has none to tell.
        cores: how many; as many worker processes is what a render takes by default.
        peak_gflops: billion additions and multiplications a second on one core, at most, in double
            precision: a multiply-add counts as two.
        peak_gflops_single: the same in single precision.
    """

    processor: str | None
    cores: int
    peak_gflops: float
    peak_gflops_single: float


def look_at_machine() -> Machine:
    """Measure this machine."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        peak_gflops=_peak(double_peak, np.float64),
        peak_gflops_single=_peak(single_peak, np.float32),
    )


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def _peak(loop: Callable[..., None], kind: type) -> float:
    """Return billion operations a second, the most of several tries."""
    x: NDArray[Any] = np.full(_ITEMS, 0.3, kind)
    constants: NDArray[Any] = np.array([0.25, 0.1], kind)
    best = 0.0
    for _ in range(_REPEATS):
        began = time.perf_counter()
        loop(x, _ROUNDS, constants)
        best = max(best, _ROUNDS * _ITEMS * OPERATIONS / (time.perf_counter() - began) / 1e9)
    return best
