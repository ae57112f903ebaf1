"""What a source says about its audio, and what of it an output can hold."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from chowtape_cli.audio_files import chunks, comments, id3, texts, timeline
from chowtape_cli.audio_files.pieces import Piece, decoded, subchunks

_FAMILIES = {
    "WAV": "RIFF", "WAVEX": "RIFF", "RF64": "RIFF", "AIFF": "AIFF", "FLAC": "FLAC", "OGG": "OGG",
    "MP3": "MP3",
}  # fmt: skip
_HELD = {
    "RIFF": chunks.RIFF_PIECES,
    "AIFF": chunks.AIFF_PIECES,
    "FLAC": frozenset({"comments", "PICTURE", "CUESHEET"}),
    "OGG": frozenset({"comments", "PICTURE"}),
    "MP3": frozenset({"ID3"}),
}
_AIFF_TEXTS = ("NAME", "AUTH", "ANNO", "(c)", "APPL")
# what libsndfile reads of a LIST/INFO, and its names for it
_INFO_TAGS = {
    b"INAM": "title", b"ICOP": "copyright", b"ISFT": "software", b"IART": "artist",
    b"ICMT": "comment", b"ICRD": "date", b"IPRD": "album", b"IGNR": "genre", b"ITRK": "tracknumber",
}  # fmt: skip
_LOST = "\N{REPLACEMENT CHARACTER}"  # what libsndfile's texts have where they are not UTF-8


@dataclass(frozen=True)
class Metadata:
    """What a source says about its audio.

    Attributes:
        tags: title, artist and the like, by libsndfile's names.
        rate: sample rate in Hz that positions count in; 0 where nothing does.
        pieces: all that was found, in the order of the file.
        too_large: names of what was left where it is.
    """

    tags: dict[str, str] = field(default_factory=dict)
    rate: int = 0
    pieces: tuple[Piece, ...] = ()
    too_large: tuple[str, ...] = ()


@dataclass(frozen=True)
class Carried:
    """What an output takes over: texts through libsndfile, pieces as they are, and what it can't.

    Attributes:
        tags: texts by libsndfile's names.
        pieces: what is written after libsndfile is done.
        lost: names of what the container can't hold.
        too_large: names of what is left where it is, whatever the container.
    """

    tags: dict[str, str]
    pieces: list[Piece]
    lost: list[str]
    too_large: list[str]


def read_metadata(path: Path, container: str, rate: int, tags: dict[str, str]) -> Metadata:
    """Return what an audio file holds; what is damaged is not found."""
    family = _FAMILIES.get(container, "")
    pieces: list[Piece] = []
    too_large: list[str] = []
    with contextlib.suppress(OSError):
        if family in ("RIFF", "AIFF"):
            pieces, too_large = chunks.read_chunks(path)
        elif family == "MP3":
            pieces, too_large = id3.read_id3(path)
        elif family:
            pieces = comments.read_comments(path)
    if family == "MP3":
        tags = tags | texts.tags_in(pieces)
    ours = _texts(pieces)
    readable = {name: text for name, text in tags.items() if not (name in ours and _LOST in text)}
    return Metadata(ours | readable, rate, tuple(pieces), tuple(too_large))


def _texts(pieces: list[Piece]) -> dict[str, str]:
    """Return the tags in a LIST/INFO; in an RF64, libsndfile reads none that follow the audio."""
    return {
        _INFO_TAGS[name]: decoded(body[start : start + size].split(b"\0")[0])
        for kind, body in pieces
        if kind == "INFO"
        for name, start, size in subchunks(body)
        if name in _INFO_TAGS
    }


def carried(metadata: Metadata, container: str, rate: int) -> Carried:
    """Return what a container takes over, with positions counted at its sample rate (Hz)."""
    family = _FAMILIES.get(container, "")
    ratio = Fraction(rate, metadata.rate or rate)
    pieces = [timeline.at_rate(piece, ratio) for piece in metadata.pieces]
    if family == "AIFF":
        pieces = timeline.markers_for_aiff(pieces)
    elif family == "RIFF":
        pieces = timeline.markers_for_wav(pieces)
    tags, pieces, lost = texts.in_form_of(family, metadata.tags, pieces)
    held = _HELD.get(family, frozenset())
    if ratio != 1:
        held -= {"CUESHEET"}  # it counts in the sectors of a disc
    kept = [piece for piece in pieces if piece.name in held]
    lost += [name for piece in pieces if piece.name not in held for name in _lost_names(piece)]
    if any(piece.name in ("INFO", *_AIFF_TEXTS) for piece in kept):
        tags = {}
    too_large = list(dict.fromkeys(metadata.too_large))
    return Carried(tags, kept, list(dict.fromkeys(lost)), too_large)


def _lost_names(piece: Piece) -> Iterator[str]:
    """Yield what is lost with a piece: of texts, only what is not a tag."""
    if piece.name == "INFO":
        for name, _, _ in subchunks(piece.body):
            if name not in _INFO_TAGS:
                yield name.decode("ascii", "replace")
    elif piece.name not in _AIFF_TEXTS:
        yield piece.name


def write_pieces(path: Path, container: str, pieces: list[Piece]) -> bool:
    """Write pieces into an audio file that is otherwise whole.

    Returns:
        False where they are too large for it; the file is left as it was.
    """
    if not pieces:
        return True
    return _WRITERS[_FAMILIES[container]](path, pieces)


_WRITERS: dict[str, Callable[[Path, list[Piece]], bool]] = {
    "RIFF": chunks.append_chunks,
    "AIFF": chunks.append_chunks,
    "FLAC": comments.write_flac_blocks,
    "OGG": comments.write_ogg_comments,
    "MP3": id3.prepend_id3,
}
