"""Files that are whole or not there: written beside their place and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from chowtape_cli.errors import DiskFullError, FileError

_PART_PREFIX, _PART_SUFFIX = ".chowtape-", ".part"


def shown(path: Path | str) -> str:
    """Return a path, or a message with paths in it, as one printable line, whatever is in it."""
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int) -> str:
    """Return text of ``most`` characters at most: what tells names apart is often at their end."""
    if len(text) <= most:
        return text
    tail = most // 2
    return f"{text[: most - 1 - tail]}…{text[len(text) - tail :]}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it; an existing one is replaced.

    Raises:
        FileError: the place can't be written.
    """
    place = Path(os.path.realpath(path))
    missing = missing_folders(place.parent)
    part = None
    try:
        make_folders(place.parent)
        part = make_part_file(place)
        part.write_bytes(content)
        give_usual_rights(part, place)
        part.replace(place)
    except BaseException as error:
        if part is not None:
            part.unlink(missing_ok=True)
        remove_folders(missing)
        if isinstance(error, OSError):
            message = f"{shown(path)}: can't be written ({error.strerror}); choose another place"
            raise FileError(message) from error
        raise


def missing_folders(folder: Path) -> list[Path]:
    """Return the folders of a path that are not there, innermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing


def make_folders(folder: Path) -> None:
    """Make a folder and its parents where they are missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        check_not_full(folder, error)
        raise FileError(
            f"{shown(folder)}: can't be made ({error.strerror}); choose another destination"
        ) from error


def remove_folders(folders: list[Path]) -> None:
    """Remove folders that were made in vain, unless something came to be in them."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def part_place(folder: Path, run: str = "") -> Path:
    """Return a place in a folder for something in the making, at which there is nothing."""
    return folder / f"{_PART_PREFIX}{run}{os.urandom(8).hex()}{_PART_SUFFIX}"


def make_part_file(place: Path, run: str = "") -> Path:
    """Make an empty file beside a place, which `remove_part_files` finds by its run."""
    part = part_place(place.parent, run)
    try:
        part.touch(0o600, exist_ok=False)
    except OSError as error:
        check_not_full(place.parent, error)
        raise FileError(
            f"{shown(place.parent)}: is not writable ({error.strerror}); choose another destination"
        ) from error
    except BaseException:  # interrupted, before anybody else could know of it
        part.unlink(missing_ok=True)
        raise
    return part


def remove_part_files(folder: Path, run: str) -> None:
    """Remove what processes of a run left in a folder when they were killed."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PART_PREFIX + run) and entry.name.endswith(_PART_SUFFIX):
                Path(entry.path).unlink(missing_ok=True)


def check_not_full(path: Path, error: OSError) -> None:
    """Raise DiskFullError if that is what an error is about."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise DiskFullError(
            f"{shown(path)}: can't be written: the disk is full; make room or choose another place"
        ) from error


def replace_beginning(path: Path, length: int, beginning: bytes) -> None:
    """Put other bytes in place of the first ``length`` bytes of a file."""
    changed = make_part_file(path, path.stem.removeprefix(_PART_PREFIX))
    try:
        with path.open("rb") as old, changed.open("wb") as new:
            old.seek(length)
            new.write(beginning)
            shutil.copyfileobj(old, new, 1 << 20)
        changed.replace(path)
    finally:
        changed.unlink(missing_ok=True)


def give_usual_rights(part: Path, place: Path) -> None:
    """Give a part file the rights of the file that it replaces, or those of a new one."""
    umask = os.umask(0o022)
    os.umask(umask)
    part.chmod(place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~umask)


def rename_without_clobbering(part: Path, place: Path, path: Path) -> None:
    """Move a file to its place unless something came to be there in the meantime."""
    try:
        os.link(part, place)
    except FileExistsError as error:
        raise exists_already(path) from error
    except OSError:  # a file system without hard links
        if os.path.lexists(place):
            raise exists_already(path) from None
        part.replace(place)
    else:
        part.unlink()


def exists_already(path: Path) -> FileError:
    """Return the error of a file that may not be replaced, or of a folder that can't be."""
    if path.is_dir():
        return FileError(f"{shown(path)}: is a folder; rename it, or choose another destination")
    return FileError(f"{shown(path)}: exists already; give --overwrite or another name")
