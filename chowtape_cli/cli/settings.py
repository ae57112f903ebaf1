"""`chowtape settings`: what a render would use, as a file to save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chowtape_cli import __version__
from chowtape_cli.cli.options import (
    SectionedCommand,
    option,
    plan_from,
    settings_file_option,
    settings_options,
)


@click.command(
    cls=SectionedCommand,
    short_help="Print the settings that a render would use, as a file to save.",
    epilog="Example: chowtape settings --drive 0.7 > tape.toml",
)
@settings_options
@settings_file_option
@option(
    "Run",
    "--for",
    "relative",
    metavar="PATH",
    help="Print what one file gets; PATH goes from the top of the folder that is rendered.",
)
@click.pass_context
def settings(
    ctx: click.Context, /, settings_file: Path | None, relative: str | None, **options: Any
) -> None:
    """Print the effective settings as a commented TOML file.

    They are those of the --settings file, and over them those of the command line; what neither
    says is the default. `chowtape render --settings` takes the file.
    """
    from chowtape_cli.settings_file import SettingsPlan, to_toml

    plan, title = plan_from(ctx, options, settings_file), f"chowtape {__version__}, settings"
    if relative is not None:
        plan, title = SettingsPlan(plan.for_file(Path(relative))), f"{title} of {relative}"
    texts = {parameter.name or "": _text(parameter) for parameter in ctx.command.params}
    # a TOML file is UTF-8, whatever the terminal's encoding
    click.echo(to_toml(plan, texts, title).encode(), nl=False)


def _text(parameter: click.Parameter) -> str:
    """Return what an option's help says it does, without its range and default."""
    return (getattr(parameter, "help", None) or "").split("  [")[0]
