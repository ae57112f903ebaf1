"""The spectrum of a driven sine: what the tape adds, and what folds back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.figures.tone import REACH, amplitudes, bin_of, decibels, noise_bandwidth, sine
from chowtape_cli.render import check_rates, render_array
from chowtape_cli.settings import RenderSettings, decibels_to_gain

FRAMES = 1 << 16
FLOOR_DBFS = -200.0
LEAST_DBFS = -140.0  # aliases below are not listed one by one
RANGE_DB = 135.0  # nor those that lie further below a quieter sine


@dataclass(frozen=True, kw_only=True)
class Harmonics:
    """What became of the sine under one setting.

    Attributes:
        label: what is special about the setting.
        settings: all of it.
        frequency: of the sine in Hz, the nearest that fits the transform.
        level: peak of the sine in dBFS.
        harmonics: frequency in Hz and level in dBFS of each harmonic below half the sample rate,
            the sine itself first, Shape: (harmonics, 2).
        aliases: the same of every line that is no harmonic, Shape: (lines, 2).
        harmonics_db: power of all harmonics but the first, relative to the first; None for none.
        aliases_db: power of all that is no harmonic, relative to the first; None for nothing.
        resets: how often the solver ran away.
    """

    label: str
    settings: RenderSettings
    frequency: float
    level: float
    harmonics: NDArray[np.float64]
    aliases: NDArray[np.float64]
    harmonics_db: float | None
    aliases_db: float | None
    resets: int


def harmonics(
    settings: Mapping[str, RenderSettings], frequency: float, level: float, rate: int
) -> list[Harmonics]:
    """Render a sine with each setting and measure its lines once it has settled.

    Args:
        settings: by label.
        frequency: of the sine in Hz.
        level: its peak in dBFS.
        rate: its sample rate in Hz.

    Raises:
        SettingsError: there is no such frequency at this sample rate.
        SampleError: a setting does not go with the sample rate.
        BankError: the networks of mode stn can't be read.
    """
    cycles = bin_of(frequency, rate, FRAMES)
    x = decibels_to_gain(level) * sine(cycles, FRAMES, FRAMES + FRAMES // 2)
    found = []
    for label, one in settings.items():
        check_rates(one, rate)
        render = render_array(x, rate, one)
        lines = _lines(render.samples[-FRAMES:], cycles, rate)
        found.append(
            Harmonics(
                label=label,
                settings=one,
                frequency=cycles * rate / FRAMES,
                level=level,
                resets=render.resets,
                **lines,
            )
        )
    return found


def _lines(samples: NDArray[np.float64], cycles: int, rate: int) -> dict[str, Any]:
    """Sort the lines of a spectrum into harmonics and the rest."""
    spectrum = amplitudes(samples)
    levels = decibels(spectrum, FLOOR_DBFS)
    places = np.arange(cycles, FRAMES // 2, cycles)
    other = np.ones(spectrum.size, dtype=bool)
    for place in (0, *places):
        other[max(place - REACH, 0) : place + REACH + 1] = False
    crests = np.zeros_like(other)
    crests[1:-1] = (spectrum[1:-1] > spectrum[:-2]) & (spectrum[1:-1] >= spectrum[2:])
    least = max(min(LEAST_DBFS, levels[cycles] - RANGE_DB), FLOOR_DBFS)
    lines = np.flatnonzero(other & crests & (levels > least))
    first = float(spectrum[cycles] ** 2)
    rest = float(np.sum(spectrum[other] ** 2)) / noise_bandwidth(FRAMES)
    return {
        "harmonics": np.stack([places * rate / FRAMES, levels[places]], axis=1),
        "aliases": np.stack([lines * rate / FRAMES, levels[lines]], axis=1),
        "harmonics_db": _power_db(float(np.sum(spectrum[places[1:]] ** 2)), first),
        "aliases_db": _power_db(rest, first),
    }


def _power_db(power: float, reference: float) -> float | None:
    return float(10.0 * np.log10(power / reference)) if power > 0.0 < reference else None
