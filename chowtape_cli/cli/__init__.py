"""The command line: argv becomes one typed settings object, then run() -> exit code."""

from __future__ import annotations

import click

from chowtape_cli import __version__
from chowtape_cli.cli.ab import ab
from chowtape_cli.cli.bank import bank
from chowtape_cli.cli.bench import bench
from chowtape_cli.cli.demo import demo
from chowtape_cli.cli.null import null
from chowtape_cli.cli.plot import plot
from chowtape_cli.cli.render import render
from chowtape_cli.cli.settings import settings
from chowtape_cli.cli.train import train


class _Commands(click.Group):
    """The commands; an interruption passes through, where click would print an empty line."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `chowtape demo`; then `chowtape render in.wav out.wav`.",
)
@click.version_option(__version__, prog_name="chowtape")
def chowtape() -> None:
    """Print audio to tape: a physical model of tape hysteresis for files.

    Each COMMAND explains itself: `chowtape COMMAND --help`.
    """


for command in (render, ab, null, settings, plot, demo, bench, train, bank):
    chowtape.add_command(command)
