"""What an earlier comparison left in a folder, by the record that its own page keeps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_RECORD = re.compile(r"var listening = \{ comparison: (.*) \};\s*", re.DOTALL)
_WAV = re.compile(r"(unmatched/)?[^/\\]+\.wav")  # nowhere but in the folder, whatever a record says
_AUDIO = re.compile(r"(\d{1,9})-\d+\.js")


def earlier_files(folder: Path) -> set[Path]:
    """Return the audio that an earlier comparison wrote into a folder, relative to it.

    Empty where no page is there, or none that can be read.
    """
    variants = _recorded(folder / "page" / "comparison.js")
    names = [variant.get(key) for variant in variants for key in ("path", "unmatched_path")]
    files = {Path(name) for name in names if isinstance(name, str) and _WAV.fullmatch(name)}
    for script in (folder / "page" / "audio").glob("*.js"):
        piece = _AUDIO.fullmatch(script.name)
        if piece and int(piece[1]) < len(variants):
            files.add(script.relative_to(folder))
    return files


def _recorded(script: Path) -> list[dict[str, Any]]:
    try:
        record = _RECORD.fullmatch(script.read_text(encoding="utf-8"))
        variants = json.loads(record[1])["variants"] if record else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
    whole = isinstance(variants, list) and all(isinstance(one, dict) for one in variants)
    return variants if whole else []
