"""Matching recordings in loudness: every one is turned down to the quietest, none is turned up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.audio_files import Source
from chowtape_cli.dsp.levels import LevelMeter
from chowtape_cli.dsp.loudness import LoudnessMeter, gain_towards, integrated

Progress = Callable[[int, "int | None", int], None]  # frames done, frames in all, sample rate


@dataclass(frozen=True)
class Take:
    """What matching needs to know of a recording.

    Attributes:
        blocks: see `LoudnessMeter.blocks`.
        rms: linear, over all channels.
        peak: the largest sample, linear.
        frames: its length.
        rate: its sample rate in Hz.
    """

    blocks: NDArray[np.float64]
    rms: float
    peak: float
    frames: int
    rate: int

    @property
    def lufs(self) -> float | None:
        """Integrated loudness; None where it is shorter than 0.4 s or below -70 LUFS."""
        return integrated(self.blocks)


@dataclass(frozen=True)
class Match:
    """Gains that make recordings equally loud.

    Attributes:
        quietest_lufs: the loudness of the quietest; None where none could be measured.
        lowered_db: how much lower than the quietest all are, so that none of them clips.
        gains_db: one for each recording, never above 0.
        warnings: about each recording, None where there is nothing to say.
    """

    quietest_lufs: float | None
    lowered_db: float
    gains_db: list[float]
    warnings: list[str | None]

    @property
    def target_lufs(self) -> float | None:
        """The loudness that all get; None where none could be measured."""
        return None if self.quietest_lufs is None else self.quietest_lufs - self.lowered_db


def listen(path: Path, progress: Progress | None = None) -> Take:
    """Measure a file.

    Args:
        path: the file.
        progress: called with frames done, frames in all (or None) and the sample rate in Hz.

    Raises:
        AudioFileError: it can't be read.
        SampleError: a sample is NaN or Inf.
    """
    with Source(path) as source:
        loudness = LoudnessMeter(source.info.rate, source.info.channels)
        level = LevelMeter()
        for block in source.blocks():
            loudness.push(block)
            level.push(block)
            if progress is not None:
                progress(level.frames, source.info.frames, source.info.rate)
    return Take(loudness.blocks(), level.rms, level.peak, level.frames, source.info.rate)


def match(takes: Sequence[Take], limits: Sequence[float]) -> Match:
    """Return what brings every take to the loudness of the quietest, or lower where one would clip.

    A take that is too quiet to have a loudness is left as it is: it would pull all others down.
    Where no take has one, because they are short, their RMS is matched instead.

    Args:
        takes: what is matched.
        limits: the highest peak that each may have, linear; infinite where nothing clips.
    """
    measured = [take.lufs for take in takes]
    heard = [lufs for lufs in measured if lufs is not None]
    if not heard:
        return _match_rms(takes, limits)
    target = min(heard)
    gains = _gains(takes, target)
    lowered = _excess_db(takes, gains, limits)
    if lowered > 0.0:
        gains = _gains(takes, target - lowered)
    warnings = [
        "below -70 LUFS, too quiet to be matched; left as rendered" if lufs is None else None
        for lufs in measured
    ]
    return Match(target, lowered, gains, warnings)


def _gains(takes: Sequence[Take], target: float) -> list[float]:
    return [0.0 if take.lufs is None else gain_towards(take.blocks, target) for take in takes]


def _excess_db(takes: Sequence[Take], gains_db: Sequence[float], limits: Sequence[float]) -> float:
    """Return by how much the takes have to be lower so that none is over its limit."""
    over = [
        20.0 * math.log10(take.peak / limit) + gain
        for take, gain, limit in zip(takes, gains_db, limits, strict=True)
        if take.peak > 0.0 and math.isfinite(limit)
    ]
    return max([0.0, *over])


def _match_rms(takes: Sequence[Take], limits: Sequence[float]) -> Match:
    sounding = [take.rms for take in takes if take.rms > 0.0]
    gains: list[float] = []
    warnings: list[str | None] = []
    for take in takes:
        if take.rms > 0.0:
            gains.append(20.0 * math.log10(min(sounding) / take.rms))
            warnings.append("too short or too quiet for a loudness; the RMS was matched instead")
        else:
            gains.append(0.0)
            warnings.append("silent; not matched" if sounding else None)
    lowered = _excess_db(takes, gains, limits)
    gains = [gain - lowered * (take.rms > 0.0) for gain, take in zip(gains, takes, strict=True)]
    return Match(None, lowered, gains, warnings)
