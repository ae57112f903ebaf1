"""The chunks of WAV, RF64 and AIFF: what they say about the audio is read and appended.

Everything here takes a file as it finds it: sizes that lie, pad bytes that are missing and ends
that are cut off only cost what is broken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from chowtape_cli.audio_files.pieces import MOST_BYTES, Piece

# Left out on purpose: what describes the coding (fmt, fact, PEAK ...), what the render makes stale
# (levl, MD5) and what belongs to one program (minf, regn, umid ...).
_RIFF = {
    b"bext": "bext", b"iXML": "iXML", b"cue ": "cue", b"plst": "plst", b"smpl": "smpl",
    b"inst": "inst", b"acid": "acid", b"cart": "cart", b"axml": "axml", b"chna": "chna",
    b"_PMX": "XMP", b"id3 ": "ID3", b"ID3 ": "ID3",
}  # fmt: skip
_LISTS = {b"INFO": "INFO", b"adtl": "adtl"}
_AIFF = {
    b"MARK": "MARK", b"INST": "INST", b"COMT": "COMT", b"NAME": "NAME", b"AUTH": "AUTH",
    b"ANNO": "ANNO", b"(c) ": "(c)", b"APPL": "APPL", b"ID3 ": "ID3",
}  # fmt: skip
RIFF_PIECES = frozenset({*_RIFF.values(), *_LISTS.values()})
AIFF_PIECES = frozenset(_AIFF.values())
_SOFTWARE = b"m3ga"  # the one kind of APPL that is text: libsndfile's name of the program
_OTHERS = frozenset({b"fmt ", b"data", b"fact", b"LIST", b"JUNK", b"PEAK", b"COMM", b"SSND"})
_NAMES = _OTHERS.union(_RIFF, _AIFF)
_MOST_CHUNKS = 4096
_NO_SIZE = 0xFFFFFFFF  # RF64: the size is in the chunk ds64
_DS64_RIFF_SIZE = 20  # where it stands in a file that begins with RF64, size, WAVE, ds64, size

_Order = Literal["little", "big"]


class _Chunk(NamedTuple):
    name: bytes
    start: int
    size: int


def read_chunks(path: Path) -> tuple[list[Piece], list[str]]:
    """Return the pieces of a WAV, RF64 or AIFF file in order, and the names of those too large."""
    pieces: list[Piece] = []
    too_large: list[str] = []
    room = MOST_BYTES
    with path.open("rb") as file:
        names = _AIFF if file.read(4) == b"FORM" else _RIFF
        end = file.seek(0, os.SEEK_END)
        for name, start, size in _walk(file):
            file.seek(start)
            kind = file.read(4)
            known = _LISTS.get(kind) if name == b"LIST" else names.get(name)
            if known is None or start + size > end or (name == b"APPL" and kind != _SOFTWARE):
                continue
            if size > room:
                too_large.append(known)
                continue
            room -= size
            file.seek(start)
            body = file.read(size)
            pieces.append(Piece(known, body[4:] if name == b"LIST" else body))
    return pieces, too_large


def audio_offset(path: Path, size: int) -> int | None:
    """Return where so many bytes of audio begin in a WAV or RF64 file; None where that is unclear.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        for name, start, _ in _walk(file):
            if name == b"data":
                return start if start + size <= file.seek(0, os.SEEK_END) else None
    return None


def _walk(file: BinaryIO) -> Iterator[_Chunk]:
    file.seek(0)
    order: _Order = "big" if file.read(4) == b"FORM" else "little"
    audio_size = _NO_SIZE
    position = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        header = file.read(8)
        name, size = header[:4], int.from_bytes(header[4:], order)
        if len(header) < 8 or not all(0x20 <= byte < 0x7F for byte in name):
            return
        if name == b"ds64":
            audio_size = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"data" and size == _NO_SIZE:
            size = audio_size
        yield _Chunk(name, position + 8, size)
        position += 8 + size
        if size % 2 and not _unpadded(file, position):
            position += 1


def _unpadded(file: BinaryIO, position: int) -> bool:
    """Return whether a chunk follows one of odd size without the byte that should be between."""
    file.seek(position)
    return file.read(4) in _NAMES


def append_chunks(path: Path, pieces: list[Piece]) -> bool:
    """Append pieces behind the audio of a WAV, RF64 or AIFF file.

    Returns:
        False where the file would grow past what its header can count; it is left as it was.
    """
    with path.open("r+b") as file:
        form = file.read(16)
        order: _Order = "big" if form[:4] == b"FORM" else "little"
        end = file.seek(0, os.SEEK_END)
        tail = bytes(end % 2) + b"".join(_as_chunk(piece, order) for piece in pieces)
        size = end + len(tail) - 8
        large = form[:4] == b"RF64" and form[12:] == b"ds64"
        if size >= _NO_SIZE and not large:
            return False
        file.write(tail)
        file.seek(_DS64_RIFF_SIZE if large else 4)
        file.write(size.to_bytes(8 if large else 4, order))
    return True


def _as_chunk(piece: Piece, order: _Order) -> bytes:
    names = _AIFF if order == "big" else _RIFF
    name, body = b"LIST", piece.body
    if piece.name in _LISTS.values():
        body = piece.name.encode() + body
    else:
        name = next(name for name, known in names.items() if known == piece.name)
    return name + len(body).to_bytes(4, order) + body + bytes(len(body) % 2)
