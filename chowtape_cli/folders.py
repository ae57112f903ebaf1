"""Folders that are whole or not there: filled beside their place, then put there."""

from __future__ import annotations

import contextlib
import os
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from chowtape_cli.errors import ChowtapeError, FileError
from chowtape_cli.files import make_folders, missing_folders, part_place, remove_folders, shown


def check_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Raise FileError where a folder can't be filled, or may not because something is in it."""
    try:
        if not os.path.lexists(folder):
            return
        if not folder.is_dir():
            raise FileError(f"{shown(folder)}: is not a folder; name another one")
        if not overwrite and any(folder.iterdir()):
            raise FileError(f"{shown(folder)}: is not empty; give --overwrite or another folder")
    except OSError as error:
        message = f"{shown(folder)}: {error.strerror}; choose another destination"
        raise FileError(message) from error


@contextlib.contextmanager
def whole_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Make a folder, or fill one that is there, once the context ends well; or leave nothing.

    Yields:
        A folder to put the files in. They replace those of the same names if ``overwrite``; others
        are left alone.

    Raises:
        FileError: the folder can't be made or written, or is not empty.
    """
    check_folder(folder, overwrite=overwrite)
    place = Path(os.path.realpath(folder))
    # inside of what is there, as that may be a file system of its own
    home = place if place.is_dir() else place.parent
    missing = missing_folders(home)
    part = part_place(home)
    try:
        make_folders(home)
        _make_part_folder(part)
        yield part
        _put_in_place(part, place, folder)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        remove_folders(missing)
        if isinstance(error, ChowtapeError):  # nobody knows of the part folder
            raise type(error)(str(error).replace(shown(part), shown(folder))) from error
        raise


def remove_stale(folder: Path, stale: set[Path], *, keep: set[Path], source: Path) -> None:
    """Remove files of an earlier run from a folder; those it has now and the source stay.

    Args:
        folder: where they are.
        stale: paths in it, from the folder.
        keep: paths in it, from the folder; where file names know no capitals, neither does this.
        source: a path that may be one of them.
    """
    kept = {_alike(path) for path in keep}
    for name in sorted(stale):
        path = folder / name
        with contextlib.suppress(OSError):  # what can't be removed does no harm
            if _alike(name) not in kept and not path.samefile(source):
                path.unlink()
                remove_folders([path.parent])


def _alike(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _make_part_folder(part: Path) -> None:
    try:
        part.mkdir()
    except OSError as error:
        raise FileError(
            f"{shown(part.parent)}: is not writable ({error.strerror}); choose another destination"
        ) from error


def _put_in_place(part: Path, place: Path, folder: Path) -> None:
    try:
        if part.parent != place:
            part.rename(place)
            return
        for path in sorted(part.rglob("*")):
            goal = place / path.relative_to(part)
            if path.is_dir():
                goal.mkdir(exist_ok=True)
            else:
                path.replace(goal)
        shutil.rmtree(part)
    except OSError as error:
        raise FileError(
            f"{shown(folder)}: can't be put in place ({error.strerror}); choose another folder"
        ) from error
