"""Options in sections, so that a long --help can be read, and the options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from chowtape_cli.settings import (
    CHOICES,
    OVERSAMPLING,
    PHASES,
    RANGES,
    RenderSettings,
)

if TYPE_CHECKING:
    from chowtape_cli.settings_file import SettingsPlan

Function = TypeVar("Function", bound=Callable[..., Any])


class SectionedCommand(click.Command):
    """A command whose help lists its options under headings."""

    last_section = "Run"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; an error says whose it is, so that it can be worded."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one definition list per section, in the order of the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.params + self.get_params(ctx)[len(self.params) :]:
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                section = getattr(parameter, "section", self.last_section)
                sections.setdefault(section, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class SectionedOption(click.Option):
    """An option that says which section of the help it belongs to."""

    def __init__(self, *args: Any, section: str = "General", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


def option(section: str, *names: str, **attributes: Any) -> Callable[[Function], Function]:
    """Declare an option of a section."""
    return click.option(*names, cls=SectionedOption, section=section, **attributes)


def _defaults() -> RenderSettings:
    return RenderSettings()


def _number(section: str, name: str, metavar: str, text: str, *aliases: str) -> Any:
    low, high, _ = RANGES[name]
    return option(
        section, "--" + name.replace("_", "-"), *aliases, name, type=float, metavar=metavar,
        default=getattr(_defaults(), name),
        help=f"{text}  [{low:g} to {high:g}; default: {getattr(_defaults(), name):g}]",
    )  # fmt: skip


def _choice(section: str, name: str, text: str, *aliases: str, **attributes: Any) -> Any:
    choice = click.Choice(list(map(str, CHOICES[name])), case_sensitive=False)
    return option(
        section, "--" + name, *aliases, name, type=choice,
        default=str(getattr(_defaults(), name)), show_default=True, help=text, **attributes,
    )  # fmt: skip


def _settings(subtype: str) -> tuple[Any, ...]:
    return (
        _choice("Tape", "mode",
                "Solver of the hysteresis: Runge-Kutta, Newton-Raphson or a network."),
        _number("Tape", "drive", "X", "How hard the tape is driven."),
        _number("Tape", "saturation", "X", "How early it saturates.", "--sat"),
        _number("Tape", "bias", "X", "How reversible it is; 0 is under-biased, crackling tape."),
        option("Tape", "--makeup/--no-makeup", default=True, show_default=True,
               help="Give back the level that saturation and bias take."),
        option("Tape", "--weights", metavar="PATH",
               help="Networks of --mode stn: a bank, 2x4, 2x8 or 3x4, or a folder of ChowTape's "
               "JSON.  [default: 2x4]"),
        _number("Signal path", "input_gain", "DB", "Gain before the tape, in dB."),
        _number("Signal path", "output_gain", "DB", "Gain after the tape, in dB."),
        _number("Signal path", "mix", "PERCENT",
                "Share of tape in the output; 0 is the dry source."),
        _number("Signal path", "dc_block", "HZ", "High-pass after the tape; 0 switches it off."),
        _choice("Signal path", "oversampling", "Run the tape at this multiple of the sample rate.",
                "--os", metavar="|".join(map(str, OVERSAMPLING))),
        _choice("Signal path", "phase", "Phase of the oversampling filters.",
                metavar="|".join(PHASES)),
        option("Output", "--rate", type=int, metavar="HZ",
               help="Convert the result to this sample rate.  [default: the source's]"),
        option("Output", "--subtype", metavar="NAME",
               help=f"Sample format, such as PCM_16, PCM_24, FLOAT.  [default: {subtype}]"),
        option("Output", "--dither/--no-dither", default=True, show_default=True,
               help="TPDF dither for integer outputs of 16 bits or fewer."),
    )  # fmt: skip


def settings_options(function: Function, *, subtype: str = "the source's") -> Function:
    """Add every option that RenderSettings is made of; ``subtype`` says what its default is."""
    for decorator in reversed(_settings(subtype)):
        function = decorator(function)
    return function


settings_file_option = option(
    "Run", "--settings", "settings_file", metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="Take settings from a TOML file, as `chowtape settings` prints one; options win over it.",
)  # fmt: skip


def settings_from(options: dict[str, Any]) -> RenderSettings:
    """Turn parsed options into validated settings; raises SettingsError."""
    return RenderSettings(**_typed(options))


def plan_from(
    ctx: click.Context, options: dict[str, Any], settings_file: Path | None
) -> SettingsPlan:
    """Put the options that were given over a settings file; raises SettingsError.

    Args:
        ctx: knows which options were given and which are defaults.
        options: every option that `settings_options` added, by its name.
        settings_file: None for none.
    """
    from chowtape_cli.settings_file import load_plan

    unsaid = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    given = {
        name: value
        for name, value in _typed(options).items()
        if ctx.get_parameter_source(name) not in unsaid
    }
    return load_plan(settings_file, given)


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options that click knows as text the types of the settings."""
    subtype = options["subtype"]
    return {
        **options,
        "oversampling": int(options["oversampling"]),
        "subtype": None if subtype is None else subtype.upper(),
    }


def settings_parameters(*names: str) -> list[click.Parameter]:
    """Return the options of the named settings alone, in the order of `render`."""
    every = click.Command(None)
    settings_options(every)
    return [parameter for parameter in reversed(every.params) if parameter.name in names]
