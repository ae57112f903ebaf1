"""The hysteresis loop: magnetisation against field while a sine grows, and then stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.render import render_array
from chowtape_cli.settings import RenderSettings, decibels_to_gain

RATE = 96_000
FREQUENCY = 100  # Hz; the tape knows no rate, this is 960 points a cycle
STEADY = 1  # cycle at full level; it ends where it began, within a hundredth


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The path of one setting.

    Attributes:
        label: what is special about the setting.
        settings: the bare hysteresis of that setting.
        H: the field in full scales of the input, Shape: (points,).
        M: the magnetisation in units of M_s, at which the tape is saturated, Shape: (points,).
        resets: how often the solver ran away.
    """

    label: str
    settings: RenderSettings
    H: NDArray[np.float64]
    M: NDArray[np.float64]
    resets: int


def loops(settings: Mapping[str, RenderSettings], level: float, cycles: int) -> list[Loop]:
    """Drive the bare hysteresis of each setting with a sine that grows from nothing and stays.

    Args:
        settings: by label; whatever is around the hysteresis is left out.
        level: peak of the last cycles in dBFS.
        cycles: how many cycles it takes to get there.

    Raises:
        BankError: the networks of mode stn can't be read.
    """
    turns = np.arange((cycles + STEADY) * RATE // FREQUENCY + 1) * FREQUENCY / RATE
    H = decibels_to_gain(level) * np.minimum(turns / cycles, 1.0) * np.sin(2.0 * np.pi * turns)
    return [_loop(label, one, H) for label, one in settings.items()]


def _loop(label: str, settings: RenderSettings, H: NDArray[np.float64]) -> Loop:
    bare = replace(
        settings, oversampling=1, makeup=False, dc_block=0.0, mix=100.0, input_gain=0.0,
        output_gain=0.0, rate=None,
    )  # fmt: skip
    render = render_array(H, RATE, bare)
    M_s = coefficients(bare.drive, bare.saturation, bare.bias).M_s
    return Loop(label=label, settings=bare, H=H, M=render.samples / M_s, resets=render.resets)
