"""What the networks learn from: synthetic fields, and nr8's answer to them.

The tape knows no sample rate, so frequencies are in cycles per sample and one set covers every
rate. Five kinds of signal, at levels from -50 dBFS to past the guard. Nothing is recorded music,
and nothing is a signal that the accuracy of a bank is measured on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.hysteresis import GUARD, Hysteresis
from chowtape_cli.dsp.jiles_atherton import Coefficients, coefficients
from chowtape_cli.dsp.kernels import LANES

Samples = NDArray[np.float64]

LENGTH = 1536
FADE_IN = 24
QUIETEST_DBFS, LOUDEST_DBFS = -50.0, 32.0
# The trapezoid rule of nr8 overshoots M_s on loud treble; that is no property of the tape, and a
# sequence in which it happens is turned down until it does not.
OVERSHOOT = 1.08
QUIETER = 10.0 ** (-4.0 / 20.0)


class Lessons(NamedTuple):
    """Sequences to learn from.

    Attributes:
        tapes: the coefficients of each sequence.
        H: fields, Shape: (sequences, time).
        M: nr8's magnetisation in units of M_s, Shape: (sequences, time).
    """

    tapes: list[Coefficients]
    H: Samples
    M: Samples


def lessons(settings: list[tuple[float, float, float]], count: int, seed: int) -> Lessons:
    """Draw ``count`` sequences for each (drive, saturation, bias), their levels spread evenly."""
    draw = np.random.default_rng(seed)
    tapes, fields, answers = [], [], []
    for setting in settings:
        tape = coefficients(*setting)
        places = (np.arange(count) + draw.random(count)) / count
        levels = QUIETEST_DBFS + (LOUDEST_DBFS - QUIETEST_DBFS) * places
        H = np.array([_sequence(draw, level) for level in levels])
        M = magnetisation(H, tape)
        for _ in range(64):
            wild = overshoots(M)
            if not wild.any():
                break
            H[wild] *= QUIETER
            M[wild] = magnetisation(H[wild], tape)
        tapes += [tape] * count
        fields.append(H)
        answers.append(M)
    return Lessons(tapes, np.concatenate(fields), np.concatenate(answers))


def magnetisation(H: Samples, tape: Coefficients) -> Samples:
    """Return nr8's answer in units of M_s, Shape: (sequences, time)."""
    out = np.empty_like(H)
    for first in range(0, len(H), LANES):
        group = H[first : first + LANES]
        rows = np.zeros((H.shape[1], LANES))
        rows[:, : len(group)] = group.T
        out[first : first + LANES] = Hysteresis("nr8", tape).push(rows)[:, : len(group)].T
    return out / tape.M_s


def overshoots(M: Samples) -> NDArray[np.bool_]:
    """Return for each sequence whether M or the leapfrog state p leaves M_s."""
    p = np.zeros(len(M))
    worst = np.abs(M).max(axis=1)
    for m in M.T:
        p = 2.0 * m - p
        worst = np.maximum(worst, np.abs(p))
    wild: NDArray[np.bool_] = ~(worst <= OVERSHOOT)
    return wild


def _sequence(draw: np.random.Generator, level_dbfs: float) -> Samples:
    x = _KINDS[draw.integers(len(_KINDS))](draw)
    x = x * np.minimum(1.0, np.arange(LENGTH) / FADE_IN)
    scaled: Samples = x * (10.0 ** (level_dbfs / 20.0) / np.abs(x).max())
    return np.clip(scaled, -GUARD["stn"], GUARD["stn"])


def _noise(draw: np.random.Generator) -> Samples:
    """Noise with a spectral slope and a corner."""
    f = np.fft.rfftfreq(2 * LENGTH)
    f[0] = f[1]
    corner = 10.0 ** draw.uniform(-3.3, -0.5)
    slope, steepness = draw.uniform(0.0, 1.2), draw.uniform(0.5, 2.0)
    spectrum = (f / corner) ** -slope / (1.0 + (f / corner) ** 2) ** steepness
    return np.fft.irfft(spectrum * np.exp(2j * np.pi * draw.random(f.size)))[:LENGTH]


def _tones(draw: np.random.Generator) -> Samples:
    """One to six sines whose levels wander."""
    t = np.arange(LENGTH)
    x = np.zeros(LENGTH)
    for _ in range(draw.integers(1, 7)):
        f = 10.0 ** draw.uniform(-3.3, -0.65)
        tone = f ** -draw.uniform(0.0, 0.7) * np.sin(2 * np.pi * (f * t + draw.random()))
        wander = np.sin(2 * np.pi * (draw.uniform(0.0, 3.0) * t / LENGTH + draw.random()))
        x += tone * (1.0 + 0.5 * wander)
    return x


def _sweep(draw: np.random.Generator) -> Samples:
    """A logarithmic sweep, up or down."""
    f = np.geomspace(10.0 ** draw.uniform(-3.3, -2.0), 10.0 ** draw.uniform(-2.0, -0.7), LENGTH)
    if draw.random() < 0.5:
        f = f[::-1]
    return np.sin(2 * np.pi * np.cumsum(f))


def _steps(draw: np.random.Generator) -> Samples:
    """Smoothed random steps: plateaus, and what stays magnetised after them."""
    levels = np.repeat(draw.normal(size=LENGTH // 32 + 1), 32)[:LENGTH]
    width = int(draw.integers(3, 64))
    padded = np.concatenate((np.zeros(width), levels))
    return np.convolve(padded, np.hanning(width + 2)[1:-1], "valid")[:LENGTH]


def _bursts(draw: np.random.Generator) -> Samples:
    """A loud start that magnetises the tape, then something quieter."""
    x = _noise(draw)
    envelope = np.full(LENGTH, 10.0 ** draw.uniform(-2.0, -0.5))
    envelope[: draw.integers(LENGTH // 8, LENGTH // 2)] = 1.0
    smooth = np.hanning(65) / np.hanning(65).sum()
    return x * np.convolve(np.pad(envelope, 32, "edge"), smooth, "valid")


_KINDS: tuple[Callable[[np.random.Generator], Samples], ...] = (
    _noise,
    _tones,
    _sweep,
    _steps,
    _bursts,
)
