"""The picture of hysteresis loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chowtape_cli.figures.loop import Loop
from chowtape_cli.figures.variants import shared
from chowtape_cli.plots import canvas, terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (6.4, 4.4)
X_LABEL = "field H (full scale of the input = 1)"
Y_LABEL = "magnetisation M (saturation M\u209b = 1)"


def draw(figure: Figure, loops: Sequence[Loop]) -> None:
    """Draw all loops over each other, later ones thinner, so that equal ones are all seen."""
    axes = figure.add_subplot()
    axes.axhline(0.0, lw=0.8, color=axes.spines["left"].get_edgecolor(), alpha=0.5)
    axes.axvline(0.0, lw=0.8, color=axes.spines["left"].get_edgecolor(), alpha=0.5)
    lines = []
    for place, loop in enumerate(loops):
        width = 1.4 + 1.6 * (len(loops) - 1 - place) / max(len(loops) - 1, 1) * (len(loops) > 1)
        lines += axes.plot(loop.H, loop.M, ls=canvas.DASHES[place], lw=width)
    held = shared([loop.settings for loop in loops])
    canvas.label(axes, X_LABEL, Y_LABEL, f"A growing sine through the bare hysteresis\n{held}")
    canvas.legend_beside(figure, lines, [loop.label for loop in loops])


def sketch(loops: Sequence[Loop]) -> str:
    """Return the loops for a terminal."""
    lines = [(loop.label, loop.H, loop.M) for loop in loops]
    return terminal.sketch(lines, "field H", "M / M_s")
