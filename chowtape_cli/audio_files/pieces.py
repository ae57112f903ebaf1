"""A piece of metadata, a text, and the small chunks that RIFF's lists are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

MOST_BYTES = 1 << 26  # of metadata that is carried; what is beyond is named as lost


class Piece(NamedTuple):
    """What a file says about its audio, as the bytes that it says it in.

    Attributes:
        name: what users know it by, the same in every container: ``bext``, ``cue``, ``ID3`` ...
        body: the chunk or block without its header.
    """

    name: str
    body: bytes


class Comment(NamedTuple):
    """A text about the audio.

    Attributes:
        name: what it is, as Vorbis comments call it: ``TITLE``, ``ARTIST`` ...
        text: its value.
    """

    name: str
    text: str


def decoded(text: bytes) -> str:
    """Return a text in the encoding that it most likely has: UTF-8, or what Windows wrote."""
    for encoding in ("utf-8", "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            return text.decode(encoding)
    return text.decode("latin-1")


def subchunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, offset of the body and size of each whole chunk within a RIFF list."""
    position = 0
    while position + 8 <= len(body):
        name, size = (
            body[position : position + 4],
            int.from_bytes(body[position + 4 :][:4], "little"),
        )
        start = position + 8
        if start + size > len(body):
            return
        yield name, start, size
        position = start + size + size % 2
