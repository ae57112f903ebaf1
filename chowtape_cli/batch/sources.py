"""Which files a batch is made of, and where each goes."""

from __future__ import annotations

import glob
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from chowtape_cli.audio_files.formats import EXTENSIONS
from chowtape_cli.errors import FileError, PlanError
from chowtape_cli.files import shown
from chowtape_cli.patterns import matches
from chowtape_cli.settings import RenderSettings

_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Found:
    """A source.

    Attributes:
        path: where it is.
        relative: its place below the destination, with ``/`` between names.
        size: in bytes, 0 where it can't be told.
    """

    path: str
    relative: str
    size: int


@dataclass
class Sources:
    """What was found.

    Attributes:
        files: in order of their places.
        left_alone: how many files in folders are no audio, by their extension.
        folders: the folders that were searched.
        excluded: patterns of what is not wanted.
    """

    files: list[Found] = field(default_factory=list)
    left_alone: dict[str, int] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    excluded: Sequence[str] = ()


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
    sources = Sources(excluded=exclude)
    listed = _listed(files_from) if files_from else []
    alone = len(given) == 1 and not listed
    for name in given:
        path = Path(name)
        if path.is_dir():
            sources.folders.append(path)
            top = "" if alone else f"{Path(os.path.realpath(path)).name}/"
            _search(sources, path, top)
        elif _WILD.search(name) and not os.path.lexists(path):
            _expand(sources, name)
        else:
            sources.files.append(_found(path, path.name))
    sources.files += [_found(path, place) for path, place in _places(listed)]
    if not given and not listed:
        raise PlanError(f"{files_from}: names no file; write a path a line")

    def wanted(found: Found) -> bool:
        chosen = not include or any(matches(pattern, found.relative) for pattern in include)
        return chosen and not any(matches(pattern, found.relative) for pattern in exclude)

    sources.files = sorted(filter(wanted, sources.files), key=lambda found: found.relative)
    return sources


def _found(path: Path, relative: str) -> Found:
    try:
        size = path.stat().st_size
    except OSError:  # whoever opens it will say why
        size = 0
    return Found(str(path), relative, size)


def _search(sources: Sources, folder: Path, top: str) -> None:
    """Add the audio in a folder and those below it."""
    seen = set()
    for here, names, files in os.walk(folder, followlinks=True):
        place = os.path.realpath(here)
        if place in seen:  # a link that leads back
            names.clear()
            continue
        seen.add(place)
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            path = Path(here) / name
            _add(sources, path, top + path.relative_to(folder).as_posix())


def _add(sources: Sources, path: Path, relative: str) -> None:
    extension = path.suffix.lower().lstrip(".")
    if path.name.startswith(".") or extension not in EXTENSIONS:
        kind = path.suffix.lower() or path.name
        sources.left_alone[kind] = sources.left_alone.get(kind, 0) + 1
    else:
        sources.files.append(_found(path, relative))


def _expand(sources: Sources, pattern: str) -> None:
    """Add what a glob chooses; places are counted from before its first wildcard."""
    parts = Path(pattern).parts
    wild = next(i for i, part in enumerate(parts) if _WILD.search(part))
    top = Path(*parts[:wild]) if wild else Path()
    sources.folders.append(top)
    chosen = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
    if not chosen:
        raise PlanError(f"{pattern}: no file is chosen by it; check the pattern")
    for path in chosen:
        if path.is_file():
            _add(sources, path, path.relative_to(top).as_posix())


def _listed(files_from: str) -> list[Path]:
    try:
        if files_from == "-":
            text = sys.stdin.read()
        else:
            text = Path(files_from).read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        message = f"{shown(files_from)}: can't be read ({error.strerror}); check the path"
        raise FileError(message) from error
    return [Path(line) for line in text.splitlines() if line.strip()]


def _places(listed: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each path and its place: its own if it is relative, else from what all share."""
    listed = list(listed)
    absolute = [Path(os.path.abspath(path)) for path in listed if path.is_absolute()]  # noqa: PTH100
    shared = os.path.commonpath([path.parent for path in absolute]) if absolute else ""
    for path in listed:
        base = Path(os.path.normpath(path))
        place = base.relative_to(shared) if path.is_absolute() else base
        yield path, "/".join(part for part in place.parts if part != "..")


def check_apart(sources: Sources, destination: Path) -> None:
    """Raise PlanError where what is written would be read as a source the next time."""
    place = Path(os.path.realpath(destination))
    for folder in sources.folders:
        top = Path(os.path.realpath(folder))
        if place != top and top not in place.parents:
            continue
        inside = place.relative_to(top).as_posix()
        if place != top and any(matches(p, f"{inside}/any.wav") for p in sources.excluded):
            continue
        advice = f"or give --exclude '{inside}/**'" if place != top else "not the sources' own"
        raise PlanError(
            f"{shown(destination)}: lies in the folder of sources {shown(folder)} and would be "
            f"rendered the next time; choose another folder, {advice}"
        )


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
    try:
        filled = name.format(**known, **settings.as_dict())
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        fields = " ".join([*known, *settings.as_dict()])
        message = f"--name {name}: {error} can't be filled in; there are: {fields}"
        raise PlanError(message) from error
    result = place.parent / filled
    if filled.startswith("/") or ".." in result.parts or result.name in ("", "."):
        raise PlanError(f"--name {name}: makes {shown(filled)}; name a file below the destination")
    return str(result)


def check_distinct(places: Sequence[tuple[Found, str]]) -> None:
    """Raise PlanError where two sources would write one file, whatever the file system is like."""
    taken: dict[str, str] = {}
    for found, place in places:
        key = unicodedata.normalize("NFC", place).casefold()
        if key in taken:
            raise PlanError(
                f"{shown(taken[key])} and {shown(found.path)} would both become {shown(place)}; "
                "give a --name such as {name}{ext}, or render them apart"
            )
        taken[key] = found.path
