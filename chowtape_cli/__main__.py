"""The edge of the program: arguments in, exit code out; every error becomes one line here."""

from __future__ import annotations

import signal

# Ctrl-C while the rest is being imported ends the process without a word.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import os  # noqa: E402
import re  # noqa: E402

# Nothing here gains from threads of linear algebra, and a process without can be forked.
for _library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import sys  # noqa: E402
from types import FrameType  # noqa: E402

import click  # noqa: E402

from chowtape_cli.cli import chowtape  # noqa: E402
from chowtape_cli.errors import ChowtapeError  # noqa: E402
from chowtape_cli.files import shown  # noqa: E402
from chowtape_cli.notices import listen  # noqa: E402

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
_ENDING_SIGNALS = ("SIGTERM", "SIGHUP", "SIGXCPU")


def main() -> None:
    """Run the command and end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command on the given arguments and return its exit code."""
    _prepare()
    code = EXIT_FAILED
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _prepare() -> None:
    """Make streams that can take any file name, notices, and signals that let us clean up."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    listen(lambda notice: print(f"chowtape: {notice}", file=sys.stderr))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in _ENDING_SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _run(arguments: list[str]) -> int:
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
        return _complain(f"{_worded(error)}; {hint}", EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _complain("interrupted; nothing half-written was left behind", EXIT_INTERRUPTED)
    except BrokenPipeError:
        raise
    except OSError as error:  # the machine's doing, and nothing that a module expected
        where = f": {error.filename}" if error.filename else " (on standard output?)"
        return _complain(f"{error.strerror}{where}; check the path and its rights", EXIT_FAILED)
    except Exception as error:
        if os.environ.get("CHOWTAPE_DEBUG"):
            raise
        return _complain(
            f"a bug: {type(error).__name__}: {error}; set CHOWTAPE_DEBUG=1 to see where, and "
            "report it",
            EXIT_FAILED,
        )
    return outcome if isinstance(outcome, int) else 0


# what click says, and what is said here
_WORDS = (
    (r"^Invalid value for (.*): (\S+) is not in the range (\S+)<=x<=(\S+)$",
     r"\1 is \2, but must be \3 to \4"),
    (r"is not a valid float( range)?$", "is not a number"),
    (r"is not a valid integer( range)?$", "is not a whole number"),
)  # fmt: skip


def _worded(error: click.UsageError) -> str:
    """Return what is wrong with a command line."""
    message = error.format_message().rstrip(".")
    for theirs, ours in _WORDS:
        message = re.sub(theirs, ours, message)
    if isinstance(error, click.BadOptionUsage) and error.ctx is not None:
        for parameter in error.ctx.command.params:
            record = parameter.get_help_record(error.ctx)
            if error.option_name in parameter.opts and record is not None:
                return f"{message}: {record[0]}"  # with its metavar
    return message


def _complain(message: str, exit_code: int) -> int:
    """Print one line on stderr, whatever characters a file name brought into it."""
    click.echo(f"chowtape: {shown(message)}", err=True)
    return exit_code


if __name__ == "__main__":
    main()
