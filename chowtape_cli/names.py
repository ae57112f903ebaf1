"""Names that fit a column or a button, and can still be told apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from chowtape_cli.files import shortened

_WORDS = re.compile(r"[-_ ,]+|[^-_ ,]+")  # and what is between them


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Return names of ``most`` characters at most, in which what tells them apart is left.

    Names are of a kind that begin with the same word and have as many. Where one of a kind is too
    long, all of that kind leave out the words that they share.
    """
    kinds: dict[tuple[str, int], list[str]] = {}
    for name in dict.fromkeys(names):
        words = _WORDS.findall(name)
        kinds.setdefault((words[0] if words else "", len(words)), []).append(name)
    short: dict[str, str] = {}
    for kind in kinds.values():
        long = len(kind) > 1 and any(len(name) > most for name in kind)
        short.update(zip(kind, _differing(kind) if long else kind, strict=True))
    return [shortened(short[name], most) for name in names]


def _differing(names: Sequence[str]) -> list[str]:
    """Return names of as many words each without those that all of them share."""
    words = [_WORDS.findall(name) for name in names]
    shared = [len(set(column)) == 1 for column in zip(*words, strict=True)]
    found = []
    for name in words:
        text = ""
        for left_out, run in groupby(zip(name, shared, strict=True), key=itemgetter(1)):
            part = "".join(word for word, _ in run)
            text += "\u2026" if left_out and len(part) > 1 else part
        found.append(text)
    return found
