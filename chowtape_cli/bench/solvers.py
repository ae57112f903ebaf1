"""Timing the bare solvers: every mode and the textbook form, on the same audio, on one core."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.audio_files import Source
from chowtape_cli.dsp.buffers import RowBuffer
from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.textbook import textbook_newton
from chowtape_cli.neural.catalogue import load_any

MOST_SECONDS = 30.0
REPEATS = 3
BLOCK = 512
TEXTBOOK = "textbook"
SOLVERS = ("rk2", "rk4", "nr4", "nr8", "stn 2x4", "stn 3x4", "stn 2x8")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the benchmark.

    Attributes:
        name: the mode, or ``textbook``.
        wall_seconds: the fastest of the repeats.
        realtime: audio seconds per wall second, all channels.
        megasamples: million samples a second, counting every channel.
        ratio_to_nr8, ratio_to_textbook: how many times as fast.
        error_db: error-to-signal energy ratio against nr8; None where there is none.
    """

    name: str
    wall_seconds: float
    realtime: float
    megasamples: float
    ratio_to_nr8: float
    ratio_to_textbook: float
    error_db: float | None


def measure_solvers(source: Path, step: Callable[[str], None] = lambda _: None) -> list[Figure]:
    """Time each solver on a recording, on MOST_SECONDS of it at most.

    The audio is laid out over all lanes, a stretch of time to each, as the kernels like it; the
    textbook solver takes one channel after the other.

    Args:
        source: the recording.
        step: called with what is about to be measured.

    Raises:
        AudioFileError: the recording can't be read.
        BankError: the networks can't be read.
    """
    with Source(source) as opened:
        rate = opened.info.rate
        samples = np.zeros((round(MOST_SECONDS * rate), opened.info.channels))
        samples = samples[: opened.read(samples)]
    rows = _over_lanes(samples)
    exact = _run_mode("nr8", rows)
    times, errors = {}, {}
    for name in (TEXTBOOK, *SOLVERS):
        step(f"bare solver: {name}")
        if name == TEXTBOOK:
            times[name] = min(_timed(run_textbook, samples) for _ in range(REPEATS))
            continue
        errors[name] = _error_db(_run_mode(name, rows), exact)
        times[name] = min(_timed_mode(name, rows) for _ in range(REPEATS))
    return [
        Figure(
            name=name,
            wall_seconds=wall,
            realtime=len(samples) / rate / wall,
            megasamples=samples.size / wall / 1e6,
            ratio_to_nr8=times["nr8"] / wall,
            ratio_to_textbook=times[TEXTBOOK] / wall,
            error_db=errors.get(name),
        )
        for name, wall in times.items()
    ]


def _over_lanes(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the channels one after the other, cut into LANES stretches, Shape: (time, LANES)."""
    line = samples.T.reshape(-1)
    filled = np.append(line, np.zeros(-line.size % LANES))
    rows = RowBuffer().room(filled.size // LANES)
    rows[:] = filled.reshape(LANES, -1).T
    return rows


def _error_db(measured: NDArray[np.float64], exact: NDArray[np.float64]) -> float | None:
    energy = float(np.sum(exact**2))
    error = float(np.sum((measured - exact) ** 2))
    return 10.0 * math.log10(error / energy) if error > 0.0 and energy > 0.0 else None


def _timed(run: Callable[[NDArray[np.float64]], None], samples: NDArray[np.float64]) -> float:
    began = time.perf_counter()
    run(samples)
    return time.perf_counter() - began


def _solver(name: str) -> Hysteresis:
    mode, _, architecture = name.partition(" ")
    network = load_any(architecture or None).at(0.5, 0.5) if mode == "stn" else None
    return Hysteresis(mode, coefficients(0.5, 0.5, 0.5), network)


def _run_mode(name: str, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    solver = _solver(name)
    blocks = [solver.push(rows[at : at + BLOCK]).copy() for at in range(0, len(rows), BLOCK)]
    return np.concatenate([rows[:0], *blocks])


def _timed_mode(name: str, rows: NDArray[np.float64]) -> float:
    """Time the kernel alone; as in a render, its field comes from the cache."""
    solver = _solver(name)
    field = RowBuffer()
    total = 0.0
    for at in range(0, len(rows), BLOCK):
        block = rows[at : at + BLOCK]
        held = field.room(len(block))
        held[:] = block
        began = time.perf_counter()
        solver.push(held)
        total += time.perf_counter() - began
    return total


def run_textbook(samples: NDArray[np.float64]) -> None:
    """Run the yardstick over every channel, Shape: (frames, channels)."""
    for channel in samples.T:
        field = np.ascontiguousarray(channel)
        textbook_newton(field, np.empty_like(field), *coefficients(0.5, 0.5, 0.5), 8)
