"""How it starts: compiled kernels are kept, shared and mended, and it says when one has to wait."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import COMPILING, music, write_wav
from processes import PATIENCE, Process, Start

import chowtape_cli

# few kernels to compile
PLAIN = ("--mode", "rk2", "--oversampling", "1", "--dc-block", "0")
AT_ONCE = 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_wav(tmp_path / "in.wav", music(0.2, 44_100), subtype="PCM_24")
    return tmp_path


def begin(start: Start, cache: Path, output: str, *options: str, **environment: str) -> Process:
    """Start a render whose kernels are kept in a folder."""
    where = {"CHOWTAPE_CACHE_DIR": str(cache), **environment}
    return start("render", "in.wav", output, *PLAIN, *options, env=where)


def finish(process: Process) -> tuple[str, str]:
    """Wait for a render that has to succeed; return what it printed on stdout and stderr."""
    out, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complaints
    return out, complaints


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_many_first_renders_at_once_fill_one_cache(start: Start, folder: Path) -> None:
    cache = folder / "cache"
    cache.mkdir()
    names = [f"{number}.wav" for number in range(AT_ONCE)]
    for process in [begin(start, cache, name, "-q") for name in names]:
        assert finish(process) == ("", "")
    assert len({(folder / name).read_bytes() for name in names}) == 1
    assert kept(cache)
    assert not any(name.startswith("tmp") for name in kept(cache))  # no part of a file
    assert finish(begin(start, cache, "after.wav"))[1] == ""
    assert (folder / "after.wav").read_bytes() == (folder / "0.wav").read_bytes()


def test_a_first_run_says_once_that_it_compiles(start: Start, folder: Path) -> None:
    cache = folder / "new" / "cache"
    out, said = finish(begin(start, cache, "first.wav", "--json"))
    assert said == COMPILING
    assert out.startswith("{")
    assert "compiling" not in out
    assert len(kept(cache)) > 1
    assert finish(begin(start, cache, "second.wav"))[1] == ""


def test_damaged_kernels_are_compiled_again(start: Start, folder: Path) -> None:
    cache = folder / "cache"
    finish(begin(start, cache, "whole.wav", "-q"))
    whole = {path: path.read_bytes() for path in cache.iterdir()}
    damages = (
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: bytes(len(content)),
    )
    for place, (path, content) in enumerate(whole.items()):
        path.write_bytes(damages[place % len(damages)](content))
    assert finish(begin(start, cache, "mended.wav"))[1] == COMPILING
    assert (folder / "mended.wav").read_bytes() == (folder / "whole.wav").read_bytes()
    assert kept(cache) == sorted(path.name for path in whole)
    assert finish(begin(start, cache, "again.wav"))[1] == ""


def test_nothing_is_written_to_the_package_or_to_a_cache_that_can_not_be(
    start: Start, folder: Path
) -> None:
    package = folder / "site" / "chowtape_cli"
    shutil.copytree(
        Path(chowtape_cli.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    everything = sorted(package.rglob("*"))
    for path in (*everything, package):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (folder / "file").write_bytes(b"in the way")
    where = {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    said = finish(begin(start, folder / "file" / "cache", "out.wav", **where))[1]
    assert said == COMPILING
    assert sorted(package.rglob("*")) == everything
    assert (folder / "file").read_bytes() == b"in the way"
    assert (folder / "out.wav").exists()
    for path in (package, *everything):  # so that the test's folder can be removed
        path.chmod(0o755)


def test_a_quiet_render_imports_no_compiler_and_no_terminal(folder: Path) -> None:
    write_wav(folder / "in.wav", music(3.0, 44_100), subtype="PCM_24")
    for mode in ("nr8", "stn"):
        code = (
            "import sys\n"
            "from chowtape_cli.__main__ import run\n"
            f"assert run(['render', 'in.wav', '{mode}.wav', '--mode', '{mode}', '-q']) == 0\n"
            "print(*{'numba', 'scipy', 'rich', 'tqdm', 'matplotlib'} & set(sys.modules))"
        )
        for _ in range(2):  # the first may have had to compile
            (folder / f"{mode}.wav").unlink(missing_ok=True)
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
            )
        assert (done.stdout, done.stderr) == ("\n", "")
