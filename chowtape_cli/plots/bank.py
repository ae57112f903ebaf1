"""The picture of a bank's accuracy: heat maps over saturation and bias, one for each drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.neural.bank import Bank
from chowtape_cli.plots import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
BIAS_TICKS = (0.0, 0.05, 0.2, 0.5, 1.0)


def size(bank: Bank) -> tuple[float, float]:
    """Return the size of the picture in inches."""
    return (8.4, 0.9 + 2.6 * -(-len(bank.accuracy_drives) // COLUMNS))


def draw(figure: Figure, bank: Bank, level: float) -> None:
    """Draw the error at one level; the bias axis is that of the grid, even in its square root."""
    error = bank.accuracy_db[..., bank.accuracy_levels.index(level)]
    drives = bank.accuracy_drives
    rows, columns = -(-len(drives) // COLUMNS), min(len(drives), COLUMNS)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    x = _edges(np.sqrt(np.array(bank.biases)))
    y = _edges(np.array(bank.saturations))
    for place, (axes, drive) in enumerate(zip(grid.flat, drives, strict=False)):
        cells = axes.pcolormesh(
            x, y, error[:, :, place], vmin=error.min(), vmax=error.max(),
            edgecolors="face", linewidth=0.3,  # no seams between cells in any viewer
        )  # fmt: skip
        axes.grid(visible=False)
        worst = canvas.number(f"{error[:, :, place].max():.0f} dB")
        axes.set_title(f"drive {drive:g}: worst {worst}", loc="left")
        axes.set_xticks(np.sqrt(BIAS_TICKS), [f"{bias:g}" for bias in BIAS_TICKS])
        if place >= len(drives) - columns:
            axes.set_xlabel("bias (0 to 1)")
            axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("saturation (0 to 1)")
    for axes in grid.flat[len(drives) :]:
        axes.set_visible(False)
    bar = figure.colorbar(cells, ax=grid, label="error against nr8 (dB)", fraction=0.04)
    bar.outline.set_visible(False)
    title = f"Bank {bank.architecture}: error of stn, music with a peak of {level:+g} dBFS"
    figure.suptitle(canvas.number(title), x=0.01, ha="left")


def _edges(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of the cells around ascending nodes, Shape: (nodes + 1,)."""
    if nodes.size == 1:
        return np.array([nodes[0] - 0.5, nodes[0] + 0.5])
    between = (nodes[1:] + nodes[:-1]) / 2.0
    first, last = 2.0 * nodes[0] - between[0], 2.0 * nodes[-1] - between[-1]
    edges: NDArray[np.float64] = np.concatenate([[first], between, [last]])
    return edges
