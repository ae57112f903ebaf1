"""The picture of gain against level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chowtape_cli.figures.curve import Curve
from chowtape_cli.figures.variants import shared
from chowtape_cli.plots import canvas, terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (6.8, 4.0)
LEAST_DB = 0.1  # that the gain axis spans


def draw(figure: Figure, curves: Sequence[Curve]) -> None:
    """Draw the gain of all settings over each other."""
    axes = figure.add_subplot()
    lines = [
        axes.plot(curve.levels, curve.gain, ls=canvas.DASHES[place])[0]
        for place, curve in enumerate(curves)
    ]
    axes.margins(x=0.0)
    axes.locator_params(axis="y", steps=[1, 2, 5, 10])
    low, high = axes.get_ylim()
    if high - low < LEAST_DB:  # what rounding left looks like a slope
        axes.set_ylim((low + high - LEAST_DB) / 2.0, (low + high + LEAST_DB) / 2.0)
    held = shared([curve.settings for curve in curves])
    title = f"Gain of the tape for a sine of {curves[0].frequency:.5g} Hz\n{held}"
    canvas.label(axes, "peak level of the sine (dBFS)", "gain (dB)", title)
    canvas.legend_beside(figure, lines, [curve.label for curve in curves])


def sketch(curves: Sequence[Curve]) -> str:
    """Return the curves for a terminal."""
    lines = [(curve.label, curve.levels, curve.gain) for curve in curves]
    return terminal.sketch(lines, "level in dBFS", "gain in dB")
