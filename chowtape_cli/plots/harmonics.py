"""The picture of a driven sine's spectrum: a panel per setting, harmonics against aliases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from chowtape_cli.figures.harmonics import FLOOR_DBFS, Harmonics
from chowtape_cli.figures.variants import shared
from chowtape_cli.plots import canvas, terminal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

RANGE_DB = 130.0  # below the top of the picture
X_LABEL = "frequency (kHz)"
Y_LABEL = "level (dBFS)"


def size(panels: int) -> tuple[float, float]:
    """Return the size of a picture with some panels, in inches."""
    rows, columns = _grid(panels)
    return (8.4 if columns > 1 else 6.4, 1.3 + 1.9 * rows + 0.8 * (panels == 1))


def _grid(panels: int) -> tuple[int, int]:
    columns = 1 if panels in (1, 3) else 2
    return -(-panels // columns), columns


def draw(figure: Figure, panels: Sequence[Harmonics]) -> None:
    """Draw the lines of each setting in a panel of its own, all to the same scale."""
    rows, columns = _grid(len(panels))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    lowest, highest = limits(panels)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel, lowest)
    axes = grid[0, 0]  # whose axes are those of all
    axes.set_ylim(lowest, highest)
    axes.set_yticks(np.arange(lowest, highest, 20.0))
    lines = np.concatenate([part for panel in panels for part in (panel.harmonics, panel.aliases)])
    seen = lines[lines[:, 1] > lowest]
    axes.set_xlim(0.0, 1.04e-3 * (seen if seen.size else lines)[:, 0].max())
    axes.locator_params(axis="x", steps=[1, 2, 5, 10])
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    # a panel above an empty place has no other panel's axis below it
    for axes in grid.flat[max(len(panels) - columns, 0) : len(panels)]:
        axes.set_xlabel(X_LABEL)
        axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel(Y_LABEL)
    first = panels[0]
    title = f"A sine of {first.frequency:.5g} Hz at {first.level:g} dBFS, from tape"
    held = shared([panel.settings for panel in panels])
    figure.suptitle(f"{canvas.number(title)}\n{held}", x=0.01, ha="left")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


def limits(panels: Sequence[Harmonics]) -> tuple[float, float]:
    """Return what levels the picture shows, in dBFS: round, with room for the highest marker."""
    highest = max(float(panel.harmonics[:, 1].max()) for panel in panels)
    top = 20.0 * math.ceil((max(highest, FLOOR_DBFS + 40.0) - 6.0) / 20.0) + 10.0
    return max(top - RANGE_DB, FLOOR_DBFS), top


def _panel(axes: Axes, panel: Harmonics, lowest: float) -> None:
    _stems(axes, panel.harmonics, "C0", "o", "harmonic", 1.6, lowest)
    _stems(axes, panel.aliases, "C1", "x", "alias", 0.7, lowest)
    axes.set_title(canvas.number(summary(panel)), loc="left")


def _stems(
    axes: Axes,
    lines: NDArray[np.float64],
    colour: str,
    marker: str,
    label: str,
    width: float,
    lowest: float,
) -> None:
    shown = lines[lines[:, 1] > lowest]
    kilohertz, level = shown[:, 0] / 1000.0, shown[:, 1]
    axes.vlines(kilohertz, lowest, level, color=colour, lw=width)
    size = 5.0 if marker == "o" else 2.6
    axes.plot(kilohertz, level, ls="none", marker=marker, ms=size, mew=width, color=colour,
              label=label)  # fmt: skip


def summary(panel: Harmonics) -> str:
    """Return how strong the aliases of a setting are, as a line."""
    if panel.harmonics[:, 1].max() <= FLOOR_DBFS:
        return f"{panel.label}: nothing above {FLOOR_DBFS:.0f} dBFS"
    if panel.aliases_db is None:
        return f"{panel.label}: no aliases"
    return f"{panel.label}: aliases {panel.aliases_db:.0f} dB"


def sketch(panels: Sequence[Harmonics]) -> str:
    """Return the spectra for a terminal, one below the other."""
    texts = []
    lowest, _ = limits(panels)
    for panel in panels:
        lines = [
            (name, part[:, 0] / 1000.0, part[:, 1])
            for name, part in (("harmonic", panel.harmonics), ("alias", panel.aliases))
        ]
        text = terminal.sketch(lines, "kHz", "dBFS", stems=True, lowest=lowest)
        texts.append(f"{summary(panel)}\n{text}")
    return "\n".join(texts)
