"""A quick look in the terminal: curves in braille dots."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.errors import MissingPackageError
from chowtape_cli.files import shown

_COLOURS = ("bright_blue", "bright_red", "bright_green", "bright_magenta", "bright_yellow",
           "bright_cyan", "white", "blue")  # fmt: skip
Line = tuple[str, NDArray[np.float64], NDArray[np.float64]]  # its label, x and y
_MARKERS = "*o+x#@%&"  # of the curves, where there are no colours
_MARGIN = 20  # columns that the labels of the vertical axis take, and the arrow
_POINTS = 4000  # of a curve are plenty for braille
_BETWEEN = 10  # columns between the labels of the horizontal axis
_ROWS_BETWEEN = (1, 2, 3, 4)  # rows between those of the vertical one, whichever fills the screen
_STEPS = (1.0, 2.0, 5.0, 10.0)  # between labels, times a power of ten


def check_installed() -> None:
    """Raise MissingPackageError where plotille is not installed."""
    try:
        import plotille  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            "plots in the terminal need plotille: pip install 'chowtape[plots]'"
        ) from error


def sketch(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    stems: bool = False,
    lowest: float | None = None,
    x_text: Callable[[float], str] = "{:.4g}".format,
) -> str:
    """Return a plot as text that fits the terminal, in colour if stdout is one.

    Args:
        lines: the curves.
        x_label: name of the horizontal axis, with its unit.
        y_label: name of the vertical axis, with its unit.
        stems: whether the points stand on the axis, each by itself.
        lowest: where the vertical axis begins; None for what the curves need.
        x_text: how a number on the horizontal axis is written.
    """
    import plotille

    columns, rows = shutil.get_terminal_size((80, 24))
    figure = plotille.Figure()
    bottom, top = _limits([y for _, _, y in lines], lowest)
    most = max(10, min(rows, 40) - 8)
    axes = [(apart, *_even(bottom, top, most, apart)) for apart in _ROWS_BETWEEN]
    y_apart, y_step, low, figure.height = max(axes, key=lambda axis: axis[-1])
    figure.set_y_limits(low, low + y_step * figure.height / y_apart)
    left, right = _limits([x for _, x, _ in lines], None)
    most = max(30, min(columns, 120) - _MARGIN - len(x_label))
    x_step, low, figure.width = _even(left, right, most, _BETWEEN)
    figure.set_x_limits(low, low + x_step * figure.width / _BETWEEN)
    figure.with_colors = sys.stdout.isatty()
    figure.origin = False
    figure.x_label, figure.y_label = x_label, y_label
    figure.x_ticks_fkt = lambda value, _next: x_text(_on_step(value, x_step))
    figure.y_ticks_fkt = lambda value, _next: _if_on_step(value, y_step, y_step / y_apart)
    plain = not figure.with_colors and len(lines) > 1
    for colour, marker, (name, x, y) in zip(_COLOURS, _MARKERS, lines, strict=False):
        along, up = _stems(x, y, bottom) if stems else (x, y)
        every = math.ceil(along.size / _POINTS) or 1
        up = np.clip(up[::every], bottom, top)
        figure.plot(
            along[::every].tolist(),
            up.tolist(),
            lc=colour,
            label=shown(name),
            marker=marker if plain else None,
        )
    text: str = figure.show(legend=len(lines) > 1)
    return text + "\n"


def _limits(parts: Sequence[NDArray[np.float64]], lowest: float | None) -> tuple[float, float]:
    low = min((float(part.min()) for part in parts if part.size), default=0.0)
    high = max((float(part.max()) for part in parts if part.size), default=1.0)
    low = low if lowest is None else lowest
    return (low, high) if high > low else (low - 1.0, low + 1.0)


def _even(low: float, high: float, most: int, apart: int) -> tuple[float, float, int]:
    """Return where to label an axis so that the labels are round.

    Args:
        low: what the axis must hold.
        high: up to here.
        most: cells that there is room for.
        apart: cells from label to label.

    Returns:
        The step from label to label, the first label, and how many cells the axis takes.
    """
    power = 10.0 ** math.floor(math.log10((high - low) * apart / most))
    for step in (scale * step for scale in (power, 10.0 * power) for step in _STEPS):
        first = math.floor(low / step + 1e-9) * step
        cells = math.ceil((high - first) / step * apart - 1e-9)
        if cells <= most:
            break
    return step, first, cells


def _on_step(value: float, step: float) -> float:
    """Return a multiple of a step without what rounding left beside it, nor a negative zero."""
    return round(value / step) * step or 0.0


def _if_on_step(value: float, step: float, row: float) -> str:
    """Return the label of a row, or nothing for a row between two labels."""
    nearest = _on_step(value, step)
    return f"{nearest:.4g}" if abs(value - nearest) < 0.1 * row else ""


def _stems(
    x: NDArray[np.float64], y: NDArray[np.float64], bottom: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a curve that goes up from the axis at each point, and down again."""
    base = np.full_like(y, bottom)
    return np.repeat(x, 3), np.stack([base, y, base], axis=1).ravel()
