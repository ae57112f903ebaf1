"""The same render gives the same bytes: what libsndfile writes of the clock is taken out again.

Some containers hold what differs from one run to the next: OGG a random stream serial number
(RFC 3533, section 6), MAT5 the date in its header text, SVX and MPC2K the name of the part file.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

OGG_SERIAL = b"tape"
_OGG_HEADER_BYTES = 27
_HEADER_BYTES = 116
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def remove_time_of_writing(path: Path, container: str) -> None:
    """Make a finished file independent of when it was written, in place."""
    if container == "OGG":
        _fix_ogg_serial(path)
    elif container == "MAT5":
        _blank(path, rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
    elif container in ("SVX", "MPC2K"):
        _blank(path, rb"\.chowtape-\w*(?:\.part)?")


def _fix_ogg_serial(path: Path) -> None:
    """Give every page one serial number, and its own number and checksum after other comments."""
    number = 0
    with path.open("r+b") as file:
        while len(header := file.read(_OGG_HEADER_BYTES)) == _OGG_HEADER_BYTES:
            lacing = file.read(header[26])
            body = file.read(sum(lacing))
            page = header[:14] + OGG_SERIAL + number.to_bytes(4, "little") + bytes(4)
            page += header[26:] + lacing + body
            file.seek(-len(page), 1)
            file.write(page[:22] + _ogg_checksum(page).to_bytes(4, "little") + page[26:])
            number += 1


def _ogg_checksum(page: bytes) -> int:
    """Return the CRC-32 of Ogg: zlib's polynomial, but most significant bit first and from 0."""
    mirrored = zlib.crc32(page.translate(_BITS_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _blank(path: Path, pattern: bytes) -> None:
    with path.open("r+b") as file:
        header = file.read(_HEADER_BYTES)
        file.seek(0)
        file.write(re.sub(pattern, lambda match: b" " * len(match[0]), header))
