"""Vorbis comments and pictures: read from and written to FLAC, Ogg Vorbis and Opus.

Sources: the FLAC format (RFC 9639, section 8), the Vorbis I specification, section 5, and Ogg Opus
(RFC 7845, section 5.2). In Ogg a picture is a comment that holds FLAC's block in base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from chowtape_cli.audio_files import ogg
from chowtape_cli.audio_files.pieces import MOST_BYTES, Comment, Piece, decoded
from chowtape_cli.files import replace_beginning

_COMMENT_BLOCK, _CUESHEET_BLOCK, _PICTURE_BLOCK = 4, 5, 6
LARGEST_BLOCK = (1 << 24) - 1
_PICTURE = b"METADATA_BLOCK_PICTURE="
STALE = (b"REPLAYGAIN_", b"R128_")  # a loudness that the tape has changed
_MOST_COMMENTS = 1 << 16


def read_comments(path: Path) -> list[Piece]:
    """Return the comments, the pictures and the cue sheet of a FLAC or Ogg file."""
    with path.open("rb") as file:
        if file.read(4) == b"fLaC":
            return _read_blocks(file)
        file.seek(0)
        packet = ogg.comment_packet(file)
    texts, pieces = [], []
    for text in _entries(packet) if packet is not None else ():
        if text[: len(_PICTURE)].upper() == _PICTURE:
            try:
                pieces.append(Piece("PICTURE", base64.b64decode(text[len(_PICTURE) :])))
            except binascii.Error:
                continue
        else:
            texts.append(text)
    return [Piece("comments", _packed(texts)), *pieces] if packet is not None else []


def _read_blocks(file: BinaryIO) -> list[Piece]:
    pieces = []
    for kind, body in _blocks(file):
        if kind == _COMMENT_BLOCK:
            pieces.append(Piece("comments", _packed(list(_entries(body)))))
        elif kind in (_CUESHEET_BLOCK, _PICTURE_BLOCK):
            pieces.append(Piece("PICTURE" if kind == _PICTURE_BLOCK else "CUESHEET", body))
    return pieces


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield kind and body of each metadata block of a FLAC file that is open after its marker."""
    room = MOST_BYTES
    while len(header := file.read(4)) == 4:
        size = int.from_bytes(header[1:], "big")
        body = file.read(size)
        room -= size
        if len(body) < size or room < 0:
            return
        yield header[0] & 0x7F, body
        if header[0] & 0x80:  # the last one
            return


def _entries(block: bytes) -> Iterator[bytes]:
    """Yield the comments that still say what is true: all but a loudness."""
    position = 4 + int.from_bytes(block[:4], "little")  # behind the name of the encoder
    count = int.from_bytes(block[position : position + 4], "little")
    position += 4
    for _ in range(min(count, _MOST_COMMENTS)):
        size = int.from_bytes(block[position : position + 4], "little")
        text = block[position + 4 : position + 4 + size]
        if position + 4 > len(block) or len(text) < size:
            return
        if not text.upper().startswith(STALE):
            yield text
        position += 4 + size


def _packed(texts: list[bytes]) -> bytes:
    sized = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return len(texts).to_bytes(4, "little") + sized


def comments_in(body: bytes) -> list[Comment]:
    """Return the comments of a piece, in order."""
    halves = (text.partition(b"=") for text in _entries(bytes(4) + body))
    return [Comment(name.decode("ascii", "replace"), decoded(text)) for name, _, text in halves]


def comments_piece(comments: list[Comment]) -> Piece:
    """Return comments as a piece."""
    texts = (f"{name}={text}" for name, text in comments)
    return Piece("comments", _packed([text.encode("utf-8", "replace") for text in texts]))


def write_flac_blocks(path: Path, pieces: list[Piece]) -> bool:
    """Replace the comments of a FLAC file and add pictures and a cue sheet.

    Returns:
        False where a piece is too large for a block; the file is left as it was.
    """
    with path.open("rb") as file:
        if file.read(4) != b"fLaC":
            return True
        blocks = list(_blocks(file))
        length = file.tell()
    vendor = next((_vendor(body) for kind, body in blocks if kind == _COMMENT_BLOCK), bytes(4))
    blocks = [(kind, body) for kind, body in blocks if kind != _COMMENT_BLOCK]
    for name, body in pieces:
        if name == "comments":
            blocks.append((_COMMENT_BLOCK, vendor + body))
        else:
            blocks.append((_PICTURE_BLOCK if name == "PICTURE" else _CUESHEET_BLOCK, body))
    if max(len(body) for _, body in blocks) > LARGEST_BLOCK:
        return False
    header = [b"fLaC"]
    for i, (kind, body) in enumerate(blocks, 1):
        last = 0x80 if i == len(blocks) else 0
        header += [bytes([kind | last]) + len(body).to_bytes(3, "big"), body]
    replace_beginning(path, length, b"".join(header))
    return True


def write_ogg_comments(path: Path, pieces: list[Piece]) -> bool:
    """Replace the comments of an Ogg Vorbis or Opus file; returns True, as there is room for any.

    Pictures become comments. Page numbers and checksums are left to `remove_time_of_writing`.
    """
    texts: list[bytes] = []
    for name, body in pieces:
        is_picture = name == "PICTURE"
        texts += [_PICTURE + base64.b64encode(body)] if is_picture else _entries(bytes(4) + body)
    with path.open("rb") as file:
        old = ogg.comment_packet(file)
    if old is not None:
        ogg.replace_comment_packet(path, _vendor(old) + _packed(texts))
    return True


def _vendor(block: bytes) -> bytes:
    """Return the name of the encoder that made a file, with its length, as comments begin."""
    return block[: 4 + int.from_bytes(block[:4], "little")]
