"""`chowtape plot`: pictures of what the tape does, of recordings and of banks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chowtape_cli.cli.options import (
    SectionedCommand,
    SectionedOption,
    option,
    settings_parameters,
)
from chowtape_cli.settings import CHOICES, RANGES

if TYPE_CHECKING:
    from chowtape_cli.plots.canvas import Draw
    from chowtape_cli.settings import RenderSettings

Command = Callable[..., None]

_PATH = click.Path(path_type=Path)
_AROUND = ("makeup", "weights", "input_gain", "output_gain", "mix", "dc_block", "phase")
_HIGHEST = 22.0  # dBFS; more is clipped by the guard before the tape


@dataclass(frozen=True, kw_only=True)
class Outlet:
    """Where a plot goes.

    Attributes:
        path: the picture to write; None for none.
        overwrite: whether an existing one is replaced.
        terminal: whether the plot is sketched in the terminal.
        json: whether its numbers are printed.
        dark: whether the picture is light on dark.
    """

    path: Path | None
    overwrite: bool
    terminal: bool
    json: bool
    dark: bool

    def check(self) -> None:
        """Raise what stands in the way before anything is computed."""
        from chowtape_cli.plots import canvas, terminal
        from chowtape_cli.report import status

        if self.path is not None:
            canvas.check_place(self.path, overwrite=self.overwrite)
            with status("loading matplotlib"):
                canvas.check_installed()
        if self.terminal:
            terminal.check_installed()

    def put(
        self,
        draw: Draw,
        size: tuple[float, float],
        sketch: Callable[[], str],
        numbers: Callable[[], None],
    ) -> None:
        """Write the picture, then print what was asked for."""
        from chowtape_cli.files import shown, write_whole
        from chowtape_cli.plots import canvas
        from chowtape_cli.report import status

        if self.path is not None:
            with status("drawing"):
                content = canvas.picture(draw, size, self.path.suffix, dark=self.dark)
            write_whole(self.path, content)
        if self.json:
            numbers()
            return
        if self.terminal:
            click.echo(sketch(), nl=False)
        if self.path is not None:
            click.echo(f"{shown(self.path)}: written")


def _outlet(name: str) -> Callable[[Command], Command]:
    """Add the options that say where a plot goes; the command gets them as one, ``outlet``."""
    options = (
        option("Run", "--output", "-o", type=_PATH, metavar="PATH",
               help="The picture, a PNG or SVG by its extension.  "
                    f"[default: {name}.png, or none with --terminal or --json]"),
        option("Run", "--overwrite", is_flag=True, help="Replace the picture if it exists."),
        option("Run", "--dark", is_flag=True, help="Light on dark."),
        option("Run", "--terminal", is_flag=True, help="Take a quick look in the terminal."),
        option("Run", "--json", is_flag=True, help="Print the plot's numbers as JSON."),
    )  # fmt: skip

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(
            *,
            output: Path | None,
            overwrite: bool,
            dark: bool,
            terminal: bool,
            json: bool,
            **others: Any,
        ) -> None:
            path = output if output or terminal or json else Path(f"{name}.png")
            outlet = Outlet(path=path, overwrite=overwrite, terminal=terminal, json=json, dark=dark)
            function(outlet=outlet, **others)

        whole: Command = command
        for one in reversed(options):
            whole = one(whole)
        return whole

    return decorate


class _Number(click.FloatRange):
    """A number within a range; NaN is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


def _tape(
    single: Sequence[str], *, drive: tuple[float, ...], oversampling: tuple[int, ...] = ()
) -> list[click.Parameter]:
    """Return the options of the tape, most of which may be given several times."""
    knobs = {"drive": drive, "saturation": (0.5,), "bias": (0.5,)}
    found: list[click.Parameter] = [_several("mode", ("nr8",), "Solver of the hysteresis.")]
    for name, default in knobs.items():
        low, high, _ = RANGES[name]
        listed = ", ".join(f"{x:g}" for x in default)
        aliases = ("--sat",) if name == "saturation" else ()
        found.append(
            SectionedOption(
                [f"--{name}", *aliases, name],
                section="Tape",
                type=float,
                metavar="X",
                multiple=True,
                default=default,
                help=f"Knob of the tape.  [{low:g} to {high:g}; default: {listed}]",
            )
        )
    if oversampling:
        found.append(_several("oversampling", oversampling, "Oversampling.", "--os"))
    return found + settings_parameters(*single)


def _several(name: str, default: tuple[Any, ...], text: str, *aliases: str) -> SectionedOption:
    listed = tuple(map(str, default))
    return SectionedOption(
        [f"--{name}", *aliases, name], section="Tape", multiple=True, default=listed,
        type=click.Choice(list(map(str, CHOICES[name])), case_sensitive=False),
        metavar="|".join(map(str, CHOICES[name])),
        help=f"{text}  [default: {', '.join(listed)}]",
    )  # fmt: skip


_VARIED = ("mode", "drive", "saturation", "bias", "oversampling")


def _settings(options: dict[str, Any]) -> dict[str, RenderSettings]:
    from chowtape_cli.figures.variants import variants

    varied = {name: options[name] for name in _VARIED if name in options}
    if "oversampling" in varied:
        varied["oversampling"] = [int(factor) for factor in varied["oversampling"]]
    common = {name: value for name, value in options.items() if name not in _VARIED}
    return variants(common, varied)


def _warn(found: Sequence[Any]) -> None:
    for one in found:
        if one.resets:
            other = "" if one.settings.mode in ("nr4", "nr8") else ", or take --mode nr8"
            click.echo(
                f"chowtape: warning: {one.label}: the solver ran away and was reset {one.resets} "
                f"times; lower the level, --drive or --bias{other}",
                err=True,
            )


@click.group(short_help="Draw loops, spectra, gain curves and a bank's accuracy.")
def plot() -> None:
    """Draw what the tape does, recordings, and how good a bank is.

    Each writes a picture, PNG or SVG, and shows a sketch in the terminal with --terminal. The
    options of the tape may be given several times: every combination becomes a curve or a panel.
    """


@plot.command(
    cls=SectionedCommand,
    params=_tape(["weights"], drive=(0.5,)),
    short_help="Magnetisation against field.",
    epilog="Example: chowtape plot loop --mode nr8 --mode stn --bias 0.2 --output loop.svg",
)
@option("Sine", "--level", type=_Number(-60.0, _HIGHEST), default=6.0, show_default=True,
        metavar="DBFS", help="Peak of the last cycles.")  # fmt: skip
@option("Sine", "--cycles", type=click.IntRange(1, 100), default=6, show_default=True, metavar="N",
        help="How many cycles it takes to grow so far.")  # fmt: skip
@_outlet("loop")
def loop(level: float, cycles: int, outlet: Outlet, **options: Any) -> None:
    """Draw the magnetisation against the field while a sine grows from nothing, and then stays.

    The bare hysteresis of each setting, without what is around it in a render.
    """
    settings = _settings(options)
    outlet.check()
    from chowtape_cli import report
    from chowtape_cli.figures.loop import loops
    from chowtape_cli.plots import loop as picture

    with report.status("magnetising"):
        found = loops(settings, level, cycles)
    _warn(found)
    outlet.put(
        partial(picture.draw, loops=found),
        picture.size(len(found)),
        partial(picture.sketch, found),
        partial(report.print_plot_json, "loops", found),
    )


@plot.command(
    cls=SectionedCommand,
    params=_tape(_AROUND, drive=(0.5,), oversampling=(1, 2, 4, 8)),
    short_help="Spectrum of a driven sine: harmonics and aliases.",
    epilog="Example: chowtape plot harmonics --os 2 --os 16 --drive 0.9 --output harmonics.svg",
)
@option("Sine", "--frequency", type=float, default=3000.0, metavar="HZ",
        help="The nearest that fits the transform is taken.  [default: 3000]")  # fmt: skip
@option("Sine", "--level", type=_Number(-120.0, _HIGHEST), default=-2.0, show_default=True,
        metavar="DBFS", help="Its peak.")  # fmt: skip
@option("Sine", "--rate", type=click.IntRange(8000, 384_000), default=44_100, show_default=True,
        metavar="HZ", help="Its sample rate.")  # fmt: skip
@_outlet("harmonics")
def harmonics(frequency: float, level: float, rate: int, outlet: Outlet, **options: Any) -> None:
    """Draw the spectrum of a sine from tape: its harmonics, and the aliases that fold back.

    A panel for each setting; four oversampling factors unless told otherwise. Aliases are summed up
    in dB, all of their power relative to the sine.
    """
    settings = _settings(options)
    from chowtape_cli import report
    from chowtape_cli.figures.harmonics import FRAMES
    from chowtape_cli.figures.harmonics import harmonics as measured
    from chowtape_cli.figures.tone import bin_of

    bin_of(frequency, rate, FRAMES)  # what is wrong with the options comes before the files
    outlet.check()
    from chowtape_cli.plots import harmonics as picture

    with report.status("listening"):
        found = measured(settings, frequency, level, rate)
    _warn(found)
    outlet.put(
        partial(picture.draw, panels=found),
        picture.size(len(found)),
        partial(picture.sketch, found),
        partial(report.print_plot_json, "harmonics", found),
    )


@plot.command(
    cls=SectionedCommand,
    params=_tape(_AROUND, drive=(0.1, 0.5, 0.9), oversampling=(2,)),
    short_help="Gain against level.",
    epilog="Example: chowtape plot curve --bias 0 --bias 0.5 --drive 0.7 --output curve.svg",
)
@option("Sine", "--frequency", type=float, default=1000.0, metavar="HZ",
        help="The nearest that fits is taken.  [default: 1000]")  # fmt: skip
@option("Sine", "--levels", type=_Number(-120.0, _HIGHEST), nargs=2, default=(-48.0, 18.0),
        metavar="LOW HIGH", help="Peak levels in dBFS.  [default: -48 18]")  # fmt: skip
@_outlet("curve")
def curve(frequency: float, levels: tuple[float, float], outlet: Outlet, **options: Any) -> None:
    """Draw by how much a sine comes out louder or softer, against its level.

    RMS over RMS in dB, harmonics included, once the tape has settled.
    """
    settings = _settings(options)
    if levels[1] - levels[0] < 1.0:
        raise click.UsageError("--levels must be a lower one, then one that is 1 dB higher or more")
    from chowtape_cli import report
    from chowtape_cli.figures.curve import FRAMES, RATE, curves
    from chowtape_cli.figures.tone import bin_of

    bin_of(frequency, RATE, FRAMES)
    outlet.check()
    from chowtape_cli.plots import curve as picture

    with report.status("measuring"):
        found = curves(settings, frequency, *levels)
    _warn(found)
    outlet.put(
        partial(picture.draw, curves=found),
        picture.SIZE,
        partial(picture.sketch, found),
        partial(report.print_plot_json, "curves", found),
    )


@plot.command(
    cls=SectionedCommand,
    short_help="Long-term average spectra of recordings.",
    epilog="Example: chowtape plot spectrum in.wav out.wav --output spectrum.svg",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=_PATH)
@_outlet("spectrum")
def spectrum(files: tuple[Path, ...], outlet: Outlet) -> None:
    """Draw the long-term average spectra of recordings over each other.

    Level in a third of an octave around each frequency, mean of the channels; a sine of full scale
    has 0 dBFS. Files of any length: memory does not grow with it.
    """
    from chowtape_cli.figures.variants import MOST

    if len(files) > MOST:
        raise click.UsageError(f"these are {len(files)} files; give at most {MOST}")
    outlet.check()
    from chowtape_cli import report
    from chowtape_cli.figures.spectrum import spectrum as measured
    from chowtape_cli.plots import spectrum as picture

    found = []
    for file in files:
        with report.progress(file.name) as progress:
            found.append(measured(file, progress))
    outlet.put(
        partial(picture.draw, spectra=found),
        picture.SIZE,
        partial(picture.sketch, found),
        partial(report.print_plot_json, "spectra", found),
    )


@plot.command(
    cls=SectionedCommand,
    short_help="A bank's error over saturation, bias and drive.",
    epilog="Example: chowtape plot bank --weights 2x8 --level 12 --output bank.svg",
)
@option("Bank", "--weights", metavar="PATH",
        help="A bank, or 2x4, 2x8 or 3x4 for one that came with chowtape.  [default: 2x4]",
        )  # fmt: skip
@option("Bank", "--level", type=float, default=-2.0, show_default=True, metavar="DBFS",
        help="Peak level of the music it was measured on.")  # fmt: skip
@_outlet("bank")
def bank(weights: str | None, level: float, outlet: Outlet) -> None:
    """Draw a bank's error against nr8 as heat maps over saturation and bias, one for each drive.

    The error is the one that was measured when the bank was made; `chowtape bank check` measures
    it again.
    """
    from chowtape_cli import report
    from chowtape_cli.neural.accuracy import check_measured
    from chowtape_cli.neural.catalogue import load_any
    from chowtape_cli.plots import bank as picture

    held = load_any(weights)
    check_measured(held, level)
    outlet.check()
    outlet.put(
        partial(picture.draw, bank=held, level=level),
        picture.size(held),
        partial(report.bank_maps, held, level),
        partial(report.print_bank_json, held),
    )
