"""The picture of a driven sine's spectrum: a panel per setting, harmonics against aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from chowtape_cli.figures.harmonics import Harmonics
from chowtape_cli.plots import canvas, terminal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

LOWEST_DBFS = -140.0
X_LABEL = "frequency (kHz)"
Y_LABEL = "level (dBFS)"


def size(panels: int) -> tuple[float, float]:
    """Return the size of a picture with some panels, in inches."""
    return (8.4 if panels > 1 else 6.4, 0.9 + 2.1 * ((panels + 1) // 2) + 0.6 * (panels == 1))


def draw(figure: Figure, panels: Sequence[Harmonics]) -> None:
    """Draw the lines of each setting in a panel of its own, all to the same scale."""
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    # a panel above an empty place has no other panel's axis below it
    for axes in grid.flat[max(len(panels) - columns, 0) : len(panels)]:
        axes.set_xlabel(X_LABEL)
        axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel(Y_LABEL)
    figure.suptitle(f"A sine of {panels[0].frequency:.0f} Hz from tape", x=0.01, ha="left")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")


def _panel(axes: Axes, panel: Harmonics) -> None:
    heard = panel.harmonics[panel.harmonics[:, 1] > LOWEST_DBFS]
    _stems(axes, panel.aliases, "C1", "x", "alias", 0.7)
    _stems(axes, heard, "C0", "o", "harmonic", 1.6)
    axes.set_ylim(LOWEST_DBFS, 10.0)
    axes.set_yticks(np.arange(LOWEST_DBFS, 1.0, 20.0))
    axes.set_xlim(left=0.0)
    axes.set_title(summary(panel), loc="left")


def _stems(
    axes: Axes, lines: NDArray[np.float64], colour: str, marker: str, label: str, width: float
) -> None:
    kilohertz, level = lines[:, 0] / 1000.0, lines[:, 1]
    axes.vlines(kilohertz, LOWEST_DBFS, level, color=colour, lw=width)
    size = 5.0 if marker == "o" else 3.0
    axes.plot(kilohertz, level, ls="none", marker=marker, ms=size, mew=0.8, color=colour,
              label=label)  # fmt: skip


def summary(panel: Harmonics) -> str:
    """Return how strong the aliases of a setting are, as a line."""
    if panel.aliases_db is None:
        return f"{panel.label}: no aliases"
    return f"{panel.label}: aliases {panel.aliases_db:.0f} dB"


def sketch(panels: Sequence[Harmonics]) -> str:
    """Return the spectra for a terminal, one below the other."""
    texts = []
    for panel in panels:
        lines = [
            (name, part[:, 0] / 1000.0, part[:, 1])
            for name, part in (("harmonic", panel.harmonics), ("alias", panel.aliases))
        ]
        text = terminal.sketch(lines, "kHz", "dBFS", stems=True, lowest=LOWEST_DBFS)
        texts.append(f"{summary(panel)}\n{text}")
    return "\n".join(texts)
