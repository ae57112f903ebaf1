"""Sines that fit a Fourier transform exactly, and the spectra of what becomes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.errors import SettingsError

# 4-term Blackman-Harris (F. J. Harris, Proc. IEEE 66, 1978): side lobes below -92 dB, and none at
# all on whole bins from the fourth on
_WINDOW_TERMS = (0.35875, -0.48829, 0.14128, -0.01168)
REACH = 3  # bins on either side of a line that the window spreads it to


def bin_of(frequency: float, rate: int, frames: int) -> int:
    """Return the odd bin nearest to a frequency in Hz.

    Odd, because ``frames`` is a power of two: then no alias of a low order falls on a harmonic.

    Raises:
        SettingsError: there is no such bin, or the frequency is no number.
    """
    lowest, highest = 8.0 * rate / frames, 0.45 * rate
    if not lowest <= frequency <= highest:
        raise SettingsError(
            f"--frequency is {frequency:g} Hz, but must be {lowest:.0f} to {highest:.0f} Hz"
        )
    return 2 * round((frequency * frames / rate - 1.0) / 2.0) + 1


def sine(cycles: int, frames: int, length: int) -> NDArray[np.float64]:
    """Return ``length`` samples of a sine with ``cycles`` in every ``frames``, Shape: (length,)."""
    whole = np.arange(length) * cycles % frames
    sine: NDArray[np.float64] = np.sin(2.0 * np.pi * whole / frames)
    return sine


def window(frames: int) -> NDArray[np.float64]:
    """Return a periodic Blackman-Harris window, Shape: (frames,)."""
    phase = 2.0 * np.pi * np.arange(frames) / frames
    shape: NDArray[np.float64] = sum(
        (a * np.cos(i * phase) for i, a in enumerate(_WINDOW_TERMS)), np.zeros(frames)
    )
    return shape


def amplitudes(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the amplitude of the sine at each bin, Shape: (frames // 2 + 1,)."""
    shape = window(len(samples))
    spectrum: NDArray[np.float64] = np.abs(np.fft.rfft(samples * shape)) * 2.0 / shape.sum()
    return spectrum


def noise_bandwidth(frames: int) -> float:
    """Return over how many bins the window spreads the power of a line."""
    shape = window(frames)
    return float(frames * np.sum(shape**2) / shape.sum() ** 2)


def decibels(ratio: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Return amplitude ratios in dB, none below ``floor``."""
    level: NDArray[np.float64] = 20.0 * np.log10(np.maximum(ratio, 10.0 ** (floor / 20.0)))
    return level
