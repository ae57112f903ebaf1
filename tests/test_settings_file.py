"""Settings files: what they say, what wins over them, and what is wrong with them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from hypothesis import given
from hypothesis import strategies as st
from test_docs import ROOT, blocks
from test_errors import check_one_line, listing

from chowtape_cli.patterns import matches
from chowtape_cli.settings import CHOICES, RANGES, SUBTYPES, RenderSettings
from chowtape_cli.settings_file import SettingsPlan, load_plan, to_toml

NAMES = [field.name for field in fields(RenderSettings)]


def plan_of(text: str | bytes, **given: object) -> SettingsPlan:
    """Load a plan from a file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tape.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_plan(path, given)


def again(plan: SettingsPlan) -> SettingsPlan:
    """Return the plan that its own printed form gives."""
    return plan_of(to_toml(plan, dict.fromkeys(NAMES, "What it does."), "title"))


def write_settings(folder: Path, text: str) -> None:
    (folder / "tape.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("pattern", "chosen", "left"),
    [
        ("kick*", ["kick.wav", "drums/kick 2.wav", "a/b/kick"], ["Kick.wav", "kick/snare.wav"]),
        ("drums/*", ["drums/kick.wav"], ["drums/close/kick.wav", "a/drums/kick.wav", "drums"]),
        ("drums/**", ["drums/kick.wav", "drums/close/kick.wav"], ["drums", "a/drums/kick.wav"]),
        ("drums/", ["drums/kick.wav", "drums/close/kick.wav"], ["drums", "bass.wav"]),
        ("**/close/*.wav", ["close/a.wav", "x/y/close/a.wav"], ["close/x/a.wav", "close/a.aif"]),
        ("a/**/z.wav", ["a/z.wav", "a/b/z.wav", "a/b/c/z.wav"], ["z.wav", "a/bz.wav", "az.wav"]),
        ("/kick.wav", ["kick.wav"], ["drums/kick.wav"]),
        ("take[12]?.wav", ["take1a.wav", "x/take2b.wav"], ["take3a.wav", "take1.wav"]),
        ("*", ["kick.wav", "drums/kick.wav"], []),
        ("**", ["kick.wav", "drums/kick.wav"], []),
        ("caf\u00e9.wav", ["cafe\u0301.wav", "caf\u00e9.wav"], ["cafe.wav"]),
    ],
)
def test_a_pattern_chooses_as_gitignore_does(
    pattern: str, chosen: list[str], left: list[str]
) -> None:
    assert [path for path in [*chosen, *left] if matches(pattern, path)] == chosen


def test_the_command_line_wins_over_patterns_and_they_over_the_rest(
    chowtape: Run, tmp_path: Path
) -> None:
    for name in ("kick.wav", "bass.wav"):
        write_wav(tmp_path / name, music(0.1, 44_100))
    write_settings(tmp_path, 'drive = 0.2\nsat = 0.3\n["kick*"]\ndrive = 0.7\nbias = 0.4\n')

    def made(name: str, *arguments: object) -> tuple[object, ...]:
        result = chowtape("render", name, f"tape-{name}", "--settings", "tape.toml", "--json",
                          "--overwrite", *arguments)  # fmt: skip
        assert result.returncode == 0, result.stderr
        settings = json.loads(result.stdout)["files"][0]["settings"]
        return settings["drive"], settings["saturation"], settings["bias"]

    assert made("bass.wav") == (0.2, 0.3, 0.5)
    assert made("kick.wav") == (0.7, 0.3, 0.4)
    # given, if only as what is the default anyway
    assert made("kick.wav", "--drive", 0.5) == (0.5, 0.3, 0.4)
    assert made("kick.wav", "--sat", 0.9, "--bias", 0.1) == (0.7, 0.9, 0.1)


def test_a_file_renders_as_the_same_options_do(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.2, 44_100))
    write_settings(
        tmp_path,
        'mode = "RK4"\ndrive = 1\nos = 4\ninput-gain = 6\nmakeup = false\nsubtype = "pcm_24"\n'
        "dither = false\n",
    )
    options = ("--mode", "rk4", "--drive", 1, "--os", 4, "--input-gain", 6, "--no-makeup",
               "--subtype", "PCM_24", "--no-dither")  # fmt: skip
    assert chowtape("render", "in.wav", "a.wav", "--settings", "tape.toml").returncode == 0
    assert chowtape("render", "in.wav", "b.wav", *options).returncode == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert chowtape("render", "in.wav", "c.wav").returncode == 0
    assert not np.array_equal(sf.read(tmp_path / "a.wav")[0], sf.read(tmp_path / "c.wav")[0])


def test_every_report_names_the_settings_that_made_the_file(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.1, 44_100))
    write_settings(tmp_path, '["in.wav"]\ndrive = 0.7\n')
    run = ("render", "in.wav", "out.wav", "--settings", "tape.toml")
    planned = json.loads(chowtape(*run, "--dry-run", "--json").stdout)
    rendered = json.loads(chowtape(*run, "--json").stdout)
    refused = json.loads(chowtape(*run, "--json").stdout)  # exists already
    for whole in (planned, rendered, refused):
        assert whole["files"][0]["settings"] == RenderSettings(drive=0.7).as_dict()
        assert whole["settings"] == RenderSettings().as_dict()
    assert refused["files"][0]["status"] == "failed"
    text = chowtape(*run, "--overwrite").stdout
    assert "mode nr8, drive 0.7" in text
    assert "saturation" not in text
    assert "saturation 0.5" in chowtape(*run, "--overwrite", "-v").stdout


def test_what_settings_prints_gives_the_same_settings(chowtape: Run, tmp_path: Path) -> None:
    write_settings(
        tmp_path,
        'mode = "stn"\nweights = "2x8"\n["drums/*"]\ndrive = 0.7\nsat = 0.1\n'
        '["**/\\"naïve\\" \\u266a 🥁/*"]\nmode = "nr4"\n',
    )
    printed = chowtape("settings", "--settings", "tape.toml", "--sat", 0.9, "--rate", 48_000)
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "again.toml").write_text(printed.stdout, encoding="utf-8")
    plan = load_plan(tmp_path / "again.toml", {})
    assert plan.base == RenderSettings(mode="stn", weights="2x8", saturation=0.9, rate=48_000)
    assert plan.overrides == (
        ("drums/*", {"drive": 0.7}),  # the command line won over its saturation
        ('**/"naïve" ♪ 🥁/*', {"mode": "nr4"}),
    )
    assert chowtape("settings", "--settings", "again.toml").stdout == printed.stdout
    in_c = chowtape("settings", "--settings", "again.toml", env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert in_c.stdout == printed.stdout


def test_settings_says_what_each_is_and_what_it_may_be(chowtape: Run) -> None:
    text = chowtape("settings").stdout
    for name in NAMES:
        assert f"\n{name} = " in text or f"\n# {name} = " in text
    for words in (
        "# How hard the tape is driven.\n# 0 to 1; default: 0.5\ndrive = 0.5\n",
        '# "linear", "minimum"; default: "linear"\n',
        "# -120 to 120 dB; default: 0.0\n",
        "default: the source's\n# rate = 48000\n",
        '# ["drums/**"]\n# drive = 0.7\n',
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 100
    uncommented = text.replace("\n# rate", "\nrate").replace("\n# subtype", "\nsubtype")
    assert plan_of(uncommented).base == RenderSettings(rate=48_000, subtype="PCM_24")


def test_settings_for_one_file(chowtape: Run, tmp_path: Path) -> None:
    write_settings(tmp_path, '["drums/*"]\ndrive = 0.7\n["kick*"]\ndrive = 0.9\n')
    for path, drive in (("bass.wav", 0.5), ("drums/hat.wav", 0.7), ("./drums/kick.wav", 0.9)):
        text = chowtape("settings", "--settings", "tape.toml", "--for", path).stdout
        assert plan_of(text) == SettingsPlan(RenderSettings(drive=drive))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("drive = 7", ("tape.toml: drive is 7", "0 to 1")),
        ('["drums/*"]\ndrive = 7', ('tape.toml: ["drums/*"]: drive is 7', "0 to 1")),
        ("drive = nan", (": drive", "not a number")),
        ("drive = true", ("drive is true or false", "a number")),
        ('drive = "0.5"', ("drive is a string", "a number")),
        ("rate = 48000.0", ("rate is a number", "a whole number")),
        ("rate = 0x" + "f" * 5000, ("rate", "64 bits")),
        ("input_gain = 1" + "0" * 400, ("input_gain", "64 bits")),
        ("rate = 1" + "0" * 5000, ("tape.toml: ", "correct the TOML")),
        ("os = 3", (": oversampling is 3", "64")),
        ("os = 2.0", ("os is a number", "a whole number")),
        ("makeup = 1", ("makeup is a whole number", "true or false")),
        ("mode = 1979-05-27", ("mode is a date", "a string")),
        ("mode = ['nr8']", ("mode is an array", "a string")),
        ("[mode]\nx = 1", ("mode is a table", "a string")),
        ("subtype = 'PCM_12'", (": subtype is PCM_12", "PCM_16")),
        ("weights = '2x8'", (": weights goes with mode stn",)),
        ("mode = 'stn'\n['a*']\nmode = 'nr8'\nweights = '2x8'", ('["a*"]: weights goes with',)),
        ("drvie = 0.5", ("drvie", 'did you mean "drive"?')),
        ("['a*']\ninput-gian = 1", ('["a*"]: ', "input-gian", '"input_gain"')),
        ("colour = 1", ("colour", "chowtape settings")),
        ("jobs = 2", ("jobs", "chowtape settings")),
        ("sat = 0.1\nsaturation = 0.2", ("sat and saturation are the same",)),
        ("drive = 0.1\ndrive = 0.2", ("tape.toml: line 2: ",)),
        ("\n\ndrive = high", ("tape.toml: line 3: ", "correct the TOML")),
        ("drive = ", ("tape.toml: ", "correct the TOML")),
        ("drive = 0.5\n[drums/*]\n", ("line 2: ", 'in quotes: ["drums/*"]')),
        ("['a*']\n['a*']\n", ("line 2: ", "twice", "correct the TOML")),
        ("[kick.wav]\ndrive = 0.5", ('["kick"]: "wav" is a table in a table', "in quotes")),
        ("x = " + "[" * 100_000, ("tape.toml: ", "correct the TOML")),
        (b"drive = 0.5\n# caf\xe9", ("tape.toml: line 2: is not UTF-8",)),
    ],
)
def test_a_file_that_is_wrong_is_one_clear_line(
    chowtape: Run, tmp_path: Path, text: str | bytes, words: tuple[str, ...]
) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    (tmp_path / "tape.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    before = listing(tmp_path)
    result = chowtape("render", "in.wav", "out.wav", "--settings", "tape.toml")
    check_one_line(result, 2, *words)
    assert listing(tmp_path) == before


def test_files_that_cannot_be_read_and_options_that_are_wrong(
    chowtape: Run, tmp_path: Path
) -> None:
    check_one_line(chowtape("settings", "--settings", "none.toml"), 2, "none.toml: can't be read")
    check_one_line(chowtape("settings", "--settings", "."), 2, "can't be read")
    write_settings(tmp_path, "drive = 0.7")
    wrong = chowtape("settings", "--settings", "tape.toml", "--drive", 7)
    check_one_line(wrong, 2, "chowtape: --drive is 7")  # not the file's fault
    odd = chowtape(
        "settings", "--mode", "stn", "--weights", b"caf\xe9".decode(errors="surrogateescape")
    )
    check_one_line(odd, 2, "is not UTF-8")


def test_files_of_windows_are_read() -> None:
    assert plan_of(b"\xef\xbb\xbfdrive = 0.7\r\n\r\n").base == RenderSettings(drive=0.7)
    assert plan_of("").base == RenderSettings()


def test_networks_fall_away_with_the_mode_that_they_were_for() -> None:
    text = 'mode = "stn"\nweights = "2x8"\n["a*"]\nmode = "nr8"\n["*b"]\nweights = "3x4"\n'
    plan = plan_of(text)
    assert plan.base == RenderSettings(mode="stn", weights="2x8")
    assert plan.for_file("x/b") == RenderSettings(mode="stn", weights="3x4")
    assert plan.for_file("a") == plan.for_file("ab") == RenderSettings()
    plan = plan_of(text, mode="rk4")
    assert plan.for_file("a") == plan.for_file("b") == RenderSettings(mode="rk4")
    assert again(plan) == plan
    plan = plan_of(text, weights="mine.npz")
    assert plan.for_file("a") == RenderSettings()
    assert plan.for_file("b") == RenderSettings(mode="stn", weights="mine.npz")
    assert again(plan) == plan


# any text that a file can hold: no lone halves of surrogate pairs
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def values_of(name: str) -> st.SearchStrategy[object]:
    if name in CHOICES:
        return st.sampled_from(CHOICES[name])
    if name == "rate":
        return st.integers(1000, 768_000)
    if name in RANGES:
        return st.floats(*RANGES[name][:2])
    others = {"subtype": st.sampled_from(SUBTYPES), "weights": TEXTS}
    return others.get(name, st.booleans())


TABLES = st.fixed_dictionaries({}, optional={name: values_of(name) for name in NAMES}).map(
    # networks go with their mode
    lambda table: {**table, "mode": "stn"} if "weights" in table else table
)
PATTERNS = TEXTS.filter(lambda text: text.replace("-", "_") not in [*NAMES, "sat", "os"])


@given(TABLES, st.dictionaries(PATTERNS, TABLES, max_size=3), TABLES, TEXTS)
def test_printed_and_read_again_any_settings_stay_the_same(
    top: dict[str, object],
    tables: dict[str, dict[str, object]],
    given: dict[str, object],
    title: str,
) -> None:
    base = RenderSettings(**top)  # type: ignore[arg-type]
    plan = SettingsPlan(base, tuple((pattern, table) for pattern, table in tables.items() if table))
    written = to_toml(plan, dict.fromkeys(NAMES, "What it does."), title)
    assert plan_of(written) == plan
    over = plan_of(written, **given)
    assert again(over) == over
    for path in [*tables, "drums/kick.wav"]:
        settings = over.for_file(path).as_dict()
        assert {name: settings[name] for name in given} == given


def test_the_example_of_the_docs_does_what_they_say() -> None:
    (example,) = blocks((ROOT / "docs" / "usage.md").read_text(encoding="utf-8"), "toml")
    plan = plan_of(example)
    assert plan.for_file("bass.wav") == RenderSettings(mode="stn", drive=0.4)
    assert plan.for_file("drums/close/hat.wav") == RenderSettings(mode="stn", drive=0.7)
    kick = RenderSettings(mode="stn", drive=0.9, input_gain=3.0)
    assert plan.for_file("drums/kick.wav") == plan.for_file("kick 2.wav") == kick


def test_networks_wait_for_the_files_that_need_them(chowtape: Run, tmp_path: Path) -> None:
    text = 'weights = "2x8"\n["drums/**"]\nmode = "stn"\n["snare*"]\nweights = "3x4"\n'
    plan = plan_of(text)
    assert plan.base == RenderSettings()
    assert plan.for_file("bass.wav") == RenderSettings()
    assert plan.for_file("snare.wav") == RenderSettings()
    assert plan.for_file("drums/kick.wav") == RenderSettings(mode="stn", weights="2x8")
    assert plan.for_file("drums/snare.wav") == RenderSettings(mode="stn", weights="3x4")
    assert again(plan) == plan
    every = plan_of(text + '["**"]\ndrive = 0.7\n')
    assert again(every) == every
    given = plan_of(text, weights="mine.npz")
    assert given.for_file("drums/snare.wav") == RenderSettings(mode="stn", weights="mine.npz")
    assert given.base == RenderSettings()
    assert again(given) == given
    assert plan_of(text, mode="rk4").for_file("drums/kick.wav") == RenderSettings(mode="rk4")
    write_settings(tmp_path, text)
    asked = ("settings", "--settings", "tape.toml", "--for")
    assert '\nweights = "2x8"\n' in chowtape(*asked, "drums/kick.wav").stdout
    assert "\n# weights = " in chowtape(*asked, "bass.wav").stdout
    write_wav(tmp_path / "stems" / "drums" / "kick.wav", music(0.05, 44_100))
    write_wav(tmp_path / "stems" / "bass.wav", music(0.05, 44_100))
    done = chowtape("render", "stems", "out", "--settings", "tape.toml", "--json")
    files = json.loads(done.stdout)["files"]
    assert {file["source"]: file["settings"]["weights"] for file in files} == {
        "stems/bass.wav": None, "stems/drums/kick.wav": "2x8",
    }  # fmt: skip
    check_one_line(chowtape(*asked, "a", "--mode", "rk2", "--weights", "2x8"), 2, "goes with")
