"""Timing the solvers: every mode and the textbook form, on the same audio in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.audio_files import Source
from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.kernels.textbook import textbook_newton
from chowtape_cli.dsp.synthesis import mix
from chowtape_cli.neural.bank import load_any
from chowtape_cli.settings import MODES

RATE = 44_100
REPEATS = 3
BLOCK = 4096
TEXTBOOK = "textbook"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the benchmark.

    Attributes:
        name: the mode, or ``textbook``.
        wall_seconds: the fastest of the repeats.
        realtime: audio seconds per wall second, all channels.
        megasamples: million samples a second, counting every channel.
        ratio_to_nr8, ratio_to_textbook: how many times as fast.
    """

    name: str
    wall_seconds: float
    realtime: float
    megasamples: float
    ratio_to_nr8: float
    ratio_to_textbook: float


def measure(
    seconds: float, source: Path | None, step: Callable[[str], None] = lambda _: None
) -> list[Figure]:
    """Time each solver on generated stereo audio, or on a recording.

    Args:
        seconds: length of the generated audio.
        source: a recording to use instead.
        step: called with the name of each solver before it is measured.

    Raises:
        AudioFileError: the recording can't be read.
    """
    if source is None:
        samples, rate = mix(seconds, RATE), RATE
    else:
        with Source(source) as opened:
            samples = np.concatenate([np.zeros((0, opened.info.channels)), *opened.blocks()])
            rate = opened.info.rate
    times = {}
    for name in (TEXTBOOK, *MODES):
        step(name)
        run = _textbook if name == TEXTBOOK else _mode
        run(name, samples[:BLOCK])  # compiles
        times[name] = min(_timed(run, name, samples) for _ in range(REPEATS))
    return [
        Figure(
            name=name,
            wall_seconds=wall,
            realtime=len(samples) / rate / wall,
            megasamples=samples.size / wall / 1e6,
            ratio_to_nr8=times["nr8"] / wall,
            ratio_to_textbook=times[TEXTBOOK] / wall,
        )
        for name, wall in times.items()
    ]


def _timed(
    run: Callable[[str, NDArray[np.float64]], None], name: str, samples: NDArray[np.float64]
) -> float:
    began = time.perf_counter()
    run(name, samples)
    return time.perf_counter() - began


def _mode(name: str, samples: NDArray[np.float64]) -> None:
    network = load_any(None).at(0.5, 0.5) if name == "stn" else None
    for first in range(0, samples.shape[1], LANES):
        solver = Hysteresis(name, coefficients(0.5, 0.5, 0.5), network)
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK, first : first + LANES]
            rows = np.zeros((len(block), LANES))
            rows[:, : block.shape[1]] = block
            solver.push(rows)


def _textbook(_name: str, samples: NDArray[np.float64]) -> None:
    for channel in range(samples.shape[1]):
        field = np.ascontiguousarray(samples[:, channel])
        textbook_newton(field, np.empty_like(field), *coefficients(0.5, 0.5, 0.5), 8)
