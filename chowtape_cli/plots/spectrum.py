"""The picture of recordings' long-term spectra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chowtape_cli.figures.spectrum import FLOOR_DBFS, Spectrum
from chowtape_cli.files import shortened, shown
from chowtape_cli.plots import canvas, terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (7.4, 4.0)
RANGE_DB = 100.0  # below the strongest band is out of the picture
TICKS_HZ = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000)

_NAME_WIDTH = 24  # characters, which leave room for the picture


def labels(spectra: Sequence[Spectrum]) -> list[str]:
    """Return a name for each recording: the end of its path, as much as tells them apart."""
    parts = [Path(one.path).parts for one in spectra]
    named: list[tuple[str, ...]] = []
    for depth in range(1, max(map(len, parts)) + 1):
        named = [path[-depth:] for path in parts]
        if len(set(named)) == len(set(parts)):
            break
    return [shown(Path(*name)) for name in named]


def draw(figure: Figure, spectra: Sequence[Spectrum]) -> None:
    """Draw the spectra over each other, on a frequency axis of octaves."""
    axes = figure.add_subplot()
    names = [
        shortened(name, _NAME_WIDTH) + (": silence" if one.level <= FLOOR_DBFS else "")
        for name, one in zip(labels(spectra), spectra, strict=True)
    ]
    lines = [
        axes.plot(one.frequencies, one.levels, ls=canvas.DASHES[place])[0]
        for place, one in enumerate(spectra)
    ]
    axes.set_xscale("log")
    highest = max(one.frequencies[-1] for one in spectra)
    right = next((x for x in TICKS_HZ if highest <= x <= 1.5 * highest), highest)
    axes.set_xlim(spectra[0].frequencies[0], right)
    every = 1 if right <= TICKS_HZ[-2] else 2
    axes.set_xticks([x for x in TICKS_HZ[::every] if x <= right])
    axes.xaxis.set_major_formatter(canvas.hertz)
    axes.minorticks_off()
    low, high = limits(spectra)
    axes.set_ylim(low, high + 5.0)
    title = "Long-term average spectrum"
    if len(spectra) == 1:
        title += f" of {names[0]}"
    canvas.label(axes, "frequency (Hz)", "level in a third of an octave (dBFS)", title)
    canvas.legend_beside(figure, lines, names)


def limits(spectra: Sequence[Spectrum]) -> tuple[float, float]:
    """Return what levels the picture shows, in dBFS."""
    high = max(float(one.levels.max()) for one in spectra)
    low = min(float(one.levels.min()) for one in spectra)
    return max(low - 2.0, high - RANGE_DB), high


def sketch(spectra: Sequence[Spectrum]) -> str:
    """Return the spectra for a terminal."""
    lines = [
        (name, np.log2(one.frequencies / 1000.0), one.levels)  # octaves are at 1 kHz, 2 kHz ...
        for name, one in zip(labels(spectra), spectra, strict=True)
    ]
    low, _ = limits(spectra)
    return terminal.sketch(
        lines,
        "Hz",
        "dBFS",
        lowest=low,
        x_text=lambda octave: canvas.hertz(round(1000.0 * 2.0**octave)),
    )
