"""Patterns that choose files by their path, as gitignore's do."""

from __future__ import annotations

import unicodedata
from fnmatch import fnmatchcase


def is_glob(name: str) -> bool:
    """Tell whether a name is a pattern: it has a wildcard."""
    return any(wild in name for wild in "*?[")


def matches(pattern: str, relative: str) -> bool:
    """Tell whether a pattern chooses a file.

    Args:
        pattern: without a slash, it is compared with the file's name, in whatever folder; with
            one, with the whole path from the top. ``*`` and ``?`` stay within one name, ``[ab]``
            is either letter, ``**`` is any number of folders, and ``drums/`` is all below drums.
            Upper and lower case differ.
        relative: path of the file from the top folder, with ``/`` between names.
    """
    # composed and decomposed accents are the same name to whoever types it
    pattern, relative = (unicodedata.normalize("NFC", text) for text in (pattern, relative))
    names = relative.split("/")
    if "/" not in pattern:
        return fnmatchcase(names[-1], pattern)
    if pattern.endswith("/"):
        pattern += "**"
    return _match(pattern.removeprefix("/").split("/"), names)


def _match(patterns: list[str], names: list[str]) -> bool:
    if not patterns or not names:
        return not patterns and not names
    first, *rest = patterns
    if first != "**":
        return fnmatchcase(names[0], first) and _match(rest, names[1:])
    return not rest or any(_match(rest, names[skip:]) for skip in range(len(names)))
