"""What the README and the docs say is run here, so that it stays true."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf
from conftest import Run, music, write_wav

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def test_the_first_line_sets_up_and_renders(tmp_path: Path) -> None:
    """The README's one line, on a copy of the checkout and in an environment of its own."""
    line = blocks(README, "sh")[0].strip()
    assert len(line.splitlines()) == 1
    assert line.endswith("chowtape demo")
    copy = tmp_path / "chowtape"
    subprocess.run(["git", "clone", "-q", ROOT, copy], check=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    result = subprocess.run(
        ["bash", "-c", line],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert "Listen" in result.stdout
    assert sf.info(copy / "chowtape-demo" / "tape" / "drums.wav").frames == 441_000
    installed = [copy / ".venv" / "bin" / "chowtape", "bank", "show", "2x8"]
    shown = subprocess.run(installed, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "200 of 2x8" in shown.stdout  # the banks came along


def test_the_second_line_is_what_ci_runs() -> None:
    line = blocks(README, "sh")[1].strip()
    assert len(line.splitlines()) == 1
    assert line.endswith("pytest -q")
    assert "Set up and pass the tests" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


PAGES = (
    "README.md",
    "docs/usage.md",
    "docs/batch.md",
    "docs/cluster.md",
    "docs/settings.md",
    "docs/compare.md",
    "docs/plots.md",
    "docs/index.md",
)


def shorten(folder: Path) -> None:
    """Leave a second and a half of every recording: it is the commands that are tried here."""
    for path in folder.rglob("chowtape-demo/**/*.wav"):
        info = sf.info(path)
        x, rate = sf.read(path, frames=int(1.5 * info.samplerate), always_2d=True)
        sf.write(path, x, rate, subtype=info.subtype)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_runs(chowtape: Run, tmp_path: Path, page: str) -> None:
    write_wav(tmp_path / "in.wav", 0.5 * music(0.5, 44_100), subtype="PCM_16")
    write_wav(tmp_path / "mix.wav", 0.5 * music(0.5, 44_100))
    for name in ("drums/kick.wav", "bass é.wav", "old/bass.wav"):
        write_wav(tmp_path / "stems" / name, 0.5 * music(0.1, 44_100), subtype="PCM_16")
    (tmp_path / ".config" / "fish" / "completions").mkdir(parents=True)
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("chowtape ")]
    assert commands
    written: set[str] = set()
    for command in commands:
        command, _, target = command.partition(" > ")
        words = shlex.split(command, comments=True)[1:]
        outputs = {word for word in words if word in written}
        result = chowtape(*words, *(["--overwrite"] if outputs else []))
        assert result.returncode == 0, (command, result.stderr)
        written.update(words[2:3])
        if words[0] == "demo":
            shorten(tmp_path)
        if target:
            (tmp_path / target).write_text(result.stdout, encoding="utf-8")


def test_the_library_example_runs(tmp_path: Path) -> None:
    write_wav(tmp_path / "in.wav", music(0.2, 44_100))
    (example,) = blocks(README, "python")
    result = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "times real time" in result.stdout


def test_links_and_pictures_of_the_pages_exist() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_every_picture_is_made_by_the_one_command_for_it() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))["PICTURES"]
    used = set()
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            picture = (page.parent / target).resolve()
            assert picture.parent == ROOT / "docs" / "pictures", (page.name, target)
            used.add(picture.name)
    assert used == made.keys() == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}


def test_nothing_in_the_project_speaks_of_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        path = ROOT / name
        if path.suffix in (".npz", ".wav") or not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(?:home|root|Users)/[a-z]", text), name
