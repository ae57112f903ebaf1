"""Reading `--variant` and `--sweep`: text becomes named, validated settings."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import click

from chowtape_cli.cli.options import settings_from
from chowtape_cli.errors import SettingsError
from chowtape_cli.files import shown
from chowtape_cli.settings import RenderSettings

DRY = "dry"
MOST = 100
_ALIASES = {"sat": "saturation", "os": "oversampling"}
_FLAGS = ("makeup", "dither")
_TRUTH = {"true": True, "on": True, "yes": True, "1": True,
          "false": False, "off": False, "no": False, "0": False}  # fmt: skip
_NAME_BYTES = 200
_TAKEN_BY_WINDOWS = re.compile(r"(CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(\..*)?", re.IGNORECASE)
_NOT_IN_NAMES = '/\\:*?"<>|'


def read_variants(
    variants: Iterable[str], sweeps: Iterable[str], common: Mapping[str, Any]
) -> dict[str, RenderSettings]:
    """Return settings by name: those of each ``--variant``, then those that the sweeps make.

    Args:
        variants: ``NAME:key=value,key=value``.
        sweeps: ``key=from:to:count`` or ``key=value,value``; several multiply.
        common: the options of the command line, which hold for every variant.

    Raises:
        SettingsError: a value that is out of its range, with the name of its variant.
        click.UsageError: anything else that is wrong.
    """
    base = settings_from({**common, "weights": None})
    named: dict[str, RenderSettings] = {}
    seen = {DRY}
    for where, name, values in [*map(_variant, variants), *_swept(list(sweeps))]:
        _check_name(where, name)
        alike = unicodedata.normalize("NFC", name).casefold()
        if alike in seen:
            taken = "the dry source's" if alike == DRY else "taken (capitals make no difference)"
            raise click.UsageError(f"{where}: the name is {taken}; give another one")
        seen.add(alike)
        named[name] = _settings(where, values, base, common["weights"])
    if not named:
        raise click.UsageError("nothing to compare: give --variant or --sweep at least once")
    if len(named) > MOST:
        raise click.UsageError(f"{len(named)} variants are too many; give up to {MOST}")
    return named


def _variant(text: str) -> tuple[str, str, dict[str, str]]:
    name, _, rest = text.partition(":")
    where = f"--variant {shown(name)}"
    values: dict[str, str] = {}
    for piece in filter(None, re.split(r"(?<!\\),", rest)):
        key, equals, value = piece.replace("\\,", ",").partition("=")
        key = _key(where, key, flag=not equals)
        if not equals:
            key, value = key.removeprefix("no_"), str(not key.startswith("no_"))
        if key in values:
            raise click.UsageError(f"{where}: {_option(key)} is given twice; leave one out")
        values[key] = value.strip()
    return where, name, values


def _swept(sweeps: list[str]) -> Iterable[tuple[str, str, dict[str, str]]]:
    """Yield a variant for each combination of the values."""
    if not sweeps:
        return
    axes = []
    for text in sweeps:
        where = f"--sweep {shown(text)}"
        key, equals, values = text.partition("=")
        if not equals:
            raise click.UsageError(f"{where}: give key=from:to:count or key=value,value")
        key = _key(where, key)
        swept = _sweep_values(where, values)
        if "" in swept:
            raise click.UsageError(
                f"{where}: a value is missing; give key=from:to:count or key=value,value"
            )
        _check_distinct(where, key, swept, ranged=":" in values)
        axes.append([(key, value) for value in swept])
    if len({axis[0][0] for axis in axes}) < len(axes):
        raise click.UsageError("--sweep: the same key is swept twice; leave one out")
    if math.prod(map(len, axes)) > MOST:
        raise click.UsageError(
            f"--sweep: {math.prod(map(len, axes))} variants are too many; give up to {MOST}"
        )
    for point in product(*axes):
        name = "_".join(f"{key.replace('_', '-')}-{value}" for key, value in point)
        yield f"--sweep {shown(name)}", name, dict(point)


def _sweep_values(where: str, text: str) -> list[str]:
    ends = text.split(":")
    if len(ends) == 1:
        return [value.strip() for value in text.split(",")]
    try:
        first, last, count = float(ends[0]), float(ends[1]), int("".join(ends[2:]))
    except ValueError:
        count = 0
    if not (len(ends) == 3 and 1 <= count <= MOST and math.isfinite(first + last)):
        raise click.UsageError(
            f"{where}: give key=from:to:count, with a count of 1 to {MOST}, or key=value,value"
        )
    steps = max(1, count - 1)
    return [f"{first + (last - first) * step / steps:.6g}" for step in range(count)]


def _check_distinct(where: str, key: str, texts: list[str], *, ranged: bool) -> None:
    """Raise where a sweep would render the same settings twice."""
    seen: set[Any] = set()
    for text in texts:
        value = _value(where, key, text)
        if value in seen:
            advice = (
                "a range is rounded to 6 digits: give ends further apart, or fewer values"
                if ranged
                else "leave one out"
            )
            raise click.UsageError(f"{where}: {shown(text)} is there twice; {advice}")
        seen.add(value)


def _key(where: str, text: str, *, flag: bool = False) -> str:
    """Return the name of a setting; raise where there is none, or none without a value."""
    key = text.strip().removeprefix("--").replace("-", "_").lower()
    key = _ALIASES.get(key, key)
    flags = [*_FLAGS, *(f"no_{name}" for name in _FLAGS)]
    if flag and key in flags:
        return key
    known = RenderSettings.__dataclass_fields__
    if key not in known:
        listed = ", ".join(name.replace("_", "-") for name in known)
        raise click.UsageError(
            f"{where}: there is no setting {shown(text)!r}; give one of {listed}"
        )
    if flag:
        raise click.UsageError(f"{where}: {_option(key)} needs a value: {text}=...")
    return key


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _check_name(where: str, name: str) -> None:
    wrong = None
    if not name.strip():
        wrong = "has no name; give NAME:key=value"
    elif name != name.strip() or name[0] in ".-" or name[-1] == ".":
        wrong = "a name can't begin with a dot, a dash or a space, nor end with a dot or a space"
    elif any(c in _NOT_IN_NAMES or unicodedata.category(c) == "Cc" for c in name):
        wrong = f"a name is that of a file: it can't have any of {_NOT_IN_NAMES} in it"
    elif _TAKEN_BY_WINDOWS.fullmatch(name):
        wrong = "Windows can't have a file of that name; give another one"
    elif len(name.encode("utf-8", "surrogateescape")) > _NAME_BYTES:
        wrong = "the name is too long for a file; give a shorter one"
    if wrong:
        raise click.UsageError(f"{where}: {wrong}")


def _settings(
    where: str, values: Mapping[str, str], base: RenderSettings, weights: str | None
) -> RenderSettings:
    """Return the settings of a variant; weights that were given for all go with mode stn alone."""
    merged = {**base.as_dict(), **{key: _value(where, key, text) for key, text in values.items()}}
    if merged["mode"] == "stn" and "weights" not in values:
        merged["weights"] = weights
    try:
        return RenderSettings(**merged)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error


def _value(where: str, key: str, text: str) -> Any:
    """Turn text into a value of a setting's type; the settings refuse what stays text."""
    if key in _FLAGS:
        if text.lower() not in _TRUTH:
            raise click.UsageError(f"{where}: {_option(key)} is {shown(text)}; give true or false")
        return _TRUTH[text.lower()]
    if key in ("mode", "phase"):
        return text.lower()
    if key == "subtype":
        return text.upper()
    if key == "weights":
        return text
    try:
        return int(text) if key in ("oversampling", "rate") else float(text)
    except ValueError:
        return text
