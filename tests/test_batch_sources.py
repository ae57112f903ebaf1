"""What a batch is made of and where it goes, settled before anything is rendered."""

from __future__ import annotations

import json
import os
import subprocess
import unicodedata
from pathlib import Path

import pytest
import soundfile as sf
from conftest import Run, music, write_wav

MANIFEST = ".chowtape.jsonl"


def stems(folder: Path, *names: str) -> None:
    for name in names:
        plain = write_wav((folder / name).with_name("plain.wav"), music(0.02, 44_100, 1))
        plain.rename(folder / name)  # soundfile takes no name that is not UTF-8


def outputs(result: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Each source's output; every one of them has to be there."""
    assert result.returncode == 0, result.stderr
    return {file["source"]: file["output"] for file in json.loads(result.stdout)["files"]}


def check_refused(
    chowtape: Run, tmp_path: Path, *arguments: object, words: tuple[str, ...], code: int = 2
) -> None:
    """One line, nothing rendered, nothing written."""
    before = sorted(tmp_path.rglob("*"))
    result = chowtape("render", *arguments)
    assert result.returncode == code, (result.stdout, result.stderr)
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_is_mirrored(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav", "b c/d é.wav", "b c/e/f.WAV", "g.wav/h.wav")
    assert outputs(chowtape("render", "in", "out", "--json")) == {
        "in/a.wav": "out/a.wav",
        "in/b c/d é.wav": "out/b c/d é.wav",
        "in/b c/e/f.WAV": "out/b c/e/f.WAV",
        "in/g.wav/h.wav": "out/g.wav/h.wav",
    }


def test_several_folders_keep_their_names(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path, "one/a.wav", "deep/two/a.wav", "single.wav", "link here.wav")
    (tmp_path / "linked").symlink_to("one")
    given = ("one", "deep/two/", "linked", "single.wav")
    assert outputs(chowtape("render", *given, "out", "--json")) == {
        "one/a.wav": "out/one/a.wav",
        "deep/two/a.wav": "out/two/a.wav",
        "linked/a.wav": "out/linked/a.wav",
        "single.wav": "out/single.wav",
    }


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("in/*.wav", {"in/a.wav": "out/a.wav"}),
        ("in/**/*.wav", {"in/a.wav": "out/a.wav", "in/d/b.wav": "out/d/b.wav"}),
        ("in/*/b.*", {"in/d/b.wav": "out/d/b.wav", "in/e/b.flac": "out/e/b.flac"}),
        ("in/[ad]*", {"in/a.wav": "out/a.wav"}),
    ],
)
def test_a_quoted_glob(chowtape: Run, tmp_path: Path, pattern: str, chosen: dict[str, str]) -> None:
    stems(tmp_path / "in", "a.wav", "d/b.wav", "d/.hidden.wav")
    (tmp_path / "in" / "e").mkdir()
    sf.write(tmp_path / "in" / "e" / "b.flac", music(0.02, 44_100, 1), 44_100)
    assert outputs(chowtape("render", pattern, "out", "--json")) == chosen


def test_globs_of_this_folder_and_names_that_look_like_globs(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path, "kick [loud].wav", "snare.wav")
    found = outputs(chowtape("render", "*.wav", "out", "--json"))
    assert set(found.values()) == {"out/kick [loud].wav", "out/snare.wav"}
    assert chowtape("render", "kick [loud].wav", "single.wav").returncode == 0
    check_refused(chowtape, tmp_path, "*.mp3", "out2", words=("*.mp3", "no file"))


@pytest.mark.parametrize("how", ["file", "stdin", "null"])
def test_a_list_of_files(chowtape: Run, tmp_path: Path, how: str) -> None:
    names = ["x/a.wav", "y/été.wav", "y/sp ace\u2028.wav", os.fsdecode(b"y/caf\xe9.wav")]
    stems(tmp_path, *names)
    far = tmp_path / "elsewhere" / "far.wav"
    stems(far.parent, far.name)
    listed = [*names, str(far), "x/a.wav"]
    if how == "null":
        stems(tmp_path, "y/new\nline.wav")
        raw = b"\0".join(os.fsencode(name) for name in [*listed, "y/new\nline.wav"]) + b"\0"
    else:
        raw = b"\xef\xbb\xbf" + b"\r\n\n".join(map(os.fsencode, listed))
    (tmp_path / "list.txt").write_bytes(raw)
    if how == "stdin":
        with (tmp_path / "list.txt").open() as file:
            result = chowtape("render", "--files-from", "-", "out", "--json", stdin=file)
    else:
        result = chowtape("render", "--files-from", "list.txt", "out", "--json")
    expected = {name: f"out/{name}" for name in names} | {str(far): "out/far.wav"}
    if how == "null":
        expected["y/new\nline.wav"] = "out/y/new\nline.wav"
    assert outputs(result) == expected
    for output in expected.values():
        assert (tmp_path / output).exists()
    again = json.loads(chowtape("render", "--files-from", "list.txt", "out", "--json").stdout)
    assert {file["status"] for file in again["files"]} == {"up to date"}


def test_lists_that_say_nothing(chowtape: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n\n")
    check_refused(
        chowtape, tmp_path, "--files-from", "list.txt", "out", words=("list.txt", "names no file")
    )
    check_refused(
        chowtape, tmp_path, "--files-from", "none.txt", "out", words=("none.txt",), code=1
    )


def test_includes_and_excludes(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav", "drums/kick.wav", "drums/old/kick.wav", "drums/tom.wav")
    wanted = ("--include", "drums/**", "--exclude", "tom.*", "--exclude", "**/old/*")
    found = outputs(chowtape("render", "in", "out", "--json", *wanted))
    assert set(found) == {"in/drums/kick.wav"}
    check_refused(
        chowtape, tmp_path, "in", "out2", "--include", "*.mp3",
        words=("no audio", "the folder and --include\n"),
    )  # fmt: skip
    check_refused(
        chowtape, tmp_path, "in", "out2", "--exclude", "*", words=("the folder and --exclude\n",)
    )
    idle = chowtape("render", "in", "out", "--include", "a.wav", "--include", "[", "--json")
    assert set(outputs(idle)) == {"in/a.wav"}
    assert idle.stderr == "chowtape: warning: --include '[' chooses none of these files\n"
    (tmp_path / "file").touch()
    check_refused(  # what is wrong is said of the folder, not of the manifest in it
        chowtape, tmp_path, "in", "file/out", code=1,
        words=("chowtape: file/out: can't be made, for a file is in its way",),
    )  # fmt: skip


def test_names_from_templates_and_other_formats(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav", "d/b.wav")
    named = ("--name", "{number:02} {stem}-{mode}-{drive:.1f}{ext}", "--format", ".FLAC")
    assert outputs(chowtape("render", "in", "out", "--json", *named)) == {
        "in/a.wav": "out/01 a-nr8-0.5.flac",
        "in/d/b.wav": "out/d/02 b-nr8-0.5.flac",
    }
    assert sf.info(tmp_path / "out" / "01 a-nr8-0.5.flac").format == "FLAC"
    for template, *words in (
        ("{stem}-{nonsense}{ext}", "nonsense", "saturation"),
        ("{}{ext}", "can't be filled in"),
        ("{stem", "can't be filled in"),
        ("{rate:d}{ext}", "can't be filled in"),
        ("../{name}", "below the destination"),
        ("/tmp/{name}", "below the destination"),  # noqa: S108
        ("{stem}", "extension"),
        ("{ext}", "extension"),
        ("{stem}/", "extension"),
        ("one.wav", "would both become"),
    ):
        flat = ("in", "flat", "--name", template)
        if template == "one.wav":
            stems(tmp_path / "in", "b.wav")
        check_refused(chowtape, tmp_path, *flat, words=tuple(words))
    check_refused(chowtape, tmp_path, "in", "flat", "--format", "xyz", words=("xyz", "flac"))


def test_two_sources_that_would_be_one_file(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "case", "Kick.wav", "kick.wav")
    stems(tmp_path / "accents", *(unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD")))
    stems(tmp_path / "kinds", "a.wav")
    sf.write(tmp_path / "kinds" / "a.flac", music(0.02, 44_100, 1), 44_100)
    stems(tmp_path, "x/same.wav", "y/same.wav")
    for arguments in (
        ("case", "out"),
        ("accents", "out"),
        ("kinds", "out", "--format", "wav"),
        ("x/same.wav", "y/same.wav", "out"),
    ):
        check_refused(chowtape, tmp_path, *arguments, words=("would both become", "--name"))
    named = ("--format", "wav", "--name", "{name}{ext}")
    found = outputs(chowtape("render", "kinds", "out", "--json", *named))
    assert set(found.values()) == {"out/a.wav.wav", "out/a.flac.wav"}


def test_a_destination_that_would_be_read_again(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav", "d/b.wav")
    (tmp_path / "link").symlink_to("in")
    for arguments in (
        ("in", "in"),
        ("in", "in", "--overwrite"),
        ("link", "in"),
        ("in", "in", "--name", "{stem}-tape{ext}"),
        ("in", "in", "--format", "flac"),
        ("in", "in/tape"),
        ("in", "link/tape"),
        ("in/**/*.wav", "in/tape"),
        ("**/b.wav", "out"),
        ("in/a.wav", "in/d/b.wav", "in", "--overwrite"),
    ):
        check_refused(chowtape, tmp_path, *arguments, words=("choose another folder",))
    for number, arguments in enumerate((
        ("in", "in/tape", "--exclude", "tape/**"),
        ("in", "in/.tape"),
        ("in/*.wav", "in/tape{}"),
        ("in/*/*.wav", "in/tape{}"),
        ("in", "in", "--include", "*.wav", "--format", "flac"),
    )):  # fmt: skip
        words = [str(word).format(number) for word in arguments]
        first = outputs(chowtape("render", *words, "--json", "--dry-run"))
        assert outputs(chowtape("render", *words, "--json")) == first
        assert outputs(chowtape("render", *words, "--json")) == first  # and nothing more


def test_destinations_that_are_no_folder(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav", "b.wav")
    (tmp_path / "file").write_text("mine")
    check_refused(chowtape, tmp_path, "in", "file", words=("file: is a file",))
    check_refused(chowtape, tmp_path, "in", "file/out", words=("file",), code=1)


def test_folders_without_audio_and_what_is_left_alone(chowtape: Run, tmp_path: Path) -> None:
    (tmp_path / "in" / ".git").mkdir(parents=True)
    for name in ("notes.txt", "._a.wav", ".b.wav", ".git/c.wav", "README"):
        (tmp_path / "in" / name).write_text("no audio")
    check_refused(chowtape, tmp_path, "in", "out", words=("no audio file",))
    stems(tmp_path / "in", "a.wav")
    result = chowtape("render", "in", "out", "--json")
    assert outputs(result) == {"in/a.wav": "out/a.wav"}
    assert json.loads(result.stdout)["left_alone"] == {".txt": 1, "README": 1, "hidden": 2}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {MANIFEST, "a.wav"}


def test_links_that_lead_back_are_followed_once(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav", "d/b.wav")
    (tmp_path / "in" / "d" / "round").symlink_to("..")
    (tmp_path / "in" / "self").symlink_to("self")
    for source in ("in", "in/**/*.wav"):
        found = outputs(chowtape("render", source, "out", "--json", "--overwrite"))
        assert found == {"in/a.wav": "out/a.wav", "in/d/b.wav": "out/d/b.wav"}


def test_options_that_contradict_each_other(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav")
    for other in ("--overwrite", "--update"):
        check_refused(
            chowtape, tmp_path, "in", "out", "--skip-existing", other,
            words=(other, "--skip-existing"),
        )  # fmt: skip


def test_a_report_takes_the_place_of_nothing_else(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "d/a.wav")
    stems(tmp_path, "s.wav")
    (tmp_path / "link").symlink_to("out")
    for report in ("out/d/a.wav", "out/D/a.WAV", "link/d/a.wav", "out/.chowtape.jsonl", "out/d",
                   "out/d/a.wav/report.csv"):  # fmt: skip
        check_refused(chowtape, tmp_path, "in", "out", "--report", report, words=("--report",))
    for report in ("so.wav", "./so.wav"):
        check_refused(chowtape, tmp_path, "s.wav", "so.wav", "--report", report, words=("so.wav",))
    check_refused(chowtape, tmp_path, "in", "out", "--report", "s.wav/r", words=("s.wav",), code=1)
    check_refused(
        chowtape,
        tmp_path,
        "in",
        "out",
        "--report",
        "/proc/none/r.csv",
        words=("/proc/none",),
        code=1,
    )
    done = chowtape("render", "in", "out", "--report", "out/d/report.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "d" / "report.csv").read_text().startswith("source,output,")


def test_templates_that_ask_for_too_much_or_are_wrong(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "a.wav")
    for template, *words in (
        ("{number:1000000000}{ext}", "too wide", "20"),
        ("{drive:.999999999f}{ext}", "too wide"),
        ("{number:{number}}{ext}", "{number:{number}} can't be filled in"),
        ("{mode.__class__}{ext}", "{mode.__class__} can't be filled in", "there are: stem name"),
        ("{mode[0]}{ext}", "{mode[0]} can't be filled in"),
        ("{0}{ext}", "{0} can't be filled in"),
        ("{stem", "brace", "{{"),
        ("{stem}}{ext}", "brace"),
        ("{mode:d}{ext}", "{mode:d} can't be filled in with nr8"),
    ):
        check_refused(chowtape, tmp_path, "in", "out", "--name", template, words=tuple(words))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), "a--.wav"),
        (("--mode", "stn"), "a-2x4-.wav"),
        (("--mode", "stn", "--weights", "2x8", "--rate", 48_000), "a-2x8-48000.wav"),
    ],
)
def test_what_is_left_open_is_empty_in_names(
    chowtape: Run, tmp_path: Path, options: tuple[object, ...], name: str
) -> None:
    stems(tmp_path / "in", "a.wav")
    found = outputs(
        chowtape(
            "render", "in", "out", "--json", "--name", "{stem}-{weights}-{rate}{ext}", *options
        )
    )
    assert set(found.values()) == {f"out/{name}"}


def test_patterns_mean_the_same_with_more_sources(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "stems", "drums/snare.wav", "bass.wav")
    stems(tmp_path / "small", "a.wav")
    (tmp_path / "tape.toml").write_text('["drums/**"]\ndrive = 0.7\n["small/*"]\ndrive = 0.9\n')
    result = chowtape("render", "stems", "small", "out", "--settings", "tape.toml", "--json")
    assert result.stderr == ""
    files = json.loads(result.stdout)["files"]
    assert {file["output"]: file["settings"]["drive"] for file in files} == {
        "out/stems/drums/snare.wav": 0.7, "out/stems/bass.wav": 0.5, "out/small/a.wav": 0.9,
    }  # fmt: skip
    wanted = ("--include", "drums/**", "--include", "small/*")
    found = outputs(chowtape("render", "stems", "small", "out2", "--json", *wanted))
    assert set(found) == {"stems/drums/snare.wav", "small/a.wav"}
    some = chowtape("render", "stems", "out3", "--settings", "tape.toml")
    (line,) = some.stderr.splitlines()
    assert 'warning: the settings of "small/*" are for none of these files' in line
    quiet = chowtape("render", "stems", "out4", "--settings", "tape.toml", "--quiet")
    assert quiet.stderr == ""


def test_what_is_named_twice_is_rendered_once(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "w" / "in", "a.wav")
    stems(tmp_path / "w", "b.wav")
    (tmp_path / "w" / "in" / "notes.txt").touch()
    (tmp_path / "link").symlink_to("w")
    given = ("w/in", "./w/in/", "link/in", "w/b.wav", "w/in/../b.wav", "link/b.wav")
    result = chowtape("render", *given, "out", "--json")
    assert outputs(result) == {"w/in/a.wav": "out/in/a.wav", "w/b.wav": "out/b.wav"}
    assert json.loads(result.stdout)["left_alone"] == {".txt": 1}


def test_the_advice_about_names_that_collide_helps(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "case", "A.wav", "a.wav")
    stems(tmp_path, "x/same.wav", "y/same.wav")
    for given in (("case",), ("x/same.wav", "y/same.wav")):
        refused = chowtape("render", *given, "out")
        advised = refused.stderr.split("--name such as '")[1].split("'")[0]
        made = outputs(
            chowtape("render", *given, "out", "--overwrite", "--json", "--name", advised)
        )
        assert len(set(made.values())) == 2


def test_a_file_whose_rate_is_the_trouble_is_named(chowtape: Run, tmp_path: Path) -> None:
    stems(tmp_path / "in", "good.wav")
    write_wav(tmp_path / "in" / "slow.wav", music(0.1, 1000, 1), 60)
    for arguments in (("in", "out"), ("in/slow.wav", "out.wav"), ("in", "dry", "--dry-run")):
        result = chowtape("render", *arguments)
        assert result.returncode == 1
        assert result.stderr.startswith("chowtape: in/slow.wav: --dc-block 35 Hz must be below")
