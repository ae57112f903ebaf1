"""Texts and pictures in the form that an output has for them: an ID3 tag or Vorbis comments.

Beside both stand the tags that libsndfile itself writes, one short text each, where a container has
a place for them.
"""

from __future__ import annotations

from typing import NamedTuple

from chowtape_cli.audio_files.comments import LARGEST_BLOCK, comments_in, comments_piece
from chowtape_cli.audio_files.id3 import whole_tag
from chowtape_cli.audio_files.id3_texts import read_texts, tag_of
from chowtape_cli.audio_files.pieces import Comment, Piece

_KNOWN = frozenset({
    "title", "copyright", "software", "artist", "comment", "date", "album", "license",
    "tracknumber", "genre",
})  # fmt: skip
# the tags that libsndfile writes into a container which can have an ID3 tag as well
_NATIVE = {
    "RIFF": _KNOWN - {"license"},
    "AIFF": frozenset({"title", "copyright", "software", "artist", "comment"}),
    "MP3": frozenset[str](),  # what LAME makes of them is mojibake, or cut to 30 bytes
}
_LONGEST_TAG = 8192  # bytes: all that libsndfile writes must fit into 100 KiB
_OF_THE_CODING = "ENCODER"
_FORMS = ("comments", "PICTURE", "ID3")


class Formed(NamedTuple):
    """What is to be written.

    Attributes:
        tags: texts by libsndfile's names.
        pieces: all pieces, texts and pictures in the output's own form.
        lost: names of texts and pictures that have none.
    """

    tags: dict[str, str]
    pieces: list[Piece]
    lost: list[str]


def in_form_of(family: str, tags: dict[str, str], pieces: list[Piece]) -> Formed:
    """Return the texts and pictures of a source as a family of containers holds them."""
    if family in ("FLAC", "OGG"):
        formed = _vorbis(tags, pieces)
        formed = _without_large_pictures(formed) if family == "FLAC" else formed
    elif family in _NATIVE:
        formed = _with_id3(family, tags, pieces)
    else:
        formed = _plain(tags, pieces)
    long = _long(formed.tags)
    short = {name: text for name, text in formed.tags.items() if name not in long}
    return formed._replace(tags=short, lost=[*formed.lost, *map(str.upper, sorted(long))])


def _long(tags: dict[str, str]) -> set[str]:
    """Return the names of tags that libsndfile can't be given."""
    return {name for name, text in tags.items()
            if len(text.encode("utf-8", "replace")) > _LONGEST_TAG}  # fmt: skip


def tags_in(pieces: list[Piece]) -> dict[str, str]:
    """Return the tags of an ID3 tag, by libsndfile's names."""
    comments, _, _ = _said({}, [piece for piece in pieces if piece.name == "ID3"])
    return {name.lower(): text for name, text in reversed(comments) if name.lower() in _KNOWN}


def _names(pieces: list[Piece]) -> set[str]:
    return {piece.name for piece in pieces}


def _said(
    tags: dict[str, str], pieces: list[Piece]
) -> tuple[list[Comment], list[bytes], list[str]]:
    """Return comments, pictures, and the names of what is neither, whatever form they are in."""
    comments: list[Comment] = []
    pictures: list[bytes] = []
    others: list[str] = []
    for name, body in pieces:
        if name == "comments":
            comments += comments_in(body)
        elif name == "PICTURE":
            pictures.append(body)
    for body in [piece.body for piece in pieces if piece.name == "ID3"][:1]:
        comments, pictures, others = read_texts(body)
    there = {name.upper() for name, _ in comments}
    if "comments" not in _names(pieces):
        comments += [Comment(name.upper(), text) for name, text in tags.items()
                     if name.upper() not in there]  # fmt: skip
    return comments, pictures, others


def _vorbis(tags: dict[str, str], pieces: list[Piece]) -> Formed:
    """Return an ID3 tag, and what the file says beside it, as comments and pictures."""
    found = _names(pieces)
    if "comments" in found:
        return Formed({}, pieces, [])
    if "ID3" not in found and not _long(tags):
        return Formed(tags, pieces, [])
    comments, pictures, others = _said(tags, pieces)
    left = [piece for piece in pieces if piece.name != "ID3"]
    left += [comments_piece(comments)] if comments else []
    return Formed({}, left + [Piece("PICTURE", body) for body in pictures], others)


def _without_large_pictures(formed: Formed) -> Formed:
    """Return the same without pictures that no block of FLAC can hold."""
    large = [piece for piece in formed.pieces
             if piece.name == "PICTURE" and len(piece.body) > LARGEST_BLOCK]  # fmt: skip
    if not large:
        return formed
    return formed._replace(
        pieces=[piece for piece in formed.pieces if piece not in large],
        lost=[*formed.lost, "PICTURE"],
    )


def _with_id3(family: str, tags: dict[str, str], pieces: list[Piece]) -> Formed:
    """Return an ID3 tag as it is, or one that says what the container's own texts can't."""
    native = _NATIVE[family] - _long(tags)
    kept = [piece for piece in pieces if piece.name == "ID3"]
    if family == "MP3":
        kept = [Piece("ID3", tag) for _, body in kept[:1] if (tag := whole_tag(body))]
    if kept:
        names = _tag_names(read_texts(kept[0].body).comments)
    else:
        comments, pictures, _ = _said(tags, pieces)
        names = _tag_names(comments)
        if pictures or len(set(names)) < len(names) or not native.issuperset(names):
            kept = [Piece("ID3", tag)] if (tag := tag_of(comments, pictures)) else []
    pieces = [piece for piece in pieces if piece.name not in _FORMS] + kept
    unsaid = [name for name in tags if not (kept and name in names)]
    if family == "MP3":
        return Formed({}, pieces, [name.upper() for name in unsaid])
    written = {name: text for name, text in tags.items() if name in native or name in unsaid}
    return Formed(written, pieces, [])


def _tag_names(comments: list[Comment]) -> list[str]:
    """Return the names of comments as libsndfile spells them."""
    return [name.lower() for name, _ in comments if name.upper() != _OF_THE_CODING]


def _plain(tags: dict[str, str], pieces: list[Piece]) -> Formed:
    """Return the first of each known text as a tag, and name what else there is."""
    comments, pictures, others = _said(tags, pieces)
    lost, first = [], {}
    for name, text in comments:
        if name.lower() in first:
            lost.append(f"a second {name.upper()}")
        elif name.lower() in _KNOWN:
            first[name.lower()] = text
        elif name.upper() != _OF_THE_CODING:
            lost.append(name.upper())
    lost += [*others, *(["PICTURE"] if pictures else [])]
    return Formed(tags | first, [piece for piece in pieces if piece.name not in _FORMS], lost)
