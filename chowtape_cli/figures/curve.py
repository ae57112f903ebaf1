"""The gain curve: how much louder or softer a sine comes out, against its level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.figures.tone import bin_of, sine
from chowtape_cli.render import check_rates, render_array
from chowtape_cli.settings import RenderSettings

RATE = 44_100
FRAMES = 1 << 15
SETTLING = FRAMES // 2


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The gain of one setting.

    Attributes:
        label: what is special about the setting.
        settings: all of it.
        frequency: of the sine in Hz, the nearest that fits.
        levels: peak level of the sine in dBFS, Shape: (levels,).
        gain: RMS of what comes out over RMS of what went in, in dB, Shape: (levels,).
        resets: how often the solver ran away.
    """

    label: str
    settings: RenderSettings
    frequency: float
    levels: NDArray[np.float64]
    gain: NDArray[np.float64]
    resets: int


def curves(
    settings: Mapping[str, RenderSettings], frequency: float, lowest: float, highest: float
) -> list[Curve]:
    """Measure the gain of each setting for sines a decibel apart, or less.

    Args:
        settings: by label.
        frequency: of the sine in Hz.
        lowest: first level in dBFS.
        highest: last level in dBFS.

    Raises:
        SettingsError: there is no such frequency.
        BankError: the networks of mode stn can't be read.
    """
    cycles = bin_of(frequency, RATE, FRAMES)
    levels = np.linspace(lowest, highest, max(2, int(np.ceil(highest - lowest)) + 1))
    # every level is a channel of one render
    x = sine(cycles, FRAMES, SETTLING + FRAMES)[:, None] * 10.0 ** (levels / 20.0)
    found = []
    for label, one in settings.items():
        check_rates(one, RATE)
        render = render_array(x, RATE, one)
        before, after = (part[-FRAMES:].std(axis=0) for part in (x, render.samples))
        gain = 20.0 * np.log10(np.maximum(after / before, 1e-10))
        found.append(
            Curve(
                label=label,
                settings=one,
                frequency=cycles * RATE / FRAMES,
                levels=levels,
                gain=gain,
                resets=render.resets,
            )
        )
    return found
