"""The picture of hysteresis loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chowtape_cli.figures.loop import Loop
from chowtape_cli.figures.variants import shared
from chowtape_cli.plots import canvas, terminal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

X_LABEL = "field H (full scale of the input = 1)"
Y_LABEL = "magnetisation M (saturation M\u209b = 1)"
TITLE = "A growing sine through the bare hysteresis"
MOST_OVERLAID = 4  # more loops over each other can't be told apart


def size(loops: int) -> tuple[float, float]:
    """Return the size of a picture of some loops, in inches."""
    return (6.4, 4.4) if loops <= MOST_OVERLAID else (8.4, 5.0)


def draw(figure: Figure, loops: Sequence[Loop]) -> None:
    """Draw a few loops over each other, and more in panels to the same scale."""
    if len(loops) <= MOST_OVERLAID:
        _overlaid(figure, loops)
    else:
        _panels(figure, loops)


def _overlaid(figure: Figure, loops: Sequence[Loop]) -> None:
    """Draw all loops over each other, later ones thinner, so that equal ones are all seen."""
    axes = figure.add_subplot()
    axes.locator_params(axis="x", nbins=6)
    _cross(axes)
    lines = []
    for place, loop in enumerate(loops):
        width = 1.4 + 1.6 * (len(loops) - 1 - place) / max(len(loops) - 1, 1) * (len(loops) > 1)
        lines += axes.plot(loop.H, loop.M, ls=canvas.DASHES[place], lw=width)
    held = shared([loop.settings for loop in loops])
    canvas.label(axes, X_LABEL, Y_LABEL, f"{TITLE}\n{held}")
    canvas.legend_beside(figure, lines, [loop.label for loop in loops])


def _panels(figure: Figure, loops: Sequence[Loop]) -> None:
    columns = -(-len(loops) // 2)
    grid = figure.subplots(2, columns, sharex=True, sharey=True)
    for place, (axes, loop) in enumerate(zip(grid.flat, loops, strict=False)):
        _cross(axes)
        axes.plot(loop.H, loop.M, lw=1.1, color=f"C{place}")
        axes.locator_params(axis="x", nbins=3)
        # short, or those of neighbours would meet
        axes.ticklabel_format(axis="x", scilimits=(-2, 3))
        axes.set_title(loop.label.replace(", ", "\n"), loc="left")
    for axes in grid.flat[len(loops) :]:
        axes.set_visible(False)
        grid[0, -1].tick_params(labelbottom=True)
    held = shared([loop.settings for loop in loops])
    figure.suptitle(f"{TITLE}\n{held}".rstrip(), x=0.01, ha="left")
    figure.supxlabel(X_LABEL, fontsize="medium")
    figure.supylabel(Y_LABEL, fontsize="medium")


def _cross(axes: Axes) -> None:
    """Draw the lines of no field and of no magnetisation."""
    for line in (axes.axhline, axes.axvline):
        line(0.0, lw=0.8, color=axes.spines["left"].get_edgecolor(), alpha=0.5)


def sketch(loops: Sequence[Loop]) -> str:
    """Return the loops for a terminal."""
    lines = [(loop.label, loop.H, loop.M) for loop in loops]
    return terminal.sketch(lines, "field H", "M / M_s")
