"""How far a bank is from nr8: the map that is stored with it and measured again by `bank check`.

The signals are the demo's stems, oversampled as a render does: music of a kind that no network was
trained on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.hysteresis import Hysteresis
from chowtape_cli.dsp.jiles_atherton import coefficients
from chowtape_cli.dsp.kernels import LANES
from chowtape_cli.dsp.oversampling import Interpolator, stages
from chowtape_cli.dsp.synthesis import stems
from chowtape_cli.errors import BankError, SettingsError
from chowtape_cli.neural.bank import Bank

RATE = 44_100
OVERSAMPLING = 2
SECONDS = 0.5
DRIVES = (0.1, 0.25, 0.5, 0.75, 1.0)
LEVELS_DBFS = (-32.0, -2.0, 12.0)
FLOOR_DB = -200.0


def check_signals() -> NDArray[np.float64]:
    """Return every stem at every level, Shape: (time, LANES); unused lanes are silent."""
    sides = np.hstack(list(stems(SECONDS, RATE).values()))
    sides = sides / np.abs(sides).max(axis=0)
    rows = np.zeros((len(sides), LANES))
    for i, level in enumerate(LEVELS_DBFS):
        gain = 10.0 ** (level / 20.0)
        rows[:, i * sides.shape[1] : (i + 1) * sides.shape[1]] = gain * sides
    up = Interpolator(stages(OVERSAMPLING, "linear")[0][0])
    return up.push(rows).copy()


def error_db(measured: NDArray[np.float64], exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the error-to-signal energy ratio of each column in dB, Shape: (lanes,)."""
    error = np.sum((measured - exact) ** 2, axis=0)
    energy = np.sum(exact**2, axis=0)
    ratio = np.divide(error, energy, out=np.zeros_like(error), where=energy > 0.0)
    floor = 10.0 ** (FLOOR_DB / 10.0)
    decibels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(ratio, floor))
    return decibels


def measure(bank: Bank, step: Callable[[], None] = lambda: None) -> NDArray[np.float32]:
    """Measure a bank at its grid points with the kernel that renders.

    Returns:
        The largest error-to-signal energy ratio among the signals in dB,
        Shape: (saturations, biases, drives, levels).
    """
    H = check_signals()
    used = H.any(axis=0).sum()
    result = np.empty(
        (len(bank.saturations), len(bank.biases), len(DRIVES), len(LEVELS_DBFS)), np.float32
    )
    for i, saturation in enumerate(bank.saturations):
        for j, bias in enumerate(bank.biases):
            network = bank.at(saturation, bias)
            for k, drive in enumerate(DRIVES):
                tape = coefficients(drive, saturation, bias)
                exact = Hysteresis("nr8", tape).push(H)
                made = Hysteresis("stn", tape, network, rate=OVERSAMPLING * RATE, lanes=used).push(
                    H
                )
                errors = error_db(made, exact)[:used]
                result[i, j, k] = errors.reshape(len(LEVELS_DBFS), -1).max(axis=1)
            step()
    return result


# What another processor's rounding may change, and how small an error is no longer compared.
TOLERANCE_DB = 1.0
COMPARED_DB = -70.0


def disagreement(bank: Bank, again: NDArray[np.float32]) -> float:
    """Return by how many dB a map measured again is off the stored one, at most."""
    if bank.accuracy_db.shape != again.shape:
        return float("inf")
    stored = np.maximum(bank.accuracy_db, COMPARED_DB)
    return float(np.abs(stored - np.maximum(again, COMPARED_DB)).max())


def check_measured(bank: Bank, level: float) -> None:
    """Raise where a bank holds no accuracy map at a level (dBFS): BankError or SettingsError."""
    if bank.accuracy_db.size == 0:
        raise BankError("these networks hold no accuracy map; name a bank of `chowtape train`")
    if level not in bank.accuracy_levels:
        listed = ", ".join(f"{x:g}" for x in bank.accuracy_levels)
        raise SettingsError(f"--level {level:g} was not measured; give one of {listed}")
