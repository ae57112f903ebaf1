"""Design of the oversampling filters, by scipy.

Oversampling by 2^n is n stages of a factor of two, each with a half-band filter. The first stage
has the narrow transition, 20 to 24.1 kHz for a 44.1 kHz source; the later ones see a signal that is
already empty above its half, and get by with a wide one. A half-band filter's transition is
symmetrical about the quarter of its rate, so what it lets through between 22.05 and 24.1 kHz
folds to between 20 and 22.05 kHz: nothing audible is touched, and every other tap is zero.

The taps do not depend on the sample rate: all frequencies scale with it.
`python -m chowtape_cli.dsp.filter_design` writes them to `filter_taps.py`.
"""

from __future__ import annotations

import sys
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

PASSBAND = 20.0 / 44.1  # of the source's sample rate
# taps of stage 1, of stage 2, and of the later ones: the fewest 8m - 1 that stay 110 dB down
STAGE_TAPS = (159, 31, 15)
MINIMUM_PHASE_FFT = 1 << 18


def half_band(stage: int) -> NDArray[np.float64]:
    """Return the equiripple half-band low-pass of a stage, Shape: (taps,), unity at DC.

    Every other tap of a half-band filter of 4m - 1 taps is zero, but for the middle one, a half.
    What is left is a filter of 2m taps that passes all of a band twice as wide, and that is what
    the Parks-McClellan exchange designs (Vaidyanathan and Nguyen, "A trick for the design of FIR
    half-band filters", IEEE Trans. Circuits Syst. 34, 1987).

    Args:
        stage: 1 for the one next to the source's rate.
    """
    from scipy import signal

    taps = STAGE_TAPS[min(stage, len(STAGE_TAPS)) - 1]
    edge = (PASSBAND if stage == 1 else 1.0 - PASSBAND) / 2.0**stage
    odd = signal.remez((taps + 1) // 2, [0.0, 2.0 * edge], [1.0], fs=1.0, grid_density=64)
    response = np.zeros(taps)
    response[::2] = odd * (0.5 / odd.sum())
    response[taps // 2] = 0.5
    return response


def minimum_phase(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimum-phase filter with the same magnitude response, in the same shape."""
    from scipy import signal

    response: NDArray[np.float64] = signal.minimum_phase(
        linear, method="homomorphic", n_fft=MINIMUM_PHASE_FFT, half=False
    )
    normalised: NDArray[np.float64] = response / response.sum()
    return normalised


def write_module(file: TextIO) -> None:
    """Write the taps as a Python module, so that a render need not import scipy."""
    file.write(
        '"""Taps of the oversampling filters, of stage 1, of stage 2, and of the later ones.\n'
    )
    file.write('\nMade by `python -m chowtape_cli.dsp.filter_design`; do not edit.\n"""\n')
    for phase in ("linear", "minimum"):
        file.write(f"\n{phase.upper()} = (\n")
        for stage in range(1, len(STAGE_TAPS) + 1):
            response = half_band(stage)
            if phase == "minimum":
                response = minimum_phase(response)
            file.write("    (\n")
            for tap in response:
                file.write(f"        {float(tap)!r},\n")
            file.write("    ),\n")
        file.write(")\n")


if __name__ == "__main__":
    from importlib import resources

    target = resources.files("chowtape_cli.dsp") / "filter_taps.py"
    with open(str(target), "w", encoding="utf-8") as module:  # noqa: PTH123 (dsp has no pathlib)
        write_module(module)
    sys.stdout.write(f"wrote {target}\n")
