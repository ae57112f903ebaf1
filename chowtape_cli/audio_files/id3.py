"""ID3v2, as it stands before the audio of an MP3 (id3.org, versions 2.2 to 2.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from chowtape_cli.audio_files.pieces import MOST_BYTES, Piece
from chowtape_cli.files import replace_beginning

_HEADER_BYTES = 10
_HAS_FOOTER = 0x10
_HAS_EXTENDED_HEADER = 0x40
# what soundfile reads of it, and what only describes the coding
_KNOWN = frozenset({
    "TIT2", "TCOP", "TENC", "TSSE", "TPE1", "COMM", "TYER", "TDRC", "TALB", "TRCK", "TCON", "TLEN",
    "TT2", "TCR", "TEN", "TSS", "TP1", "COM", "TYE", "TAL", "TRK", "TCO", "TLE",
})  # fmt: skip


def read_id3(path: Path) -> list[Piece]:
    """Return the tag at the beginning of a file, if there is a whole one."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or header[:3] != b"ID3":
            return []
        size = _syncsafe(header[6:]) + (_HEADER_BYTES if header[5] & _HAS_FOOTER else 0)
        body = file.read(size) if size <= MOST_BYTES else b""
    return [Piece("ID3", header + body)] if len(body) == size else []


def prepend_id3(path: Path, pieces: list[Piece]) -> bool:
    """Put a tag before the audio of an MP3; returns True, as there is room for any."""
    replace_beginning(path, 0, b"".join(piece.body for piece in pieces))
    return True


def unknown_frames(tag: bytes) -> Iterator[str]:
    """Yield the names of frames that are more than the text tags that every format knows."""
    version = tag[3] if len(tag) > 3 else 0
    letters, sizes, head = (3, 3, 6) if version == 2 else (4, 4, 10)
    position = _HEADER_BYTES
    if version > 2 and tag[5:6] and tag[5] & _HAS_EXTENDED_HEADER:
        field = tag[position : position + 4]
        position += _syncsafe(field) if version == 4 else 4 + int.from_bytes(field, "big")
    while position + head <= len(tag):
        name = tag[position : position + letters]
        if not re.fullmatch(rb"[A-Z0-9]+", name):  # padding
            return
        field = tag[position + letters : position + letters + sizes]
        position += head + (_syncsafe(field) if version == 4 else int.from_bytes(field, "big"))
        if (text := name.decode()) not in _KNOWN:
            yield text


def _syncsafe(field: bytes) -> int:
    """Return a number of seven bits a byte."""
    number = 0
    for byte in field:
        number = number << 7 | byte & 0x7F
    return number
