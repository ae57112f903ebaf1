"""What a folder of renders was made from: lines of JSON, written as each file is begun and done.

So a batch that is interrupted, even by a power cut, is taken up where it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from chowtape_cli import __version__
from chowtape_cli.errors import FileError
from chowtape_cli.files import (
    check_not_full,
    missing_folders,
    remove_folders,
    shown,
    write_whole,
)
from chowtape_cli.notices import tell
from chowtape_cli.settings import RenderSettings

NAME = ".chowtape.jsonl"

_OUTPUT = {"source": str, "settings": str, "trim_db": float, "status": str}  # kinds of values
MISSING, UP_TO_DATE, OUTDATED, UNKNOWN = "missing", "up to date", "outdated", "unknown"


def identity(path: Path) -> list[int] | None:
    """Return what tells a file from a later one of its name; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an output is made of, as far as it matters to whether it would be made again.

    Attributes:
        source: path of the source.
        made_from: its identity.
        settings: name of the settings, and the version, in the manifest.
        trim_db: gain after everything else.
    """

    source: str
    made_from: list[int] | None
    settings: str
    trim_db: float

    def as_dict(self) -> dict[str, object]:
        """Return every part by its name, ready for JSON."""
        return {
            "source": self.source,
            "made_from": self.made_from,
            "settings": self.settings,
            "trim_db": self.trim_db,
        }


class Manifest:
    """The manifest of a destination folder.

    Raises:
        FileError: it is there, but can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._settings: dict[str, str] = {}  # all three: lines, by what they are about
        self._outputs: dict[str, str] = {}
        self._gains: dict[str, str] = {}
        self._missing: list[Path] = []
        self._file: IO[str] | None = None
        self._whole = True
        self._before: os.stat_result | None = None  # the file as it was read
        content = self._read()
        self._digest = _digest(content)
        self._whole = not content or content.endswith(b"\n")
        damaged = 0
        for line in content.split(b"\n"):
            try:
                text = line.decode()
                self._take(json.loads(text or "{}"), text)
            except (ValueError, TypeError, AttributeError, RecursionError):
                damaged += 1
        if damaged:
            lines = "1 line that is" if damaged == 1 else f"{damaged} lines that are"
            tell(
                f"warning: {shown(self._path)}: skipped {lines} damaged; outputs that only they "
                "tell of count as unknown"
            )

    def _read(self) -> bytes:
        """Return what the manifest holds; nothing where there is none."""
        try:
            if self._path.exists() and not self._path.is_file():
                raise FileError(
                    f"{shown(self._path)}: is no file, as chowtape's manifest is; remove it or "
                    "choose another destination"
                )
            with self._path.open("rb") as file:
                self._before = os.fstat(file.fileno())
                return file.read()
        except FileNotFoundError:
            return b""
        except NotADirectoryError as error:
            raise FileError(
                f"{shown(self._folder)}: can't be made, for a file is in its way; choose another "
                "destination"
            ) from error
        except OSError as error:
            raise FileError(
                f"{shown(self._path)}: can't be read ({error.strerror}); check its rights, or "
                "choose another destination"
            ) from error

    def _take(self, entry: Mapping[str, Any], line: str) -> None:
        """Keep a line; raise ValueError or the like where it does not say what it should."""
        for key, lines, kinds in (
            ("output", self._outputs, _OUTPUT),
            ("measured", self._gains, {"gain": float}),
            ("recipe", self._settings, {"settings": dict}),
        ):
            if entry.get(key) is None:
                continue
            if not all(isinstance(entry.get(name), kind) for name, kind in kinds.items()):
                raise ValueError(line)
            if entry.get("status") == "begun" and not isinstance(entry.get("run"), str):
                raise ValueError(line)
            lines[str(entry[key])] = line

    def recipe(self, source: Path, settings: RenderSettings, trim_db: float = 0.0) -> Recipe:
        """Return the recipe of an output."""
        name, line = _named(settings)
        self._settings.setdefault(name, line)
        return Recipe(f"{_real(source.parent)}/{source.name}", identity(source), name, trim_db)

    def state(self, place: str, wanted: Recipe) -> str:
        """Say whether an output is MISSING, UP_TO_DATE, OUTDATED or UNKNOWN to the manifest."""
        path = self._folder / place
        if not os.path.lexists(path):
            return MISSING
        entry = self._entry(place)
        ours, finished = _ours(entry, identity(path))
        if not ours:
            return UNKNOWN
        same = finished and all(entry.get(key) == value for key, value in wanted.as_dict().items())
        return UP_TO_DATE if same else OUTDATED

    def trim_db(self, place: str) -> float | None:
        """Return the gain in dB that an output was given; None where that is not known."""
        entry = self._entry(place)
        ours, as_noted = _ours(entry, identity(self._folder / place))
        return entry["trim_db"] if ours and as_noted else None

    def changed(self, place: str) -> bool:
        """Say whether an output that is UNKNOWN was made here, and changed by others since."""
        return self._entry(place).get("written") is not None

    def differences(self, place: str, wanted: Recipe) -> list[str]:
        """Say what would be different about an OUTDATED output if it was made anew."""
        entry = self._entry(place)
        found = []
        if entry.get("source") != wanted.source:
            found.append(f"its source was {entry.get('source')}")
        elif entry.get("made_from") != wanted.made_from:
            found.append("its source has changed")
        if entry.get("settings") != wanted.settings:
            found += _changes(*(
                json.loads(self._settings.get(str(name), "{}"))
                for name in (entry.get("settings"), wanted.settings)
            ))  # fmt: skip
        if entry.get("trim_db") != wanted.trim_db:
            found.append(f"the set's gain {entry.get('trim_db')} -> {wanted.trim_db} dB")
        return found or ["its last render did not end"]

    def _entry(self, place: str) -> dict[str, Any]:
        entry: dict[str, Any] = json.loads(self._outputs.get(place, "{}"))
        return entry

    def begin(self, place: str, made: Recipe, run: str) -> None:
        """Write down that an output is in the works in a run, and what stood in its place."""
        now = identity(self._folder / place)
        ours, _ = _ours(self._entry(place), now)
        written = now if ours else None
        self._note(place, made, status="begun", run=run, before=now, written=written)

    def interrupted(self) -> set[str]:
        """Return the runs that ended before all that they had begun was done."""
        entries = map(self._entry, self._outputs)
        return {entry["run"] for entry in entries if entry.get("status") == "begun"}

    def note(self, place: str, made: Recipe, status: str) -> None:
        """Write down what became of an output that was begun."""
        if status == "rendered":
            written = identity(self._folder / place)
        else:  # what stood there is there still
            written = self._entry(place).get("written")
        self._note(place, made, status=status, written=written)

    def _note(self, place: str, made: Recipe, **more: object) -> None:
        line = json.dumps({"output": place, **made.as_dict(), **more})
        self._outputs[place] = line
        self._write(line)

    def gain(self, place: str, made: Recipe) -> float | None:
        """Return the gain that an output of this recipe bears, if that was measured before."""
        entry: dict[str, Any] = json.loads(self._gains.get(place, "{}"))
        same = all(entry.get(key) == value for key, value in made.as_dict().items())
        return entry["gain"] if same else None

    def note_gain(self, place: str, made: Recipe, gain: float) -> None:
        """Write down the gain that an output bears before it clips."""
        line = json.dumps({"measured": place, **made.as_dict(), "gain": gain})
        self._gains[place] = line
        self._write(line)

    def open(self) -> None:
        """Make the manifest, and keep others from writing here.

        Raises:
            FileError: it can't be written, or another process writes to it.
            DiskFullError: there is no room for it.
        """
        try:
            self._missing = _make(self._folder)
            self._file = self._locked()
        except BlockingIOError as error:
            raise FileError(
                f"{shown(self._folder)}: another chowtape is rendering into it; wait for its end"
            ) from error
        except OSError as error:
            check_not_full(self._path, error)
            raise FileError(
                f"{shown(self._path)}: can't be written ({error.strerror}); choose another "
                "destination"
            ) from error
        if not self._whole:
            self._write("")
        for line in self._settings.values():
            self._write(line)

    def _locked(self) -> IO[str]:
        file = self._path.open("a", encoding="utf-8")
        try:
            _lock(file)
        except BlockingIOError:
            file.close()
            raise
        if self._before and _version(os.fstat(file.fileno())) != _version(self._before):
            self._before = None  # another one has written since
        return file

    def _write(self, line: str) -> None:
        assert self._file is not None
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            check_not_full(self._path, error)
            raise FileError(f"{shown(self._path)}: can't be written ({error.strerror})") from error

    def _is_there(self, place: str) -> bool:
        return _ours(self._entry(place), identity(self._folder / place))[0]

    def close(self) -> None:
        """Write the manifest anew, a line an output; remove one that says nothing.

        If it says what it did before, it is left as it was.
        """
        if self._file is None:
            return
        parts = (self._settings, self._outputs, self._gains)
        lines = (lines[key] for lines in parts for key in sorted(lines))
        content = "".join(f"{line}\n" for line in lines).encode()
        before = self._before if _digest(content) == self._digest else None
        if before is not None:
            with contextlib.suppress(OSError):  # while nobody else can write to it
                self._file.truncate(before.st_size)
        with contextlib.suppress(OSError):  # a full disk; what was written before is there
            self._file.close()
        self._file = None
        if not self._gains and not any(map(self._is_there, self._outputs)):
            self._path.unlink(missing_ok=True)
            remove_folders(self._missing)
            return
        if before is not None:
            with contextlib.suppress(OSError):
                os.utime(self._path, ns=(before.st_atime_ns, before.st_mtime_ns))
            return
        with contextlib.suppress(FileError):  # the longer one is as good
            write_whole(self._path, content)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _version(stat: os.stat_result) -> tuple[int, ...]:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _ours(entry: Mapping[str, Any], now: list[int] | None) -> tuple[bool, bool]:
    """Say whether a file that is there now is of our making, and of what the entry says."""
    if now is None or not entry:
        return False, False
    if entry.get("status") == "begun" and now != entry.get("before"):
        return True, True  # files come whole: the run ended before it could note this one
    return now == entry.get("written"), entry.get("status") == "rendered"


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between two lines about settings, each as old -> new."""
    before, after = old.get("settings", {}), new.get("settings", {})
    for name, value in after.items():
        if before.get(name) != value:
            yield f"{name} {_text(before.get(name))} -> {_text(value)}"
    if before.get("weights") == after.get("weights") and old.get("weights") != new.get("weights"):
        yield "its networks have changed"
    if old.get("version") != new.get("version"):
        yield f"chowtape {old.get('version', 'of an unknown version')} -> {new.get('version')}"


def _text(value: object) -> str:
    return "unset" if value is None else str(value)


@lru_cache(maxsize=64)
def _named(settings: RenderSettings) -> tuple[str, str]:
    """Return a name for settings, and the line of the manifest that says what they are."""
    weights = identity(Path(settings.weights)) if settings.weights else None
    whole = {"settings": settings.as_dict(), "weights": weights, "version": __version__}
    name = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
    return name, json.dumps({"recipe": name, **whole})


@lru_cache(maxsize=4096)
def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def _make(folder: Path) -> list[Path]:
    missing = missing_folders(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _lock(file: IO[str]) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return
