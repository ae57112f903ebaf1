"""The first pages of an Ogg Vorbis or Opus stream (RFC 3533), which hold its comments."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from chowtape_cli.audio_files.pieces import MOST_BYTES
from chowtape_cli.files import replace_beginning

_PAGE_HEADER_BYTES = 27
_MOST_PAGE_BYTES = _PAGE_HEADER_BYTES + 255 + 255 * 255
_CONTINUED, _LAST = 1, 4  # flags of a page
# how the packet of comments begins, how many packets come before the audio, how it ends
_CODECS = {b"\x03vorbis": (3, b"\x01"), b"OpusTags": (2, b"")}


def comment_packet(file: BinaryIO) -> bytes | None:
    """Return the comments of a stream without their mark; None where there are none."""
    packets, _ = _packets(file, 2)
    for mark in _CODECS:
        if len(packets) == 2 and packets[1].startswith(mark):
            return packets[1][len(mark) :]
    return None


def has_its_end(path: Path) -> bool:
    """Say whether the last page of a file is whole and ends its stream."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MOST_PAGE_BYTES))
        tail = file.read()
    header = tail[tail.rfind(b"OggS") :]
    if len(header) < _PAGE_HEADER_BYTES:
        return False
    lacing = header[_PAGE_HEADER_BYTES : _PAGE_HEADER_BYTES + header[26]]
    whole = len(header) == _PAGE_HEADER_BYTES + header[26] + sum(lacing)
    return whole and bool(header[5] & _LAST)


def replace_comment_packet(path: Path, comments: bytes) -> None:
    """Give a stream other comments; page numbers and checksums are left to be made right."""
    with path.open("rb") as file:
        serial = file.read(18)[14:]
        file.seek(0)
        _, first_page = _packets(file, 1)
        file.seek(0)
        packets, _ = _packets(file, 2)
        mark = next(mark for mark in _CODECS if packets[1].startswith(mark))
        count, ending = _CODECS[mark]
        file.seek(0)
        packets, length = _packets(file, count)
        file.seek(0)
        beginning = file.read(first_page)
    if len(packets) == count:
        packets = [mark + comments + ending, *packets[2:]]
        replace_beginning(path, length, beginning + _pages(packets, serial))


def _packets(file: BinaryIO, count: int) -> tuple[list[bytes], int]:
    """Return the first packets of the first stream, and where the page ends that ends them."""
    packets: list[bytes] = []
    begun = bytearray()
    serial = None
    while len(packets) < count and file.tell() < MOST_BYTES:
        header = file.read(_PAGE_HEADER_BYTES)
        if len(header) < _PAGE_HEADER_BYTES or header[:4] != b"OggS":
            break
        lacing = file.read(header[26])
        body = file.read(sum(lacing))
        serial = serial or header[14:18]
        if header[14:18] != serial:  # another stream in the same file
            continue
        position = 0
        for size in lacing:
            begun += body[position : position + size]
            position += size
            if size < 255:
                packets.append(bytes(begun))
                begun.clear()
    return packets[:count], file.tell()


def _pages(packets: list[bytes], serial: bytes) -> bytes:
    """Return pages that hold packets, each page full but the last."""
    segments: list[tuple[bytes, bool]] = []  # and whether a packet ends with it
    for packet in packets:
        for start in range(0, len(packet) + 1, 255):
            segments.append((packet[start : start + 255], start + 255 > len(packet)))
    pages, continued = [], False
    for start in range(0, len(segments), 255):
        page = segments[start : start + 255]
        ended = any(ends for _, ends in page)
        # a page on which no packet ends has no position in the audio: -1
        header = b"OggS\0" + bytes([_CONTINUED * continued]) + (bytes(8) if ended else b"\xff" * 8)
        header += serial + bytes(8) + bytes([len(page)]) + bytes(len(part) for part, _ in page)
        pages += [header, *(part for part, _ in page)]
        continued = not page[-1][1]
    return b"".join(pages)
