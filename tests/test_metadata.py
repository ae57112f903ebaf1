"""What a DAW needs goes along: written by libsndfile or by hand.

It is read by libsndfile, wavinfo and TinyTag.
"""

from __future__ import annotations

import base64
import itertools
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tinytag import TinyTag
from wavinfo import WavInfoReader

from chowtape_cli import render_file
from chowtape_cli.audio_files.metadata import carried, read_metadata
from chowtape_cli.settings import RenderSettings

SET_BROADCAST_INFO, GET_CUE, SET_CUE = 0x10F1, 0x10CE, 0x10CF
CUE_POINT = struct.Struct("=iIiiiI256s")
TIME_REFERENCE = (3 << 32) + 48_000 * 3600
DRY = RenderSettings(mix=0)
IXML = (
    b"<?xml version='1.0' encoding='UTF-8'?><BWFXML><PROJECT>Reel</PROJECT><SPEED>"
    b"<FILE_SAMPLE_RATE>48000</FILE_SAMPLE_RATE></SPEED><BEXT>"
    b"<BWF_TIME_REFERENCE_LOW>4294967295</BWF_TIME_REFERENCE_LOW>\n"
    b"<BWF_TIME_REFERENCE_HIGH>1</BWF_TIME_REFERENCE_HIGH></BEXT></BWFXML>"
)
PICTURE = (
    struct.pack(">II9sII", 3, 9, b"image/png", 0, 1) + bytes(12) + struct.pack(">I", 3) + b"abc"
)


def command(file: sf.SoundFile, number: int, data: bytes) -> bytes:
    """Call libsndfile's sf_command with a structure and return what became of it."""
    buffer = sf._ffi.new("char[]", data)
    assert sf._snd.sf_command(file._file, number, buffer, len(data)) == 1
    return bytes(sf._ffi.buffer(buffer, len(data)))


def broadcast_info() -> bytes:
    return struct.pack(
        "@256s32s32s10s8sIIh64s5h180sI256s", b"Take 7", b"chowtape", b"REF1", b"1948-04-01",
        b"10:00:00", TIME_REFERENCE & 0xFFFFFFFF, TIME_REFERENCE >> 32, 1, b"", 0, 0, 0, 0, 0, b"",
        0, b"",
    )  # fmt: skip


def cue_points(*positions: int) -> bytes:
    points = [
        CUE_POINT.pack(i, at, int.from_bytes(b"data", "little"), 0, 0, at, b"")
        for i, at in enumerate(positions, 1)
    ]
    return struct.pack("I", len(positions)) + b"".join(points).ljust(CUE_POINT.size * 100, b"\0")


def cues_of(path: Path) -> list[tuple[int, bytes]]:
    """Return position and name of each marker, as libsndfile finds them."""
    with sf.SoundFile(path) as file:
        found = command(file, GET_CUE, cue_points())
    (count,) = struct.unpack_from("I", found)
    points = [CUE_POINT.unpack_from(found, 4 + CUE_POINT.size * i) for i in range(count)]
    return [(point[5], point[6].split(b"\0")[0]) for point in points]


def chunk(name: bytes, body: bytes, order: str = "<") -> bytes:
    return name + struct.pack(order + "I", len(body)) + body + bytes(len(body) % 2)


def labels(**names: str) -> bytes:
    texts = (
        chunk(b"labl", struct.pack("<I", int(number[1:])) + name.encode() + b"\0")
        for number, name in names.items()
    )
    return chunk(b"LIST", b"adtl" + b"".join(texts))


def smpl(start: int, end: int) -> bytes:
    return chunk(
        b"smpl", struct.pack("<9I6I", 0, 0, 20833, 60, 0, 0, 0, 1, 0, 1, 0, start, end, 0, 0)
    )


def append(path: Path, *chunks: bytes) -> Path:
    """Append chunks to a file and set its size."""
    content = path.read_bytes()
    content += bytes(len(content) % 2) + b"".join(chunks)
    size = len(content) - 8
    if content[:4] == b"RF64":
        content = content[:20] + struct.pack("<Q", size) + content[28:]
    else:
        order = ">" if content[:4] == b"FORM" else "<"
        content = content[:4] + struct.pack(order + "I", size) + content[8:]
    path.write_bytes(content)
    return path


def session(path: Path, channels: int = 3, form: str = "WAV", frames: int = 4801) -> Path:
    """Write what a recorder would: 24 bits, an odd number of bytes, chunks before and after."""
    x = 0.4 * music(0.2, 48_000, channels)[:frames]
    with sf.SoundFile(path, "w", 48_000, channels, "PCM_24", format=form) as file:
        command(file, SET_BROADCAST_INFO, broadcast_info())
        command(file, SET_CUE, cue_points(0, 1200, 4800))
        file.title, file.artist, file.date = "Tape ♪", "Ampex", "1948"
        file.write(x)
    if form == "RF64":  # where libsndfile writes no cue points
        points = [struct.pack("<II4sIII", i, at, b"data", 0, 0, at)
                  for i, at in enumerate((0, 1200, 4800), 1)]  # fmt: skip
        append(path, chunk(b"cue ", struct.pack("<I", 3) + b"".join(points)))
    return append(path, labels(n1="start", n2="chorus"), chunk(b"iXML", IXML), smpl(1200, 2399))


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
def test_a_session_file_keeps_what_it_says(chowtape: Run, tmp_path: Path, form: str) -> None:
    source = session(tmp_path / "in.wav", form=form)
    result = chowtape("render", "in.wav", "out.wav", "--mix", 0)
    assert (result.returncode, result.stderr) == (0, "")
    np.testing.assert_array_equal(sf.read(tmp_path / "out.wav")[0], sf.read(source)[0])
    before, after = (WavInfoReader(tmp_path / name) for name in ("in.wav", "out.wav"))
    assert after.bext.to_dict() == before.bext.to_dict()
    assert after.bext.time_reference == TIME_REFERENCE
    assert after.ixml.source == before.ixml.source
    assert after.smpl.to_dict() == before.smpl.to_dict()
    assert after.info.to_dict() == before.info.to_dict()
    assert list(after.cues.each_cue()) == list(before.cues.each_cue())
    assert [label.text for label in after.cues.labels] == ["start", "chorus"]
    assert chowtape("render", "out.wav", "texts.flac").returncode == 0
    with sf.SoundFile(tmp_path / "texts.flac") as file:
        assert (file.title, file.artist, file.date) == ("Tape ♪", "Ampex", "1948")
    content = (tmp_path / "out.wav").read_bytes()
    at = 20 if form == "RF64" else 4
    assert (
        int.from_bytes(content[at : at + (8 if form == "RF64" else 4)], "little")
        == len(content) - 8
    )
    assert [content.count(name) for name in (b"INFO", b"bext", b"cue ", b"adtl")] == [1, 1, 1, 1]


def test_the_same_source_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = session(tmp_path / "in.wav")
    for extension in ("wav", "aiff", "flac", "ogg", "mp3"):
        channels = session(tmp_path / "two.wav", 2) if extension in ("mp3", "ogg") else source
        for name in ("a", "b"):
            render_file(channels, tmp_path / f"{name}.{extension}", DRY)
        first, second = ((tmp_path / f"{name}.{extension}").read_bytes() for name in ("a", "b"))
        assert first == second


def test_positions_follow_the_rate(chowtape: Run, tmp_path: Path) -> None:
    session(tmp_path / "in.wav")
    assert chowtape("render", "in.wav", "out.wav", "--rate", 96_000).returncode == 0
    out = WavInfoReader(tmp_path / "out.wav")
    assert out.bext.time_reference == 2 * TIME_REFERENCE
    assert [at for at, _ in cues_of(tmp_path / "out.wav")] == [0, 2400, 9600]
    assert (out.smpl.sample_loops[0].start, out.smpl.sample_loops[0].end) == (2400, 4799)
    assert out.smpl.sample_period_ns == pytest.approx(1e9 / 96_000, abs=1)
    text = (tmp_path / "out.wav").read_bytes()
    assert b"<FILE_SAMPLE_RATE>96000<" in text
    assert b"_LOW>4294967294<" in text  # (2^32 + 2^32 - 1) * 2
    assert b"_HIGH>3<" in text


def test_markers_go_to_aiff_and_back(chowtape: Run, tmp_path: Path) -> None:
    session(tmp_path / "in.wav")
    result = chowtape("render", "in.wav", "out.aiff", "--rate", 24_000)
    assert result.returncode == 0
    assert "out.aiff: its format can't hold bext, iXML, smpl" in result.stderr
    assert "date" not in result.stderr
    marked = [(0, b"start"), (600, b"chorus"), (2400, b"")]
    assert cues_of(tmp_path / "out.aiff") == marked
    back = chowtape("render", "out.aiff", "back.wav", "--rate", 48_000)
    assert (back.returncode, back.stderr) == (0, "")
    assert [at for at, _ in cues_of(tmp_path / "back.wav")] == [0, 1200, 4800]
    texts = [label.text for label in WavInfoReader(tmp_path / "back.wav").cues.labels]
    assert texts == ["start", "chorus"]


def test_cue_numbers_that_aiff_can_not_hold_are_counted_anew(tmp_path: Path) -> None:
    points = b"".join(struct.pack("<II4sIII", n, 7, b"data", 0, 0, 7) for n in (0, 1 << 31))
    source = append(write_wav(tmp_path / "in.wav", music(0.1, 44_100), subtype="PCM_16"),
                    chunk(b"cue ", struct.pack("<I", 2) + points), labels(n0="zero"))  # fmt: skip
    render_file(source, tmp_path / "out.aiff", DRY)
    assert cues_of(tmp_path / "out.aiff") == [(7, b"zero"), (7, b"")]


def test_an_aiff_keeps_what_it_says(chowtape: Run, tmp_path: Path) -> None:
    with sf.SoundFile(tmp_path / "in.aiff", "w", 44_100, 1, "PCM_24") as file:
        file.title, file.comment, file.software = "Reel", "Ampex 300", "deck"
        file.write(0.4 * music(0.1, 44_100, 1)[:1001])
    mark = struct.pack(">HHIB5s", 1, 1, 500, 5, b"verse")
    comment = struct.pack(">HIhH4s", 1, 5, 1, 4, b"warm")
    append(tmp_path / "in.aiff", chunk(b"MARK", mark, ">"), chunk(b"INST", bytes(20), ">"),
           chunk(b"COMT", comment, ">"), chunk(b"ANNO", b"two", ">"))  # fmt: skip
    result = chowtape("render", "in.aiff", "out.aiff", "--mix", 0)
    assert (result.returncode, result.stderr) == (0, "")
    content = (tmp_path / "out.aiff").read_bytes()
    for name, body in ((b"INST", bytes(20)), (b"COMT", comment), (b"ANNO", b"two"),
                       (b"NAME", b"Reel")):  # fmt: skip
        assert content.count(chunk(name, body, ">")) == 1
    assert cues_of(tmp_path / "out.aiff") == [(500, b"verse")]
    with sf.SoundFile(tmp_path / "out.aiff") as file:
        assert file.software.count("libsndfile") == 1
    np.testing.assert_array_equal(
        sf.read(tmp_path / "out.aiff")[0], sf.read(tmp_path / "in.aiff")[0]
    )
    lost = chowtape("render", "in.aiff", "out.wav").stderr
    assert "out.wav: its format can't hold INST, COMT\n" in lost


def test_what_flac_can_not_hold_is_named(chowtape: Run, tmp_path: Path) -> None:
    session(tmp_path / "in.wav")
    append(tmp_path / "in.wav", chunk(b"LIST", b"INFO" + chunk(b"IENG", b"Tom\0")))
    result = chowtape("render", "in.wav", "out.flac", "--json")
    assert "out.flac: its format can't hold bext, cue, adtl, iXML, smpl, IENG" in result.stdout
    with sf.SoundFile(tmp_path / "out.flac") as file:
        assert file.title == "Tape ♪"


COMMENTS = [b"TITLE=Reel", b"ISRC=XX1", b"Mood=warm", b"ARTIST=a", b"ARTIST=b",
            b"REPLAYGAIN_TRACK_GAIN=-7 dB"]  # fmt: skip


def add_comments(
    path: Path, texts: list[bytes] = COMMENTS, picture: bytes = PICTURE, name: str = ""
) -> Path:
    """Give a FLAC file, by hand, comments that libsndfile does not know, and a picture."""
    content = path.read_bytes()
    comments = struct.pack("<I3sI", 3, b"abc", len(texts))[:7] + struct.pack("<I", len(texts))
    comments += b"".join(struct.pack("<I", len(text)) + text for text in texts)
    blocks = b"\x04" + len(comments).to_bytes(3, "big") + comments
    blocks += b"\x86" + len(picture).to_bytes(3, "big") + picture
    audio, last = 4, False
    while not last:
        last = bool(content[audio] & 0x80)
        audio += 4 + int.from_bytes(content[audio + 1 : audio + 4], "big")
    path = path.with_name(name or path.name)
    path.write_bytes(content[:42].replace(b"fLaC\x80", b"fLaC\0") + blocks + content[audio:])
    return path


def test_comments_and_pictures_go_from_flac_to_flac_and_ogg(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.flac", music(0.3, 48_000), 48_000, subtype="PCM_16")
    add_comments(tmp_path / "in.flac")
    for extension in ("flac", "ogg", "opus"):
        result = chowtape("render", "in.flac", f"out.{extension}", "--mix", 0)
        assert (result.returncode, result.stderr) == (0, "")
        again = chowtape("render", f"out.{extension}", f"back-{extension}.flac", "--mix", 0)
        assert (again.returncode, again.stderr) == (0, "")
        for name in (f"out.{extension}", f"back-{extension}.flac"):
            content = (tmp_path / name).read_bytes()
            texts = (b"TITLE=Reel", b"ISRC=XX1", b"Mood=warm", b"ARTIST=a", b"ARTIST=b")
            assert [content.count(text) for text in texts] == [1, 1, 1, 1, 1], name
            assert b"REPLAYGAIN" not in content
            in_ogg = content[:4] == b"OggS"
            assert (base64.b64encode(PICTURE) if in_ogg else PICTURE) in content
            with sf.SoundFile(tmp_path / name) as file:
                assert (file.title, file.frames) == ("Reel", 14_400)
                assert len(file.read()) == 14_400
    np.testing.assert_array_equal(
        sf.read(tmp_path / "out.flac")[0], sf.read(tmp_path / "in.flac")[0]
    )
    lost = chowtape("render", "in.flac", "out.caf").stderr
    assert "out.caf: its format can't hold ISRC, MOOD, a second ARTIST, PICTURE\n" in lost


def test_a_large_picture_fills_pages_of_an_ogg(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.flac", music(0.5, 44_100), subtype="PCM_16")
    picture = PICTURE[:-7] + struct.pack(">I", 300_001) + os.urandom(300_001)
    content = add_comments(source).read_bytes()
    old = b"\x86" + len(PICTURE).to_bytes(3, "big") + PICTURE
    new = b"\x86" + len(picture).to_bytes(3, "big") + picture
    source.write_bytes(content.replace(old, new))
    render_file(source, tmp_path / "out.ogg", DRY)
    assert len(sf.read(tmp_path / "out.ogg")[0]) == 22_050
    render_file(tmp_path / "out.ogg", tmp_path / "back.flac", DRY)
    assert picture in (tmp_path / "back.flac").read_bytes()


def id3(*frames: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack(">IH", len(text), 0) + text for name, text in frames)
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + body


def test_an_id3_tag_goes_through_mp3_wav_and_aiff(chowtape: Run, tmp_path: Path) -> None:
    tag = id3(
        (b"TIT2", b"\0Reel"),
        (b"TXXX", b"\0MOOD\0warm"),
        (b"APIC", b"\0image/png\0\3\0" + bytes(200)),
    )
    write_wav(tmp_path / "bare.mp3", music(0.5, 44_100), subtype="MPEG_LAYER_III")
    (tmp_path / "in.mp3").write_bytes(tag + (tmp_path / "bare.mp3").read_bytes())
    steps = ("in.mp3", "one.mp3", "two.wav", "three.aiff", "four.mp3")
    for source, output in itertools.pairwise(steps):
        result = chowtape("render", source, output, "--mix", 0)
        assert result.returncode == 0, result.stderr
        assert "can't hold" not in result.stderr
        assert (tmp_path / output).read_bytes().count(tag) == 1
    for name in ("one.mp3", "four.mp3"):
        with sf.SoundFile(tmp_path / name) as file:
            assert file.title == "Reel"
            assert len(file.read()) >= 22_050
    lost = chowtape("render", "three.aiff", "out.caf").stderr
    assert "out.caf: its format can't hold MOOD, PICTURE\n" in lost


LONG = "Ümläut in a title of more than thirty characters, 日本"
JPEG = b"\xff\xd8\xff\0" + bytes(range(256))


def tags_of(path: Path) -> tuple[str | None, str | None, list[str], bytes]:
    """Return title, date, every SCENE, and the cover, as TinyTag finds them."""
    tag = TinyTag.get(path, image=True)
    cover = tag.images.any
    scenes = "\0".join(tag.other["scene"]).split("\0")  # TinyTag leaves those of a TXXX together
    return tag.title, tag.year, scenes, cover.data if cover else b""


def test_vorbis_comments_and_pictures_become_an_id3_tag(chowtape: Run, tmp_path: Path) -> None:
    with sf.SoundFile(tmp_path / "bare.flac", "w", 44_100, 2) as file:
        file.write(music(0.5, 44_100))
    block = struct.pack(">II10sII", 3, 10, b"image/jpeg", 0, 0) + bytes(12)
    block += struct.pack(">I", len(JPEG)) + JPEG
    texts = [f"TITLE={LONG}", "title=Two", "DATE=1948-01-02", "SCENE=warm", "SCENE=calm"]
    add_comments(tmp_path / "bare.flac", [text.encode() for text in texts], block, "in.flac")
    assert chowtape("render", "bare.flac", "bare.mp3").returncode == 0
    for name in ("out.mp3", "out.wav", "out.rf64", "out.aiff"):
        result = chowtape("render", "in.flac", name)
        assert (result.returncode, result.stderr) == (0, ""), name
        if name != "out.rf64":  # which TinyTag can't read
            assert tags_of(tmp_path / name) == (LONG, "1948-01-02", ["warm", "calm"], JPEG), name
            assert TinyTag.get(tmp_path / name).other["title"] == ["Two"], name
        assert (tmp_path / name).read_bytes().count(JPEG) == 1
        back = chowtape("render", name, "back.flac", "--overwrite")
        assert (back.returncode, back.stderr) == (0, ""), name
        content = (tmp_path / "back.flac").read_bytes()
        for text in (f"TITLE={LONG}", "TITLE=Two", "DATE=1948-01-02", "SCENE=warm", "SCENE=calm"):
            assert content.count(text.encode()) == 1, name
        assert block in content
    with sf.SoundFile(tmp_path / "out.mp3") as file:
        assert (file.title, file.date) == (LONG, "1948-01-02")
    mp3, bare = ((tmp_path / name).read_bytes() for name in ("out.mp3", "bare.mp3"))
    assert bare[0] == 0xFF  # a frame, LAME's own
    assert mp3.endswith(bare)
    assert b"LAME" not in mp3[: -len(bare)]


def frame(name: bytes, body: bytes, form: int = 0) -> bytes:
    size = bytes((len(body) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return name + size + bytes([0, form]) + body


def tag_of(version: int, *frames: bytes, flags: int = 0) -> bytes:
    content = b"".join(frames)
    size = frame(b"", content)[:4]
    return b"ID3" + bytes([version, 0, flags]) + size + content


APIC = b"image/jpeg\0\3"
TAGS = {
    "2.2": tag_of(
        2,
        *(name + len(body).to_bytes(3, "big") + body for name, body in (
            (b"TT2", b"\1" + LONG.encode("utf-16")), (b"TYE", b"\x001948"),
            (b"TXX", b"\0SCENE\0warm"), (b"PIC", b"\0JPG\3cover\0" + JPEG))),
    ),
    "2.3 in UTF-16, unsynchronised": tag_of(
        3,
        b"".join(name + struct.pack(">IH", len(body), 0) + body for name, body in (
            (b"TIT2", b"\1" + LONG.encode("utf-16")), (b"TYER", b"\x001948"),
            (b"TXXX", b"\1" + "SCENE\0".encode("utf-16") + "warm".encode("utf-16")),
            (b"APIC", b"\1" + APIC + "cover\0".encode("utf-16") + JPEG),
        )).replace(b"\xff", b"\xff\0"), flags=0x80),
    "2.4 in UTF-16 without a mark": tag_of(
        4,
        frame(b"TIT2", b"\2" + LONG.encode("utf-16-be")), frame(b"TDRC", b"\x031948\0"),
        frame(b"TXXX", b"\2" + "SCENE\0warm\0".encode("utf-16-be")),
        frame(b"APIC", b"\2" + APIC + "cover\0".encode("utf-16-be") + JPEG),
    ),
    "2.4 in UTF-8, each frame unsynchronised": tag_of(
        4,
        frame(b"TIT2", b"\3" + LONG.encode()), frame(b"TDRC", b"\x031948"),
        frame(b"TXXX", bytes(3) + b"\5\3SCENE\0warm", 0x01),
        frame(b"APIC", (b"\3" + APIC + b"\0" + JPEG).replace(b"\xff", b"\xff\0"), 0x02),
    ),
    "2.4 with the sizes of 2.3, UTF-8 that says it is Latin-1": tag_of(
        4,
        *(name + struct.pack(">IH", len(body), 0) + body for name, body in (
            (b"TIT2", b"\0" + LONG.encode()), (b"APIC", b"\0" + APIC + b"\0" + JPEG),
            (b"TDRC", b"\x001948"), (b"TXXX", b"\0SCENE\0warm"))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", TAGS)
def test_an_id3_tag_becomes_vorbis_comments_and_a_picture(
    chowtape: Run, tmp_path: Path, version: str
) -> None:
    for form, name, order in (("WAV", b"id3 ", "<"), ("AIFF", b"ID3 ", ">")):
        source = write_wav(tmp_path / f"in.{form}", music(0.3, 44_100), format=form)
        append(source, chunk(name, TAGS[version], order))
        for output in ("out.flac", "out.ogg"):
            result = chowtape("render", source, output, "--overwrite")
            assert (result.returncode, result.stderr) == (0, "")
            assert tags_of(tmp_path / output) == (LONG, "1948", ["warm"], JPEG)
            with sf.SoundFile(tmp_path / output) as file:
                assert (file.title, file.frames) == (LONG, 13_230)


def test_what_an_id3_tag_has_no_comment_for_is_named(chowtape: Run, tmp_path: Path) -> None:
    tag = tag_of(4, frame(b"PRIV", b"a\0b"), frame(b"TCON", b"\0(17)"), frame(b"TLEN", b"\x009"))
    append(write_wav(tmp_path / "in.wav", music(0.1, 44_100)), chunk(b"id3 ", tag),
           chunk(b"LIST", b"INFO" + chunk(b"IART", b"Ampex\0")))  # fmt: skip
    assert (
        "out.flac: its format can't hold PRIV\n" in chowtape("render", "in.wav", "out.flac").stderr
    )
    with sf.SoundFile(tmp_path / "out.flac") as file:
        assert (file.genre, file.artist) == ("Rock", "Ampex")


@pytest.mark.parametrize("output", ["out.flac", "out.ogg", "out.mp3", "out.wav", "out.caf"])
@pytest.mark.parametrize("frames", [
    frame(b"TIT2", b"") * 200_000,
    frame(b"TIT2", b"\1" + b"x" * 3_000_001),
    frame(b"TXXX", b"\0a\0" + b"x\0" * 2_000_000),
    frame(b"APIC", b"\1a\0\3" + b"a\0\0b" * 1_000_000),
    b"TIT2\x7f\x7f\x7f\x7f\0\0\3Reel",
], ids=["many", "long", "several", "picture", "cut"])  # fmt: skip
def test_an_absurd_id3_tag_costs_only_itself(tmp_path: Path, frames: bytes, output: str) -> None:
    source = write_wav(tmp_path / "in.wav", music(0.1, 44_100), subtype="PCM_16")
    append(source, chunk(b"id3 ", tag_of(4, frames)[:-1]))
    assert render_file(source, tmp_path / output, DRY).status == "rendered"
    assert sf.info(tmp_path / output).frames >= 4410


def test_a_file_without_frames_keeps_its_chunks(tmp_path: Path) -> None:
    source = session(tmp_path / "in.wav", frames=0)
    render_file(source, tmp_path / "out.wav", DRY)
    assert sf.info(tmp_path / "out.wav").frames == 0
    assert WavInfoReader(tmp_path / "out.wav").bext.time_reference == TIME_REFERENCE


def test_a_cut_off_chunk_costs_only_itself(tmp_path: Path) -> None:
    source = session(tmp_path / "in.wav")
    source.write_bytes(source.read_bytes()[:-5])  # the last one is smpl
    report = render_file(source, tmp_path / "out.wav", DRY)
    out = WavInfoReader(tmp_path / "out.wav")
    assert report.warnings == []
    assert (out.bext.description, out.smpl) == ("Take 7", None)


def test_a_missing_pad_byte_costs_nothing(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", music(0.1, 44_100), subtype="PCM_16")
    append(source, chunk(b"iXML", b"<a/>\n")[:-1] + chunk(b"axml", b"<b/>"))
    render_file(source, tmp_path / "out.wav", DRY)
    content = (tmp_path / "out.wav").read_bytes()
    assert content.endswith(chunk(b"iXML", b"<a/>\n") + chunk(b"axml", b"<b/>"))


def test_what_the_render_makes_stale_stays_behind(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", music(0.1, 44_100), subtype="PCM_16")
    append(source, chunk(b"levl", bytes(120)), chunk(b"minf", bytes(16)), chunk(b"JUNK", bytes(28)))
    assert render_file(source, tmp_path / "out.wav", DRY).warnings == []
    plain = write_wav(tmp_path / "plain.wav", music(0.1, 44_100), subtype="PCM_16")
    assert (tmp_path / "out.wav").read_bytes() == plain.read_bytes()


def test_times_are_kept_on_request(chowtape: Run, tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", music(0.1, 44_100))
    os.utime(source, ns=(1_000_000_001, 1_234_567_891_123_456_700))
    assert chowtape("render", "in.wav", "kept.wav", "--keep-times").returncode == 0
    assert chowtape("render", "in.wav", "new.wav").returncode == 0
    assert (tmp_path / "kept.wav").stat().st_mtime_ns == source.stat().st_mtime_ns
    assert (tmp_path / "new.wav").stat().st_mtime_ns != source.stat().st_mtime_ns


@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["wav", "rf64", "aiff", "flac", "ogg", "mp3"]))
def test_damaged_metadata_never_stops_a_reader(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    """Whatever bytes change, something is read, and can be put at another rate for every output."""
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    whole = folder / f"whole.{kind}"
    if not whole.exists():
        wav = session(folder / "in.wav", 2, frames=200)
        tagged = add_comments(
            write_wav(folder / "in.flac", music(0.1, 48_000), 48_000, subtype="PCM_16")
        )
        if kind == "mp3":
            render_file(wav, whole, DRY)
            whole.write_bytes(id3((b"TIT2", b"\0Reel"), (b"TXXX", b"\0a\0b")) + whole.read_bytes())
        else:
            render_file(tagged if kind in ("flac", "ogg") else wav, whole, DRY)
    content = bytearray(whole.read_bytes())
    tail = max(0, len(content) - 1400)
    places = st.one_of(
        st.integers(0, min(len(content) - 1, 400)), st.integers(tail, len(content) - 1)
    )
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    damaged = folder / f"damaged.{kind}"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    container = {"ogg": "OGG", "wav": "WAV"}.get(kind, kind.upper())
    found = read_metadata(damaged, container, 48_000, {})
    for output in ("WAV", "RF64", "AIFF", "FLAC", "OGG", "MP3", "W64"):
        carried(found, output, 44_100)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(tail=st.lists(st.one_of(
    st.binary(max_size=40),
    st.builds(lambda name, size, body: name + struct.pack("<I", size) + body,
              st.sampled_from([b"bext", b"cue ", b"smpl", b"LIST", b"iXML", b"id3 ", b"junk"]),
              st.integers(0, 60) | st.integers(0, 0xFFFFFFFF), st.binary(max_size=60)),
), max_size=5))  # fmt: skip
def test_no_tail_changes_the_audio(
    tmp_path_factory: pytest.TempPathFactory, tail: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("tail")
    x = (1000 * music(0.01, 44_100, 1)).astype(np.int16)
    sf.write(folder / "in.wav", x, 44_100)
    (folder / "in.wav").write_bytes((folder / "in.wav").read_bytes() + b"".join(tail))
    for output in ("out.wav", "out.aiff"):
        render_file(folder / "in.wav", folder / output, DRY)
        np.testing.assert_array_equal(sf.read(folder / output, dtype="int16", always_2d=True)[0], x)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"Art\xe9", "Arté"),
        (b"\x93Art\x94 \x80", "“Art” €"),
        ("Arté ♪".encode(), "Arté ♪"),
        (b"\x81\xe9", "\x81é"),
    ],
)
@pytest.mark.parametrize("extension", ["flac", "ogg", "aiff"])
def test_texts_that_windows_wrote_are_read(
    chowtape: Run, tmp_path: Path, raw: bytes, text: str, extension: str
) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    append(tmp_path / "in.wav", chunk(b"LIST", b"INFO" + chunk(b"IART", raw + b"\0")))
    done = chowtape("render", "in.wav", f"out.{extension}")
    assert done.returncode == 0, done.stderr
    with sf.SoundFile(tmp_path / f"out.{extension}") as file:
        assert file.artist == text


def test_what_is_too_large_to_be_carried_is_said_to_be_so(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    append(tmp_path / "in.wav", chunk(b"axml", bytes(70 << 20)))
    append(tmp_path / "in.wav", chunk(b"iXML", IXML))
    for output, others in (("out.wav", ""), ("out.flac", "its format can't hold iXML")):
        done = chowtape("render", "in.wav", output)
        assert done.returncode == 0
        assert "was left without axml, as no more than 64 MiB are carried" in done.stderr
        assert "can't hold axml" not in done.stderr
        assert others in done.stderr
