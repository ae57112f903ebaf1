"""The command line: argv becomes one typed settings object, then run() -> exit code."""

from __future__ import annotations

from importlib import import_module

import click

from chowtape_cli import __version__

COMMANDS = ("render", "ab", "null", "settings", "plot", "demo", "bench", "train", "bank")


class _Commands(click.Group):
    """The commands; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return their names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return one by its name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"chowtape_cli.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for; an interruption passes through.

        click would print an empty line.
        """
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
