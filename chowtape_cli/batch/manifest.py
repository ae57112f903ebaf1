"""What a folder of renders was made from: a line of JSON a file, written as each is done.

So a batch that is interrupted, even by a power cut, is taken up where it was.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chowtape_cli import __version__
from chowtape_cli.errors import FileError
from chowtape_cli.files import shown, write_whole
from chowtape_cli.settings import RenderSettings

NAME = ".chowtape.jsonl"

MISSING, UP_TO_DATE, OUTDATED, UNKNOWN = "missing", "up to date", "outdated", "unknown"


def identity(path: Path) -> list[int] | None:
    """Return what tells a file from a later one of its name; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


@dataclass(frozen=True)
class Recipe:
    """What an output is made of, as far as it matters to whether it would be made again."""

    source: str
    made_from: list[int] | None
    settings: dict[str, object]
    version: str = __version__


def recipe(source: Path, settings: RenderSettings, trim_db: float) -> Recipe:
    """Return the recipe of an output."""
    effective = {**settings.as_dict(), "trim_db": trim_db}
    return Recipe(os.path.realpath(source), identity(source), effective)


class Manifest:
    """The manifest of a destination folder.

    Raises:
        FileError: it is there, but can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._lines: dict[str, str] = {}
        self._file: IO[str] | None = None
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(
                f"{shown(self._path)}: can't be read ({error}); remove it to start afresh"
            ) from error
        for line in text.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # one cut off
                self._lines[json.loads(line)["output"]] = line

    def state(self, place: str, wanted: Recipe) -> str:
        """Say whether an output is MISSING, UP_TO_DATE, OUTDATED or UNKNOWN to the manifest."""
        path = self._folder / place
        if not os.path.lexists(path):
            return MISSING
        line = self._lines.get(place)
        entry: dict[str, Any] = json.loads(line) if line else {}
        if entry.get("status") != "rendered" or entry.get("written") != identity(path):
            return UNKNOWN
        same = all(entry.get(name) == value for name, value in _as_dict(wanted).items())
        return UP_TO_DATE if same else OUTDATED

    def note(self, place: str, made: Recipe, status: str) -> None:
        """Write down what became of an output."""
        written = identity(self._folder / place) if status == "rendered" else None
        entry = {"output": place, "status": status, **_as_dict(made), "written": written}
        line = json.dumps(entry, ensure_ascii=True)
        self._lines[place] = line
        if self._file is None:
            if not self._folder.is_dir():  # nothing was rendered: there is nothing to keep
                return
            self._file = self._path.open("a", encoding="utf-8")
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """Write the manifest anew, a line an output."""
        if self._file is not None:
            self._file.close()
            self._file = None
            content = "".join(f"{self._lines[place]}\n" for place in sorted(self._lines))
            write_whole(self._path, content.encode())


def _as_dict(made: Recipe) -> dict[str, object]:
    return {
        "source": made.source,
        "made_from": made.made_from,
        "settings": made.settings,
        "version": made.version,
    }
