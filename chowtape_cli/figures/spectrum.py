"""The long-term average spectrum of a recording, in third octaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.audio_files import Source
from chowtape_cli.errors import AudioFileError
from chowtape_cli.files import shown

LOWEST_HZ = 20.0
LOWEST_RATE = 100  # Hz; below, there is hardly a band between 20 Hz and half the sample rate
BANDS_PER_OCTAVE = 12  # each a third of an octave wide, so they overlap
RESOLUTION_HZ = 1.5
FLOOR_DBFS = -160.0
_OVERLAP = 4  # transforms that each sample is in


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """What is in a recording.

    Attributes:
        path: the recording, as it was given.
        rate: sample rate in Hz.
        frames: its length.
        frequencies: centres of the bands in Hz, Shape: (bands,).
        levels: power in a third of an octave around each, mean of the channels, in dBFS; a sine
            of full scale has 0 dBFS, Shape: (bands,).
        level: power of the whole recording in dBFS.
    """

    path: str
    rate: int
    frames: int
    frequencies: NDArray[np.float64]
    levels: NDArray[np.float64]
    level: float


def spectrum(
    path: Path, progress: Callable[[int, int | None, int], None] | None = None
) -> Spectrum:
    """Measure a recording of any length in bounded memory.

    Welch's method with Hann windows that overlap by three quarters. Their squares add up to a
    constant, so that every sample counts the same, and the bins add up to the mean square.

    Args:
        path: any file that libsndfile reads.
        progress: called with frames done, frames in all (or None) and the sample rate in Hz.

    Raises:
        AudioFileError: it can't be read, has no frames, or a sample rate below 100 Hz.
        SampleError: a sample is NaN or Inf.
    """
    with Source(path) as source:
        rate, channels = source.info.rate, source.info.channels
        if rate < LOWEST_RATE:
            raise AudioFileError(
                f"{shown(path)}: a sample rate of {rate} Hz is too low for a spectrum "
                f"from {LOWEST_HZ:.0f} Hz on; name a file of {LOWEST_RATE} Hz or more"
            )
        length = 1 << math.ceil(math.log2(rate / RESOLUTION_HZ))
        hop = length // _OVERLAP
        shape = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)
        power = np.zeros(length // 2 + 1)
        held = np.zeros((length - hop, channels))
        frames = 0
        for block in source.blocks(max(hop, 1 << 14)):
            frames += len(block)
            held = np.concatenate([held, block])
            held = _transformed(held, shape, hop, power)
            if progress is not None:
                progress(frames, source.info.frames, rate)
        _transformed(np.pad(held, ((0, length), (0, 0))), shape, hop, power)
    if frames == 0:
        raise AudioFileError(f"{shown(path)}: has no frames to show; name another file")
    # the mean over channels of each bin's share of the mean square, both its frequencies together
    power *= 2.0 / (length * np.sum(shape**2) / hop * frames * channels)
    power[[0, -1]] *= 0.5
    centres = _centres(rate)
    bands = _bands(power, rate / length, centres)
    return Spectrum(
        path=str(path),
        rate=rate,
        frames=frames,
        frequencies=centres,
        levels=_dbfs(bands),
        level=float(_dbfs(power.sum())),
    )


def _transformed(
    held: NDArray[np.float64], shape: NDArray[np.float64], hop: int, power: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Add the power of all whole stretches to ``power``, and return what is left for later."""
    at = 0
    while at + len(shape) <= len(held):
        lines = np.fft.rfft(held[at : at + len(shape)] * shape[:, None], axis=0)
        power += np.sum(lines.real**2 + lines.imag**2, axis=1)
        at += hop
    return held[at:]


def _centres(rate: int) -> NDArray[np.float64]:
    highest = 0.5 * rate / 2.0 ** (1.0 / 6.0)
    count = math.floor(BANDS_PER_OCTAVE * math.log2(highest / LOWEST_HZ)) + 1
    centres: NDArray[np.float64] = LOWEST_HZ * 2.0 ** (np.arange(count) / BANDS_PER_OCTAVE)
    return centres


def _bands(
    power: NDArray[np.float64], width: float, centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the power within a sixth of an octave on either side, bins cut where they must be."""
    edges = (np.arange(power.size + 1) - 0.5) * width
    below = np.concatenate([[0.0], np.cumsum(power)])
    half = 2.0 ** (1.0 / 6.0)
    bands: NDArray[np.float64] = np.diff(
        [np.interp(centres / half, edges, below), np.interp(centres * half, edges, below)], axis=0
    )[0]
    return bands


def _dbfs(mean_square: NDArray[np.float64] | float) -> NDArray[np.float64]:
    least = 10.0 ** (FLOOR_DBFS / 10.0)
    level: NDArray[np.float64] = 10.0 * np.log10(np.maximum(2.0 * np.asarray(mean_square), least))
    return level
