"""Metadata that counts samples, at another rate, and markers in another format.

Sources: EBU Tech 3285 (bext), AES46 (cart), Multimedia Programming Interface and Data
Specifications 1.0 and its 1994 revision (cue, plst, adtl, smpl), the iXML specification 2.10, and
Apple's Audio Interchange File Format 1.3 (MARK).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import NamedTuple

from chowtape_cli.audio_files.pieces import Piece, subchunks

_BEXT_TIME_REFERENCE = 338
_CART_TIMERS = range(684 + 4, 684 + 8 * 8, 8)  # eight of a four-letter name and a position
_CUE_POINT_BYTES = 24
_PLAYLIST_BYTES = 12
_SMPL_HEADER_BYTES = 36
_SMPL_LOOP_BYTES = 24
_LARGEST_MARK_NUMBER = 32767


def at_rate(piece: Piece, ratio: Fraction) -> Piece:
    """Return a piece with what counts samples multiplied by a ratio of sample rates."""
    rescale = _RESCALE.get(piece.name)
    if rescale is None or ratio == 1:
        return piece
    body = bytearray(piece.body)
    rescale(body, ratio)
    return piece._replace(body=bytes(body))


def _scale(body: bytearray, offset: int, ratio: Fraction, form: str = "<I", after: int = 0) -> None:
    """Scale the number at an offset, counted from ``after`` samples before it; none, no change."""
    size = struct.calcsize(form)
    if offset + size > len(body):
        return
    (number,) = struct.unpack_from(form, body, offset)
    scaled = max(round((number + after) * ratio) - after, 0)
    struct.pack_into(form, body, offset, min(scaled, (1 << 8 * size) - 1))


def _entries(body: bytes | bytearray, count_at: int, first: int, size: int) -> range:
    """Return the offsets of the whole entries of a table, however many its header promises."""
    count = int.from_bytes(body[count_at : count_at + 4], "little")
    there = max(len(body) - first, 0) // size
    return range(first, first + min(count, there) * size, size)


def _rescale_bext(body: bytearray, ratio: Fraction) -> None:
    _scale(body, _BEXT_TIME_REFERENCE, ratio, "<Q")


def _rescale_cart(body: bytearray, ratio: Fraction) -> None:
    for offset in _CART_TIMERS:
        _scale(body, offset, ratio)


def _rescale_cue(body: bytearray, ratio: Fraction) -> None:
    for point in _entries(body, 0, 4, _CUE_POINT_BYTES):
        _scale(body, point + 4, ratio)  # in play order
        _scale(body, point + 20, ratio)  # in the data chunk


def _rescale_plst(body: bytearray, ratio: Fraction) -> None:
    for segment in _entries(body, 0, 4, _PLAYLIST_BYTES):
        _scale(body, segment + 4, ratio)


def _rescale_adtl(body: bytearray, ratio: Fraction) -> None:
    for name, start, size in subchunks(bytes(body)):
        if name == b"ltxt" and size >= 8:  # how long the region is that a cue point begins
            _scale(body, start + 4, ratio)


def _rescale_smpl(body: bytearray, ratio: Fraction) -> None:
    _scale(body, 8, 1 / ratio)  # nanoseconds a sample
    for loop in _entries(body, 28, _SMPL_HEADER_BYTES, _SMPL_LOOP_BYTES):
        _scale(body, loop + 8, ratio)
        _scale(body, loop + 12, ratio, after=1)  # the last sample that still belongs to the loop


def _rescale_mark(body: bytearray, ratio: Fraction) -> None:
    for offset, _, _ in _marks(bytes(body)):
        _scale(body, offset + 2, ratio, ">I")


def _rescale_ixml(body: bytearray, ratio: Fraction) -> None:
    """Rewrite what iXML repeats of the file; its own time stamp names its own rate."""

    def rate(match: re.Match[bytes]) -> bytes:
        return b"%b%d" % (match[1], round(int(match[2]) * ratio))

    def pair(match: re.Match[bytes]) -> bytes:
        halves = {match[2]: int(match[3]), match[5]: int(match[6])}
        samples = round(((halves[b"HIGH"] << 32) + halves[b"LOW"]) * ratio)
        new = {b"HIGH": samples >> 32, b"LOW": samples & 0xFFFFFFFF}
        return b"%b%d%b%d" % (match[1], new[match[2]], match[4], new[match[5]])

    text = re.sub(rb"(<FILE_SAMPLE_RATE>\s*)(\d{1,9})\b", rate, bytes(body))
    for low, high in ((b"LOW", b"HIGH"), (b"HIGH", b"LOW")):
        text = re.sub(
            rb"(<(?:BWF_TIME_REFERENCE|SYNC_POINT)_(%b)>\s*)(\d{1,10})\b"
            rb"(\s*</\w+>\s*<(?:BWF_TIME_REFERENCE|SYNC_POINT)_(%b)>\s*)(\d{1,10})\b" % (low, high),
            pair,
            text,
        )
    body[:] = text


_RESCALE: dict[str, Callable[[bytearray, Fraction], None]] = {
    "bext": _rescale_bext, "cart": _rescale_cart, "cue": _rescale_cue, "plst": _rescale_plst,
    "adtl": _rescale_adtl, "smpl": _rescale_smpl, "MARK": _rescale_mark, "iXML": _rescale_ixml,
}  # fmt: skip


class _Marker(NamedTuple):
    number: int
    position: int  # in frames
    label: bytes


def markers_for_aiff(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces with cue points and their labels as one MARK.

    What a MARK can't hold, such as the lengths of regions, stays behind as an ``adtl``.
    """
    markers = list(_cue_markers(pieces))
    if not markers:
        return pieces
    left = [piece for piece in pieces if piece.name not in ("cue", "adtl")]
    for piece in pieces:
        beyond = {name for name, _, _ in subchunks(piece.body)} - {b"labl"}
        if piece.name == "adtl" and beyond:
            left.append(piece)
    numbers = [marker.number for marker in markers]
    if (
        len(set(numbers)) < len(numbers)
        or not 1 <= min(numbers) <= max(numbers) <= _LARGEST_MARK_NUMBER
    ):
        markers = [marker._replace(number=i) for i, marker in enumerate(markers, 1)]
    body = struct.pack(">H", len(markers[:_LARGEST_MARK_NUMBER]))
    for number, position, label in markers[:_LARGEST_MARK_NUMBER]:
        text = label[:255]
        body += struct.pack(">HIB", number, position, len(text)) + text + bytes(1 - len(text) % 2)
    return [*left, Piece("MARK", body)]


def _cue_markers(pieces: list[Piece]) -> Iterator[_Marker]:
    labels = {}
    for piece in pieces:
        for name, start, size in subchunks(piece.body) if piece.name == "adtl" else ():
            if name == b"labl" and size >= 4:
                number = int.from_bytes(piece.body[start : start + 4], "little")
                labels[number] = piece.body[start + 4 : start + size].split(b"\0")[0]
    for piece in pieces:
        for point in _entries(piece.body, 0, 4, _CUE_POINT_BYTES) if piece.name == "cue" else ():
            number, *_, position = struct.unpack_from("<6I", piece.body, point)
            yield _Marker(number, position, labels.get(number, b""))


def markers_for_wav(pieces: list[Piece]) -> list[Piece]:
    """Return the pieces with every MARK as cue points and their labels."""
    left = []
    for piece in pieces:
        markers = [marker for _, _, marker in _marks(piece.body)] if piece.name == "MARK" else []
        if not markers:
            left.append(piece)
            continue
        cue, labels = struct.pack("<I", len(markers)), b""
        for number, position, label in markers:
            cue += struct.pack("<II4sIII", number, position, b"data", 0, 0, position)
            if label:
                text = label + b"\0"
                size = 4 + len(text)
                labels += struct.pack("<4sII", b"labl", size, number) + text + bytes(size % 2)
        left.append(Piece("cue", cue))
        left.extend([Piece("adtl", labels)] if labels else [])
    return left


def _marks(body: bytes) -> Iterator[tuple[int, int, _Marker]]:
    """Yield offset, end and content of each whole marker of a MARK chunk."""
    position = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        if position + 7 > len(body):
            return
        number, frame, length = struct.unpack_from(">HIB", body, position)
        end = position + 7 + length
        if end > len(body):
            return
        yield position, end, _Marker(number, frame, body[position + 7 : end])
        position = end + 1 - length % 2
