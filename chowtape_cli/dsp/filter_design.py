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

ATTENUATION_DB = 120.0
# taps of stage 1, 2, and 3 to 6; 4m + 3 of them put a zero at neither end of a half-band filter
STAGE_TAPS = (171, 35, 23)
MINIMUM_PHASE_FFT = 1 << 17


def half_band(taps: int) -> NDArray[np.float64]:
    """Return a linear-phase half-band low-pass (Kaiser window), Shape: (taps,), unity at DC."""
    from scipy import signal

    window = ("kaiser", signal.kaiser_beta(ATTENUATION_DB))
    response: NDArray[np.float64] = signal.firwin(taps, 0.5, window=window)
    centre = taps // 2
    response[centre + 2 :: 2] = response[centre - 2 :: -2] = 0.0  # zero but for rounding
    response[centre] = 0.5
    odd = response.copy()
    odd[centre] = 0.0
    return np.where(np.arange(taps) == centre, 0.5, response * 0.5 / odd.sum())


def minimum_phase(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimum-phase filter with the same magnitude response, in the same shape."""
    from scipy import signal

    response: NDArray[np.float64] = signal.minimum_phase(
        linear, method="homomorphic", n_fft=MINIMUM_PHASE_FFT, half=False
    )
    return response / response.sum()


def write_module(file: TextIO) -> None:
    """Write the taps as a Python module, so that a render need not import scipy."""
    file.write('"""Taps of the oversampling filters.\n\nMade by')
    file.write(' `python -m chowtape_cli.dsp.filter_design`; do not edit.\n"""\n\n')
    for phase in ("linear", "minimum"):
        file.write(f"{phase.upper()} = {{\n")
        for taps in STAGE_TAPS:
            response = half_band(taps)
            if phase == "minimum":
                response = minimum_phase(response)
            file.write(f"    {taps}: (\n")
            for tap in response:
                file.write(f"        {float(tap)!r},\n")
            file.write("    ),\n")
        file.write("}\n")


if __name__ == "__main__":
    from importlib import resources

    target = resources.files("chowtape_cli.dsp") / "filter_taps.py"
    with open(str(target), "w", encoding="utf-8") as module:  # noqa: PTH123 (dsp has no pathlib)
        write_module(module)
    sys.stdout.write(f"wrote {target}\n")
