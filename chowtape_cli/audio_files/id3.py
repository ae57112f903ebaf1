"""ID3v2: read from the beginning of an MP3 or from a chunk, and written (id3.org, 2.2 to 2.4).

What is written is version 2.4 in UTF-8: the one version in which a text has several values and a
date is whole. Players have read it for many years; 2.3 would only please Windows before 10.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from chowtape_cli.audio_files.pieces import MOST_BYTES, Piece
from chowtape_cli.files import replace_beginning

_HEADER_BYTES = 10
_HAS_FOOTER = 0x10
_HAS_EXTENDED_HEADER = 0x40
_UNSYNCHRONISED = 0x80  # a zero follows every 0xFF, so that none looks like MPEG audio
_MOST_FRAMES = 4096
# the three letters of version 2.2, where there is more to a name than a further letter
_NAMES_OF_2_2 = {
    "TT1": "TIT1", "TT2": "TIT2", "TT3": "TIT3", "TP1": "TPE1", "TP2": "TPE2", "TP3": "TPE3",
    "TP4": "TPE4", "TAL": "TALB", "TYE": "TYER", "TDA": "TDAT", "TCO": "TCON", "TRK": "TRCK",
    "TCM": "TCOM", "TCR": "TCOP", "TPA": "TPOS", "TPB": "TPUB", "TRC": "TSRC", "TBP": "TBPM",
    "TKE": "TKEY", "TLA": "TLAN", "TXT": "TEXT", "TEN": "TENC", "TSS": "TSSE", "TLE": "TLEN",
    "TXX": "TXXX", "COM": "COMM", "PIC": "APIC", "RVA": "RVAD",
}  # fmt: skip


class Frame(NamedTuple):
    """A part of a tag.

    Attributes:
        name: its four letters in version 2.3 or 2.4; three where those do not know it.
        body: what it holds, in the form of version 2.4; None where it is compressed or encrypted.
    """

    name: str
    body: bytes | None


def read_id3(path: Path) -> tuple[list[Piece], list[str]]:
    """Return the tag at the beginning of a file, if it is whole, and "ID3" if it is too large."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        size = _size(header)
        if size > MOST_BYTES:
            return [], ["ID3"]
        tag = whole_tag(header + file.read(max(size - _HEADER_BYTES, 0)))
    return ([Piece("ID3", tag)] if tag else []), []


def prepend_id3(path: Path, pieces: list[Piece]) -> bool:
    """Put a tag before the audio of an MP3; returns True, as there is room for any."""
    replace_beginning(path, 0, b"".join(piece.body for piece in pieces))
    return True


def whole_tag(body: bytes) -> bytes:
    """Return the tag that bytes begin with; none where it is cut off, or is not one."""
    size = _size(body)
    return body[:size] if size <= len(body) else b""


def _size(tag: bytes) -> int:
    """Return the bytes of the tag that a header begins; 0 where it is not one."""
    if len(tag) < _HEADER_BYTES or tag[:3] != b"ID3":
        return 0
    return _HEADER_BYTES + _syncsafe(tag[6:10]) + (_HEADER_BYTES if tag[5] & _HAS_FOOTER else 0)


def frames(tag: bytes) -> Iterator[Frame]:
    """Yield the frames of a tag in order, up to where it is damaged."""
    version, flags = (tag[3], tag[5]) if _size(tag) else (0, 0)
    if version not in (2, 3, 4) or (version == 2 and flags & _HAS_EXTENDED_HEADER):
        return
    body = tag[_HEADER_BYTES : _HEADER_BYTES + _syncsafe(tag[6:10])]
    if version < 4 and flags & _UNSYNCHRONISED:
        body = _synchronised(body)
    position = 0
    if flags & _HAS_EXTENDED_HEADER:
        field = body[:4]
        position = _syncsafe(field) if version == 4 else 4 + int.from_bytes(field, "big")
    letters, head = (3, 6) if version == 2 else (4, 10)
    for _ in range(_MOST_FRAMES):
        name = body[position : position + letters]
        start = position + head
        end = start + _frame_size(body, position + letters, version)
        if not re.fullmatch(rb"[A-Z0-9]{3,4}", name) or end > len(body):  # padding, or damage
            return
        yield _frame(name.decode(), body[start:end], body[start - 1], version, flags)
        position = end


def _frame_size(body: bytes, at: int, version: int) -> int:
    """Return the size that a frame's header tells; some programs write 2.4 with those of 2.3."""
    field = body[at : at + (3 if version == 2 else 4)]
    plain = int.from_bytes(field, "big")
    if version < 4 or plain < 0x80:
        return plain
    size = _syncsafe(field)
    start = at + 6
    misread = not _can_end(body, start + size) and _can_end(body, start + plain)
    return plain if misread or max(field) >= 0x80 else size


def _can_end(body: bytes, position: int) -> bool:
    """Return whether a frame can end here: nothing, a frame or padding follows."""
    rest = body[position : position + 4]
    return position == len(body) or re.match(rb"[A-Z0-9]{4}|\0", rest) is not None


def _frame(name: str, body: bytes, form: int, version: int, flags: int) -> Frame:
    """Return a frame without what its own flags add to it."""
    if version == 2:
        if name == "PIC":  # has three letters where others have a MIME type
            kind = body[1:4].decode("latin-1").lower().replace("jpg", "jpeg")
            body = body[:1] + b"image/" + kind.encode("latin-1") + b"\0" + body[4:]
        return Frame(_NAMES_OF_2_2.get(name, name), body)
    compressed_or_encrypted, grouped = (0xC0, 0x20) if version == 3 else (0x0C, 0x40)
    if form & compressed_or_encrypted:
        return Frame(name, None)
    if form & grouped:
        body = body[1:]
    if version == 4:
        if form & 0x01:  # how long it would be otherwise
            body = body[4:]
        if form & 0x02 or flags & _UNSYNCHRONISED:
            body = _synchronised(body)
    return Frame(name, body)


def tag_of(frames: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a tag of frames, in version 2.4."""
    body = b"".join(
        name.encode() + _as_syncsafe(len(content)) + bytes(2) + content for name, content in frames
    )
    return b"ID3\x04\0\0" + _as_syncsafe(len(body)) + body


def _synchronised(body: bytes) -> bytes:
    return body.replace(b"\xff\0", b"\xff")


def _syncsafe(field: bytes) -> int:
    """Return a number of seven bits a byte."""
    number = 0
    for byte in field:
        number = number << 7 | byte & 0x7F
    return number


def _as_syncsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
