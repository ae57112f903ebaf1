"""The edge of the program: arguments in, exit code out; every error becomes one line here."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from chowtape_cli.cli import chowtape
from chowtape_cli.errors import ChowtapeError

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def main() -> None:
    """Run the command and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command on the given arguments and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # any file name can be shown on any terminal
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
    try:
        outcome = chowtape.main(arguments, prog_name="chowtape", standalone_mode=False)
    except ChowtapeError as error:
        return _complain(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return EXIT_USAGE
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "chowtape"
        hint = f"see '{command} --help'"
        message = error.format_message().rstrip(".").replace("\n", " ")
        return _complain(f"{message}; {hint}", EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted; nothing half-written was left behind", EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # the machine's doing, and nothing that a module expected
        return _complain(f"{error.strerror}: {error.filename}; check the path and its rights", 1)
    except Exception as error:
        if os.environ.get("CHOWTAPE_DEBUG"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _complain(f"a bug: {what}; set CHOWTAPE_DEBUG=1 to see where, and report it", 1)
    return outcome if isinstance(outcome, int) else 0


def _complain(message: str, exit_code: int) -> int:
    click.echo(f"chowtape: {message}", err=True)
    return exit_code


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(EXIT_TERMINATED)


if __name__ == "__main__":
    main()
