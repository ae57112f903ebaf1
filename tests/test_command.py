"""The command as people meet it: help, reports, dry runs, JSON, completion, demo, bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import Run, music, write_wav
from processes import Start, seen

import chowtape_cli

FILE_KEYS = {
    "source", "output", "status", "error", "rate", "channels", "frames", "seconds", "wall_seconds",
    "realtime", "peak_in_dbfs", "peak_out_dbfs", "clipped_samples", "guard_clips", "resets",
    "seam_repairs", "settings",
}  # fmt: skip


def test_help_names_every_option_of_the_contract(chowtape: Run) -> None:
    text = chowtape("render", "--help").stdout
    for option in (
        "--mode", "--drive", "--saturation", "--sat", "--bias", "--oversampling", "--os", "--phase",
        "--input-gain", "--output-gain", "--mix", "--makeup", "--no-makeup", "--dc-block", "--rate",
        "--subtype", "--dither", "--no-dither", "--jobs", "-j", "--overwrite", "--skip-existing",
        "--settings", "--dry-run", "--json", "--quiet", "-q", "--verbose", "-v",
    ):  # fmt: skip
        assert option in text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['chowtape', 'render', '--help']\n"
        "from chowtape_cli.__main__ import run\n"
        "run(sys.argv[1:])\n"
        "heavy = {'numpy', 'scipy', 'numba', 'soundfile', 'rich', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_version_is_the_packages(chowtape: Run) -> None:
    assert chowtape("--version").stdout.strip().endswith(chowtape_cli.__version__)


def test_no_arguments_show_the_help(chowtape: Run) -> None:
    result = chowtape()
    assert result.returncode == 2
    assert "Usage: chowtape" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(chowtape: Run, shell: str) -> None:
    script = chowtape(env={"_CHOWTAPE_COMPLETE": f"{shell}_source"})
    assert script.returncode == 0
    assert "_CHOWTAPE_COMPLETE" in script.stdout
    asked = {
        "COMP_WORDS": "chowtape render --mo",
        "COMP_CWORD": "2",
        "_CHOWTAPE_COMPLETE": "bash_complete",
    }
    assert "--mode" in chowtape(env=asked).stdout


def test_json_keeps_the_contract(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.5, 44_100), subtype="PCM_24")
    result = chowtape("render", "in.wav", "out.wav", "--drive", 0.7, "--json")
    assert result.returncode == 0
    assert result.stderr == ""
    whole = json.loads(result.stdout)
    assert whole.keys() >= {"version", "settings", "files", "wall_seconds", "realtime"}
    assert whole["settings"]["drive"] == 0.7
    file = whole["files"][0]
    assert file.keys() >= FILE_KEYS
    assert (file["source"], file["output"], file["error"]) == ("in.wav", "out.wav", None)
    assert (file["rate"], file["channels"], file["frames"]) == (44_100, 2, 22_050)
    assert file["seconds"] == pytest.approx(0.5)
    assert file["realtime"] == pytest.approx(file["seconds"] / file["wall_seconds"])
    samples = sf.read(tmp_path / "out.wav")[0]
    assert file["peak_out_dbfs"] == pytest.approx(20 * np.log10(np.abs(samples).max()), abs=1e-3)
    assert file["peak_in_dbfs"] == pytest.approx(20 * np.log10(0.8), abs=1e-3)


def test_a_dry_run_writes_nothing_and_says_what_it_would(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.5, 44_100), subtype="FLOAT")
    result = chowtape("render", "in.wav", "new/out.flac", "--rate", 48_000, "--dry-run")
    assert result.returncode == 0
    for words in ("new/out.flac", "would write", "48000 Hz", "2 channels", "FLAC PCM_24"):
        assert words in result.stdout
    asked = chowtape("render", "in.wav", "new/out.flac", "--dry-run", "--json")
    file = json.loads(asked.stdout)["files"][0]
    assert (file["status"], file["format"], file["frames"]) == ("planned", "FLAC", 22_050)
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]
    write_wav(tmp_path / "out.wav", music(0.1, 44_100))
    assert chowtape("render", "in.wav", "out.wav", "--dry-run").returncode == 1


def test_the_report_is_on_stdout_and_quiet_is_quiet(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.5, 44_100))
    loud = chowtape("render", "in.wav", "out.wav", "-v")
    for words in (
        "in.wav -> out.wav",
        "0.50 s",
        "times real time",
        "dBFS",
        "clipped",
        "resets",
        "guard",
    ):
        assert words in loud.stdout
    assert loud.stderr == ""
    quiet = chowtape("render", "in.wav", "out.wav", "--overwrite", "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_a_terminal_gets_a_progress_bar(start: Start, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(10.0, 44_100))
    text = seen(start, "render", "in.wav", "out.wav", "--os", 8, columns=100)
    for words in ("in.wav", "%", "real time"):
        assert words in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("ab", "in.wav", "ab", "--variant", "A:drive=0.9", "--jobs", "1"),
            ("measuring a sine", "listening to dry", "rendering A", "listening to A",
             "matching A", "subtracting", "writing the page", "100%"),
        ),
        (("null", "in.wav", "in.wav"), ("in.wav - in.wav", "100%")),
        (("plot", "spectrum", "in.wav"), ("loading matplotlib", "in.wav", "drawing")),
        (("plot", "loop"), ("loading matplotlib", "magnetising", "drawing")),
        (("demo", "there"), ("rendering keys",)),  # the others may be too quick to be seen
        (("bench", "--seconds", "0.1", "--mode", "nr8", "--os", "2"),
         ("making music", "bare solver", "rendering", "timing the stages")),
    ],
    ids=["ab", "null", "plot spectrum", "plot loop", "demo", "bench"],
)  # fmt: skip
def test_a_terminal_sees_what_is_being_done(
    start: Start, tmp_path: Path, arguments: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    write_wav(tmp_path / "in.wav", music(1.0, 44_100))
    shown = seen(start, *arguments, columns=100)
    for words in expected:
        assert words in shown


def test_names_that_no_encoding_knows(chowtape: Run, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.wav")
    write_wav(tmp_path / "in.wav", music(0.1, 44_100)).rename(tmp_path / name)
    result = chowtape("render", name, "naïve ♪.wav", env={"LC_ALL": "C", "PYTHONUTF8": "0"})
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "naïve ♪.wav").exists()


def test_options_for_folders_need_one(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    for option in (("--include", "*.wav"), ("--name", "{stem}{ext}"), ("--update",)):
        result = chowtape("render", "in.wav", "out.wav", *option)
        assert result.returncode == 2
        assert option[0] in result.stderr
        assert "folder" in result.stderr


def test_skip_existing_leaves_a_file_as_it_is(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.05, 44_100))
    (tmp_path / "out.wav").write_text("mine")
    result = chowtape("render", "in.wav", "out.wav", "--skip-existing", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["files"][0]["status"] == "skipped"
    assert (tmp_path / "out.wav").read_text() == "mine"


def test_the_demo_needs_no_file(chowtape: Run, tmp_path: Path) -> None:
    result = chowtape("demo", "there")
    assert result.returncode == 0, result.stderr
    assert "Listen" in result.stdout
    for stem in ("drums", "bass", "keys"):
        dry, tape = (
            sf.read(tmp_path / "there" / kind / f"{stem}.wav")[0] for kind in ("dry", "tape")
        )
        assert dry.shape == tape.shape
        assert np.abs(dry).max() > 0.5
        assert 0.01 < np.sqrt(np.mean((dry - tape) ** 2)) < 0.5
        assert np.abs(tape).max() < 1.0
    again = chowtape("demo", "there")
    assert again.returncode == 1
    assert "--overwrite" in again.stderr
    assert chowtape("demo", "there", "--overwrite").returncode == 0


def test_no_tape_is_computed_where_none_is_heard(chowtape: Run, tmp_path: Path) -> None:
    x = 20 * music(3.0, 44_100)
    x[7, 1] = -0.0
    for name, samples in (("long", x), ("short", x[:9000]), ("shorter", x[:8000])):
        write_wav(tmp_path / "in" / f"{name}.wav", samples, subtype="FLOAT")
    wild = ("--mode", "rk2", "--drive", 1, "--sat", 1, "--bias", 1, "--os", 1, "--json")
    heard = json.loads(chowtape("render", "in", "wet", *wild).stdout)["files"]
    assert all(file["resets"] for file in heard)
    assert heard[0]["guard_clips"]
    result = chowtape("render", "in", "dry", "--mix", 0, *wild)
    assert (result.returncode, result.stderr) == (0, "")
    for file in json.loads(result.stdout)["files"]:
        assert (file["guard_clips"], file["resets"], file["seam_repairs"]) == (0, 0, 0)
        assert file["peak_in_dbfs"] == file["peak_out_dbfs"] > 12
        ours, source = (sf.read(tmp_path / file[key])[0] for key in ("output", "source"))
        assert ours.tobytes() == source.tobytes()
    x[-1] = np.nan
    write_wav(tmp_path / "nan.wav", x)
    refused = chowtape("render", "nan.wav", "out.wav", "--mix", 0)
    assert refused.returncode == 1
    assert f"frame {len(x) - 1} is NaN" in refused.stderr


def test_the_library_offers_what_the_command_uses(tmp_path: Path) -> None:
    x = music(0.2, 44_100)
    settings = chowtape_cli.RenderSettings(drive=0.8)
    source = write_wav(tmp_path / "in.wav", x)
    report = chowtape_cli.render_file(source, tmp_path / "out.wav", settings)
    array = chowtape_cli.render_array(x, 44_100, settings)
    np.testing.assert_array_equal(array.samples, sf.read(tmp_path / "out.wav")[0])
    assert report.frames == len(x)
    assert set(chowtape_cli.__all__) <= set(dir(chowtape_cli))
    with pytest.raises(AttributeError, match="no attribute"):
        chowtape_cli.nonsense  # noqa: B018


def test_kernels_run_as_plain_python_and_give_the_same(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.002, 44_100, 2))
    for mode in ("rk2", "rk4", "nr8"):
        outputs = []
        for disable in ("0", "1"):
            name = f"{mode}-{disable}.wav"
            done = chowtape(
                "render", "in.wav", name, "--mode", mode, env={"NUMBA_DISABLE_JIT": disable}
            )
            assert done.returncode == 0, done.stderr
            outputs.append(sf.read(tmp_path / name)[0])
        np.testing.assert_allclose(outputs[0], outputs[1], rtol=0, atol=1e-12)


def test_a_file_goes_into_a_folder_that_is_named_as_one(chowtape: Run, tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.1, 44_100))
    (tmp_path / "there").mkdir()
    for folder in ("new/deep/", "there/"):
        planned = chowtape("render", "in.wav", folder, "--dry-run")
        assert f"{folder}in.wav" in planned.stdout
        done = chowtape("render", "in.wav", folder)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / folder / "in.wav").is_file()
    again = chowtape("render", "in.wav", "there/")
    assert "there/in.wav: exists already" in again.stderr
    assert chowtape("render", "in.wav", "./").returncode == 1  # onto itself


def test_a_dry_run_of_a_folder_shows_where_what_goes_and_how(chowtape: Run, tmp_path: Path) -> None:
    for name in ("kick", "bass"):
        write_wav(tmp_path / "in" / f"{name}.wav", music(0.1, 44_100))
    (tmp_path / "tape.toml").write_text('["kick*"]\ndrive = 0.7\n')
    run = ("render", "in", "out", "--settings", "tape.toml")
    bass, kick = chowtape(*run, "--format", "flac", "--dry-run").stdout.splitlines()[1:3]
    for words in ("in/kick.wav", "out/kick.flac", "44100 Hz, 2 ch, FLAC PCM_24", "drive 0.7"):
        assert words in kick
    assert "drive" not in bass
    plain = chowtape(*run).stdout
    verbose = chowtape(*run, "--overwrite", "--verbose").stdout
    assert "drive 0.7" in verbose
    for heading in ("guard", "resets", "settings"):
        assert heading in verbose.splitlines()[0]
        assert heading not in plain


def test_the_demo_reports_as_a_render_does(chowtape: Run) -> None:
    whole = json.loads(chowtape("demo", "one", "--json").stdout)
    assert whole["settings"]["drive"] == 0.7
    assert [file["status"] for file in whole["files"]] == ["rendered"] * 3
    quiet = chowtape("demo", "two", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
