"""What the frames of an ID3 tag say, as Vorbis comments and FLAC's picture blocks, and back.

The names follow what taggers agree on; a name without a frame of its own is a TXXX, and back.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from chowtape_cli.audio_files import id3
from chowtape_cli.audio_files.comments import STALE
from chowtape_cli.audio_files.pieces import Comment, decoded

_FRAMES = {
    "TITLE": "TIT2", "ARTIST": "TPE1", "ALBUM": "TALB", "DATE": "TDRC", "GENRE": "TCON",
    "TRACKNUMBER": "TRCK", "COMMENT": "COMM", "COPYRIGHT": "TCOP", "SOFTWARE": "TSSE",
    "COMPOSER": "TCOM", "ALBUMARTIST": "TPE2", "CONDUCTOR": "TPE3", "REMIXER": "TPE4",
    "GROUPING": "TIT1", "SUBTITLE": "TIT3", "DISCNUMBER": "TPOS", "LABEL": "TPUB", "ISRC": "TSRC",
    "BPM": "TBPM", "KEY": "TKEY", "LANGUAGE": "TLAN", "LYRICIST": "TEXT", "MOOD": "TMOO",
    "ENCODEDBY": "TENC",
}  # fmt: skip
_NAMES = {frame: name for name, frame in _FRAMES.items()} | {"TYER": "DATE"}
# the length, and a loudness or an encoder's padding that are no longer true
_LEFT = frozenset({"TLEN", "RVA2", "RVAD", "RGAD"})
_LEFT_COMMENTS = ("iTunNORM", "iTunSMPB")
_OF_THE_CODING = ("ENCODER",)
_ENCODINGS = {1: "utf-16", 2: "utf-16-be"}
_MOST_DESCRIPTION = 4096  # bytes: of a picture
_MOST_VALUES = 256
_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d)?)?)?)?)?")
# what numbers mean in a TCON: the genres of ID3v1
_GENRES = (
    "Blues", "Classic Rock", "Country", "Dance", "Disco", "Funk", "Grunge", "Hip-Hop", "Jazz",
    "Metal", "New Age", "Oldies", "Other", "Pop", "R&B", "Rap", "Reggae", "Rock", "Techno",
    "Industrial", "Alternative", "Ska", "Death Metal", "Pranks", "Soundtrack", "Euro-Techno",
    "Ambient", "Trip-Hop", "Vocal", "Jazz+Funk", "Fusion", "Trance", "Classical", "Instrumental",
    "Acid", "House", "Game", "Sound Clip", "Gospel", "Noise", "Alternative Rock", "Bass", "Soul",
    "Punk", "Space", "Meditative", "Instrumental Pop", "Instrumental Rock", "Ethnic", "Gothic",
    "Darkwave", "Techno-Industrial", "Electronic", "Pop-Folk", "Eurodance", "Dream",
    "Southern Rock", "Comedy", "Cult", "Gangsta", "Top 40", "Christian Rap", "Pop/Funk", "Jungle",
    "Native American", "Cabaret", "New Wave", "Psychedelic", "Rave", "Showtunes", "Trailer",
    "Lo-Fi", "Tribal", "Acid Punk", "Acid Jazz", "Polka", "Retro", "Musical", "Rock & Roll",
    "Hard Rock",
)  # fmt: skip


class Texts(NamedTuple):
    """What a tag says.

    Attributes:
        comments: names and values, in order; a name may come again.
        pictures: blocks as FLAC holds them.
        others: names of frames that are more than that.
    """

    comments: list[Comment]
    pictures: list[bytes]
    others: list[str]


def read_texts(tag: bytes) -> Texts:
    """Return what a tag says; what is damaged is not found."""
    texts = Texts([], [], [])
    day = ""
    for name, body in id3.frames(tag):
        if name in _LEFT:
            continue
        if body is None:
            texts.others.append(name)
        elif name == "APIC":
            texts.pictures.extend(_block(body))
        elif name == "TDAT":
            day = _strings(body)[0]
        elif name in _NAMES or name == "TXXX":
            texts.comments.extend(_comments(name, body))
        else:
            texts.others.append(name)
    if re.fullmatch(r"\d{4}", day):  # day and month of a year that version 2.3 has by itself
        date = f"-{day[2:]}-{day[:2]}"
        for i, (name, text) in enumerate(texts.comments):
            if name == "DATE" and re.fullmatch(r"\d{4}", text):
                texts.comments[i] = Comment(name, text + date)
    return texts._replace(comments=list(dict.fromkeys(texts.comments)))


def _comments(frame: str, body: bytes) -> Iterator[Comment]:
    """Yield the values of a text frame."""
    name = _NAMES.get(frame, "")
    if frame == "COMM":
        description, *values = _strings(body[:1] + body[4:])  # without its language
        if description.startswith(_LEFT_COMMENTS):
            return
    elif frame == "TXXX":
        description, *values = _strings(body)
        name = re.sub("[^ -<>-}]", "_", description)
        if not name or name.upper().encode().startswith(STALE):
            return
    else:
        values = _strings(body)
    for value in values:
        if value:
            yield Comment(name, _genre(value) if name == "GENRE" else value)


def _strings(body: bytes) -> list[str]:
    """Return the strings behind a byte that tells their encoding; at least one, maybe empty."""
    encoding, raw = body[:1], body[1:]
    name = _ENCODINGS.get(encoding[0]) if encoding else None
    if name is None:  # Latin-1 or UTF-8, and some programs mistake one for the other
        text = decoded(raw)
    else:
        text = raw[: len(raw) // 2 * 2].decode(name, "replace").replace("\N{BOM}", "")
    return text.split("\0", _MOST_VALUES)[:_MOST_VALUES]


def _genre(text: str) -> str:
    match = re.fullmatch(r"\((\d{1,3})\)(.*)|(\d{1,3})", text)
    if match is None:
        return text
    number = int(match[1] or match[3])
    return match[2] or (_GENRES[number] if number < len(_GENRES) else text)


def _block(body: bytes) -> Iterator[bytes]:
    """Yield the picture of an APIC frame as FLAC's block, if it is whole."""
    mime_end = body.find(b"\0", 1, _MOST_DESCRIPTION)
    start = mime_end + 2  # behind the byte that tells what it shows
    if mime_end < 0 or start > len(body):
        return
    width = 2 if body[0] in _ENCODINGS else 1
    end = start
    while body[end : end + width] != bytes(width):
        end += width
        if end > min(start + _MOST_DESCRIPTION, len(body)):
            return
    description = _strings(body[:1] + body[start:end])[0].encode("utf-8", "replace")
    mime, data = body[1:mime_end], body[end + width :]
    yield (
        struct.pack(">II", body[start - 1], len(mime)) + mime
        + struct.pack(">I", len(description)) + description
        + bytes(16) + struct.pack(">I", len(data)) + data  # of unknown width, height and colours
    )  # fmt: skip


def tag_of(comments: list[Comment], pictures: list[bytes]) -> bytes:
    """Return a tag that says the same; empty where there is nothing to say."""
    values: dict[tuple[str, str], list[str]] = {}
    for name, text in comments:
        frame = _FRAMES.get(name.upper(), "TXXX")
        if frame == "TDRC" and not _TIME.fullmatch(text):
            frame = "TXXX"
        if name.upper() not in _OF_THE_CODING and text:
            key = name if frame == "TXXX" else ""
            values.setdefault((frame, key), []).append(text.replace("\0", " "))
    frames: list[tuple[str, bytes]] = []
    for (frame, name), several in values.items():
        if frame == "COMM":  # one value each, told apart by a description
            frames += [
                (frame, f"\3XXX{i if i > 1 else ''}\0{text}".encode("utf-8", "replace"))
                for i, text in enumerate(several, 1)
            ]
        else:
            strings = [name, *several] if frame == "TXXX" else several
            frames.append((frame, ("\3" + "\0".join(strings)).encode("utf-8", "replace")))
    frames += [("APIC", body) for body in map(_apic, pictures) if body]
    return id3.tag_of(frames) if frames else b""


def _apic(block: bytes) -> bytes:
    """Return FLAC's picture block as an APIC frame; empty where it is damaged."""
    kind = int.from_bytes(block[:4], "big")
    mime, position = _sized(block, 4)
    description, position = _sized(block, position)
    data, position = _sized(block, position + 16)
    if position > len(block):
        return b""
    mime, description = (text.split(b"\0")[0] for text in (mime, description))
    return b"\3" + mime + b"\0" + bytes([min(kind, 255)]) + description + b"\0" + data


def _sized(block: bytes, at: int) -> tuple[bytes, int]:
    """Return bytes that follow their length, and where they end, which may be too far."""
    end = at + 4 + int.from_bytes(block[at : at + 4], "big")
    return block[at + 4 : end], end
