"""What a setting of the tape does to a sine: harmonics, and a hysteresis loop."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from chowtape_cli.render import render_array
from chowtape_cli.settings import RenderSettings

SINE_HZ = 997  # prime: no alias of a harmonic falls on another one
SINE_LEVEL = 0.5  # -6 dBFS
HARMONICS = tuple(range(2, 11))
NOTHING_DB = -200.0  # what is further below the fundamental is rounding
_SETTLED = 0.75  # seconds; the DC blocker has come to rest
_LOOP_POINTS = 400
_LOOP_LEVEL = 0.9
_LOOP_PERIODS = 4


@dataclass(frozen=True)
class Harmonics:
    """Harmonics of a sine.

    Attributes:
        levels_db: of H2 to H10, relative to the fundamental; None where there is nothing above
            -200 dB, or the harmonic lies above half the sample rate.
        thd_db: all of them together; None where there are none.
    """

    levels_db: list[float | None]
    thd_db: float | None


def sine_hz(rate: int) -> int:
    """Return the frequency of the sine: 997 Hz, lower where H10 would pass half the rate."""
    return max(1, min(SINE_HZ, rate // 24))


def harmonics(settings: RenderSettings, rate: int) -> Harmonics:
    """Render a sine at -6 dBFS with these settings, at a sample rate in Hz; measure its harmonics.

    One second is analysed, which holds whole periods of the sine: no window, no leakage. A rate of
    1 or 2 Hz has no sine, and nothing is found.

    Raises:
        BankError: the networks of mode stn can't be read.
    """
    out_rate = settings.rate or rate
    hz = sine_hz(min(rate, out_rate))
    if 2 * hz >= min(rate, out_rate):
        return Harmonics([None] * len(HARMONICS), None)
    sine = SINE_LEVEL * np.sin(2.0 * np.pi * hz * np.arange(2 * rate) / rate)
    first = round(_SETTLED * out_rate)
    second = render_array(sine, rate, settings).samples[first : first + out_rate]
    spectrum = np.abs(np.fft.rfft(second))
    fundamental = float(spectrum[hz])
    levels = [
        float(spectrum[k * hz]) / fundamental
        if fundamental > 0.0 and 2 * k * hz < out_rate
        else 0.0
        for k in HARMONICS
    ]
    together = math.sqrt(sum(level * level for level in levels))
    return Harmonics([_decibels(level) for level in levels], _decibels(together))


def _decibels(ratio: float) -> float | None:
    level = 20.0 * math.log10(ratio) if ratio > 0.0 else -math.inf
    return level if level > NOTHING_DB else None


def hysteresis_loop(settings: RenderSettings, rate: int) -> dict[str, list[float]]:
    """Return one loop of the bare hysteresis under a sine near full scale.

    Returns:
        ``h``, the field, and ``m``, the magnetisation, 400 points each, in full scales.

    Raises:
        BankError: the networks of mode stn can't be read.
    """
    bare = replace(
        settings,
        oversampling=1,
        makeup=False,
        dc_block=0.0,
        mix=100.0,
        input_gain=0.0,
        output_gain=0.0,
        rate=None,
    )
    turns = np.arange(_LOOP_PERIODS * _LOOP_POINTS) / _LOOP_POINTS
    field = _LOOP_LEVEL * np.sin(2.0 * np.pi * turns)
    magnetisation = render_array(field, rate, bare).samples
    last = slice(-_LOOP_POINTS, None)
    return {"h": field[last].tolist(), "m": magnetisation[last].tolist()}
