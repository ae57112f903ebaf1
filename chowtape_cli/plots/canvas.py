"""What all pictures share: one style, light or dark, and bytes that are the same every time."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chowtape_cli.errors import MissingPackageError, SettingsError
from chowtape_cli.files import exists_already, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Draw = Callable[["Figure"], None]  # fills an empty figure
EXTENSIONS = (".png", ".svg")
PNG_DPI = 200

# Okabe and Ito's palette, which colour-blind people can tell apart; on dark, its lighter tones. The
# dashes tell the lines apart where there is no colour.
_LIGHT = ("#0072b2", "#d55e00", "#00795b", "#b5478b", "#6b4c00", "#3a8fd0", "#000000", "#8a8a00")
_DARK = ("#56b4e9", "#ff9e4a", "#2ecc9a", "#e8a3cc", "#e6c300", "#9ad4ff", "#ffffff", "#c9c96a")
DASHES: tuple[Any, ...] = (
    "-", (0, (6, 2)), (0, (1, 1.2)), (0, (7, 2, 1, 2)), (0, (3, 1.5)),
    (0, (7, 1.5, 1, 1.5, 1, 1.5)), (0, (12, 3)), (0, (1, 3)),
)  # fmt: skip


def check_place(path: Path, *, overwrite: bool) -> None:
    """Raise SettingsError or FileError where a picture can't be drawn to a path."""
    if path.suffix.lower() not in EXTENSIONS:
        raise SettingsError(
            f"{shown(path)}: pictures are PNG or SVG; name it {shown(path.stem)}.png or "
            f"{shown(path.stem)}.svg"
        )
    if path.is_dir() or (path.exists() and not overwrite):
        raise exists_already(path)


def check_installed() -> None:
    """Raise MissingPackageError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("plots need matplotlib: pip install 'chowtape[plots]'") from error


def picture(draw: Draw, size: tuple[float, float], extension: str, *, dark: bool = False) -> bytes:
    """Return a picture as the content of a file.

    Args:
        draw: fills an empty figure.
        size: width and height in inches.
        extension: ``.png`` or ``.svg``.
        dark: light on dark, where the default is a white card.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a matplotlibrc says
        style: Any = _style(dark=dark)
        mpl.rcParams.update(style)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        content = io.BytesIO()
        kind = extension.lower().removeprefix(".")
        about: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(content, format=kind, dpi=PNG_DPI, metadata=about)
    return content.getvalue()


def _style(*, dark: bool) -> dict[str, Any]:
    from cycler import cycler

    ink, quiet, card = ("#e8e8e8", "#4a4d52", "#16181c") if dark else ("#222222", "#d6d6d6", "#fff")
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": ink,
        "axes.facecolor": card,
        "axes.grid": True,
        "axes.labelcolor": ink,
        "axes.linewidth": 0.8,
        "axes.prop_cycle": cycler(color=_DARK if dark else _LIGHT),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "figure.facecolor": card,
        "figure.titlesize": "large",
        "font.size": 10.0,
        "grid.color": quiet,
        "grid.linewidth": 0.6,
        "image.cmap": "viridis",
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "patch.edgecolor": ink,
        "savefig.facecolor": card,
        "svg.fonttype": "path",  # looks the same everywhere
        "svg.hashsalt": "chowtape",
        "text.color": ink,
        "text.parse_math": False,  # a file's name may have dollars in it
        "xtick.color": ink,
        "ytick.color": ink,
    }


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Name the axes, with their units."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left")


def legend_beside(figure: Figure, lines: Sequence[Line2D], labels: Sequence[str]) -> None:
    """Put a legend to the right of everything, where no curve can be under it."""
    if len(lines) < 2:
        return
    # matplotlib leaves out a name that begins with an underscore, so names come in afterwards
    places = [str(place) for place in range(len(lines))]
    legend = figure.legend(lines, places, loc="outside right upper", handlelength=3.2)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def number(text: str) -> str:
    """Return text with the minus signs that the axes have."""
    return text.replace("-", "\u2212")


def hertz(value: float, _place: object = None) -> str:
    """Return a frequency as short as an axis wants it: 20, 500, 2k."""
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
