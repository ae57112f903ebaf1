"""Which files a batch is made of, and where each goes."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from string import Formatter

from chowtape_cli.audio_files.formats import EXTENSIONS
from chowtape_cli.errors import FileError, PlanError
from chowtape_cli.files import shown
from chowtape_cli.patterns import is_glob, matches
from chowtape_cli.settings import RenderSettings

_WIDEST = 20  # characters that a field of a name may be told to take


@dataclass(frozen=True, slots=True)
class Found:
    """A source.

    Attributes:
        path: where it is.
        relative: its place below the destination, with ``/`` between names.
        inside: its path from the top of the folder that it was found in.
        size: in bytes, 0 where it can't be told.
    """

    path: str
    relative: str
    inside: str
    size: int

    @property
    def paths(self) -> tuple[str, str]:
        """What patterns are compared with."""
        return self.relative, self.inside


@dataclass(frozen=True)
class Search:
    """A folder that is searched with all below it.

    Attributes:
        top: the folder.
        prefix: what goes before the places of what is found in it, with a ``/`` at its end.
        pattern: what paths from the top must be like; None for any.
    """

    top: Path
    prefix: str = ""
    pattern: str | None = None

    def chooses(self, path: str) -> bool:
        """Say whether a path from the top would be found, if it was audio."""
        hidden = any(name.startswith(".") for name in path.split("/"))
        return not hidden and (self.pattern is None or matches(f"/{self.pattern}", path))

    def is_as(self, other: Search) -> bool:
        """Say whether the same would be found."""
        same_rest = (self.prefix, self.pattern) == (other.prefix, other.pattern)
        return same_rest and _real(self.top) == _real(other.top)

    def reaches(self, depth: int) -> bool:
        """Say whether anything can be found so many folders down."""
        parts = None if self.pattern is None else self.pattern.split("/")
        return parts is None or "**" in parts or depth < len(parts)


@dataclass
class Sources:
    """What was found.

    Attributes:
        files: in order of their places.
        left_alone: how many files in folders are no audio, by their extension.
        unreadable: folders that could not be searched, and why.
        searches: where was looked for files.
        include, exclude: patterns of what is wanted, and what is not.
    """

    files: list[Found] = field(default_factory=list)
    left_alone: dict[str, int] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def wants(self, *paths: str) -> bool:
        """Say whether the patterns let a file through that has these paths."""

        def any_of(patterns: Sequence[str]) -> bool:
            return any(matches(one, path) for one in patterns for path in paths)

        return (not self.include or any_of(self.include)) and not any_of(self.exclude)

    def idle(self) -> list[str]:
        """Return the patterns of what is wanted that choose none of the files."""
        return [
            pattern
            for pattern in self.include
            if not any(matches(pattern, path) for found in self.files for path in found.paths)
        ]


def find_sources(
    given: Sequence[str],
    *,
    files_from: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Sources:
    """Find what the command line names.

    Args:
        given: files, folders and globs. What is in the only folder or glob goes to the top of the
            destination; beside others, a folder keeps its name.
        files_from: a text file with a path a line, or ``-`` for standard input.
        include: if any, files must match one of these patterns; see `patterns.matches`.
        exclude: files must match none of these.

    Raises:
        FileError: a list that can't be read.
        PlanError: nothing is named.
    """
    sources = Sources(include=include, exclude=exclude)
    listed = _listed(files_from) if files_from else []
    alone = len(given) == 1 and not listed
    for name in given:
        path = Path(name)
        if path.is_dir():
            search = Search(path, "" if alone else f"{_absolute(path).name}/")
            if not any(search.is_as(other) for other in sources.searches):
                _search(sources, search)
        elif is_glob(name) and not os.path.lexists(path):
            _expand(sources, name)
        else:
            sources.files.append(_found(path, path.name))
    sources.files += [_found(path, place) for path, place in _places(listed)]
    if not given and not listed:
        raise PlanError(f"{files_from}: names no file; write a path a line")
    once = {
        (_real(Path(found.path).parent), Path(found.path).name, found.relative): found
        for found in reversed(sources.files)
    }
    wanted = [found for found in once.values() if sources.wants(*found.paths)]
    sources.files = sorted(wanted, key=lambda found: found.relative)
    return sources


def _found(path: Path, relative: str, inside: str | None = None) -> Found:
    try:
        size = path.stat().st_size
    except OSError:  # whoever opens it will say why
        size = 0
    return Found(str(path), relative, inside or relative, size)


def _search(sources: Sources, search: Search) -> int:
    """Add the audio in a folder and those below it; return how many files were looked at."""

    def unreadable(error: OSError) -> None:
        sources.unreadable.append((str(error.filename), error.strerror or str(error)))

    sources.searches.append(search)
    seen, count = set(), 0
    for here, names, files in os.walk(search.top, onerror=unreadable, followlinks=True):
        place = os.path.realpath(here)
        if place in seen:  # a link that leads back
            names.clear()
            continue
        seen.add(place)
        below = Path(here).relative_to(search.top)
        names[:] = sorted(name for name in names if not name.startswith("."))
        if not search.reaches(len(below.parts) + 1):
            names.clear()
        for name in files:
            inside = (below / name).as_posix()
            if search.pattern is None or search.chooses(inside):
                count += 1
                _add(sources, Path(here) / name, search.prefix, inside)
    return count


def _add(sources: Sources, path: Path, prefix: str, inside: str) -> None:
    hidden = path.name.startswith(".")
    if hidden or path.suffix.lower().lstrip(".") not in EXTENSIONS:
        kind = "hidden" if hidden else path.suffix.lower() or path.name
        sources.left_alone[kind] = sources.left_alone.get(kind, 0) + 1
    else:
        sources.files.append(_found(path, prefix + inside, inside))


def _expand(sources: Sources, name: str) -> None:
    """Add what a glob chooses; places are counted from before its first wildcard."""
    parts = Path(name).parts
    wild = next(i for i, part in enumerate(parts) if is_glob(part))
    search = Search(Path(*parts[:wild]), "", "/".join(parts[wild:]))
    if not _search(sources, search) and not sources.unreadable:
        raise PlanError(f"{name}: no file is chosen by it; check the pattern")


def _listed(files_from: str) -> list[Path]:
    try:
        raw = sys.stdin.buffer.read() if files_from == "-" else Path(files_from).read_bytes()
    except OSError as error:
        message = f"{shown(files_from)}: can't be read ({error.strerror}); check the path"
        raise FileError(message) from error
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in raw:  # as `find -print0` writes, for names with newlines
        return [Path(os.fsdecode(name)) for name in raw.split(b"\0") if name]
    lines = (line.removesuffix(b"\r") for line in raw.split(b"\n"))
    return [Path(os.fsdecode(line)) for line in lines if line.strip()]


def _places(listed: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each path and its place: its own if it is relative, else from what all share."""
    listed = list(listed)
    absolute = [_absolute(path) for path in listed if path.is_absolute()]
    shared = os.path.commonpath([path.parent for path in absolute]) if absolute else ""
    for path in listed:
        base = Path(os.path.normpath(path))
        place = base.relative_to(shared) if path.is_absolute() else base
        yield path, "/".join(part for part in place.parts if part != "..")


def check_apart(sources: Sources, destination: Path, places: Sequence[str]) -> None:
    """Raise PlanError where what is written would replace a source, or be one the next time."""
    top = _real(destination)
    ours = {(_real(Path(one.path).parent), Path(one.path).name): one for one in sources.files}
    for place in places:
        output = top / place
        if (output.parent, output.name) in ours:
            raise PlanError(
                f"{shown(destination / place)}: is one of the sources; choose another folder"
            )
    for search in sources.searches:
        above = _real(search.top)
        if top != above and above not in top.parents:
            continue
        inside = top.relative_to(above)
        for place in places:
            again = (inside / place).as_posix()
            if search.chooses(again) and sources.wants(search.prefix + again, again):
                raise _inside(destination, search, inside)


def _inside(destination: Path, search: Search, inside: Path) -> PlanError:
    folder = (search.prefix + inside.as_posix()).replace("[", "[[]")
    advice = f", or give --exclude '{folder}/**'" if inside.parts else ""
    return PlanError(
        f"{shown(destination)}: lies in the folder of sources {shown(search.top)}, and what is "
        f"written there would be rendered the next time; choose another folder{advice}"
    )


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100


@lru_cache(maxsize=4096)
def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder))


def place_of(
    found: Found, settings: RenderSettings, number: int, name: str | None, extension: str | None
) -> str:
    """Return where a source goes, from the destination, with ``/`` between names.

    Args:
        found: the source.
        settings: what it is rendered with.
        number: which of the sources it is, from 1.
        name: a template such as ``{stem}-{mode}{ext}``; None for the source's own name.
        extension: of the output, without its dot; None for the source's.

    Raises:
        PlanError: a template that names what there is not, or leads out of the destination.
    """
    place = PurePosixPath(found.relative)
    suffix = f".{extension}" if extension else place.suffix
    if name is None:
        return str(place.with_suffix(suffix))
    known = {"stem": place.stem, "name": place.name, "ext": suffix, "number": number}
    filled = fill(name, {**known, **_in_names(settings)})
    result = place.parent / filled
    if filled.startswith("/") or ".." in result.parts:
        raise PlanError(f"--name {name}: makes {shown(filled)}; name a file below the destination")
    if filled.endswith("/") or result.suffix.lower().lstrip(".") not in EXTENSIONS:
        raise PlanError(
            f"--name {name}: makes {shown(filled)}, which has no extension of an audio file; "
            "end it with {ext} or .wav"
        )
    return str(result)


def _in_names(settings: RenderSettings) -> dict[str, object]:
    """Return settings as they are in names: what is left open is empty."""
    values = {name: "" if value is None else value for name, value in settings.as_dict().items()}
    if settings.mode == "stn":
        from chowtape_cli.neural.catalogue import DEFAULT_ARCHITECTURE

        values["weights"] = Path(settings.weights or DEFAULT_ARCHITECTURE).stem
    return values


def fill(template: str, known: Mapping[str, object]) -> str:
    """Fill in the fields of a ``--name`` template.

    Raises:
        PlanError: it is malformed, or names what there is not.
    """

    def wrong(what: str) -> PlanError:
        return PlanError(f"--name {shown(template)}: {what}")

    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        message = "has a brace without its counterpart, so it can't be filled in; write {{ for {"
        raise wrong(message) from error
    filled = []
    for text, name, form, conversion in parts:
        filled.append(text)
        if name is None:
            continue
        if name not in known or conversion:
            field = f"{name}!{conversion}" if conversion else name
            raise wrong(f"{{{field}}} can't be filled in; there are: {' '.join(known)}")
        if any(int(digits) > _WIDEST for digits in re.findall(r"\d+", form or "")):
            raise wrong(f"{{{name}:{form}}} is too wide; give {_WIDEST} or less")
        try:
            filled.append(format(known[name], form or ""))
        except (ValueError, TypeError) as error:
            value = shown(str(known[name])) or "nothing"
            raise wrong(f"{{{name}:{form}}} can't be filled in with {value}") from error
    return "".join(filled)


def check_report(report: Path, others: Iterable[Path]) -> None:
    """Raise PlanError where a report would take the place of another file, or stand in its way."""
    place = Path(os.path.realpath(report))
    key, above = _key(place), set(map(_key, place.parents))
    for path in others:
        other = _real(path.parent) / path.name
        if _key(other) in {key, *above} or key in map(_key, other.parents):
            raise PlanError(
                f"--report {shown(report)}: is in the place of {shown(path)}; name another file"
            )


def _key(place: Path | PurePosixPath | str) -> str:
    """Return what is the same for names that are one file on some file system."""
    return unicodedata.normalize("NFC", str(place)).casefold()


def check_distinct(places: Sequence[tuple[Found, str]]) -> None:
    """Raise PlanError where two sources would write one file, whatever the file system is like."""
    taken: dict[str, str] = {}
    for found, place in places:
        key = _key(place)
        if key in taken:
            alike = _key(Path(taken[key]).name) == _key(Path(found.path).name)
            hint = "{number:02} {stem}{ext}" if alike else "{name}{ext}"
            raise PlanError(
                f"{shown(taken[key])} and {shown(found.path)} would both become {shown(place)}; "
                f"give a --name such as '{hint}', or render them apart"
            )
        taken[key] = found.path
