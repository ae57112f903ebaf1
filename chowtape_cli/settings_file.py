"""Settings in a TOML file: one table for every file, and one for each pattern that changes some."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path, PurePath

from chowtape_cli.errors import SettingsError
from chowtape_cli.files import shown
from chowtape_cli.patterns import matches
from chowtape_cli.settings import CHOICES, RANGES, SUBTYPES, RenderSettings

Values = Mapping[str, object]

_ALIASES = {"sat": "saturation", "os": "oversampling"}
_KINDS = {field.name: str(field.type).split()[0] for field in fields(RenderSettings)}
_KIND_NAMES = {
    "str": "a string",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "dict": "a table",
    "list": "an array",
}
_EVERY_FILE = "/**"
# settings that may be left open: what then holds, and an example
_OPEN: dict[str, tuple[str, object]] = {
    "rate": ("the source's", 48_000),
    "subtype": ("the source's", "PCM_24"),
    "weights": ("2x4", "2x8"),
}


@dataclass(frozen=True)
class SettingsPlan:
    """The settings of a run: those of all files, and what patterns change.

    Attributes:
        base: what a file gets that no pattern chooses.
        overrides: pattern and what it changes; a later one wins over an earlier one.
    """

    base: RenderSettings
    overrides: tuple[tuple[str, Values], ...] = ()

    def for_file(self, *paths: PurePath | str) -> RenderSettings:
        """Return the settings of a source, by its paths: patterns may be like any of them."""
        values: dict[str, object] = {}
        for pattern, changes in self.overrides:
            if _chooses(pattern, paths):
                values.update(changes)
        if values.get("mode", self.base.mode) != "stn":
            values.pop("weights", None)  # one pattern's networks under another one's solver
        return _over(self.base, values)

    def idle(self, files: Iterable[Sequence[str]]) -> list[str]:
        """Return the patterns that choose none of the files, each given by its paths."""
        files = list(files)
        return [
            pattern
            for pattern, _ in self.overrides
            if not any(_chooses(pattern, paths) for paths in files)
        ]


def _chooses(pattern: str, paths: Iterable[PurePath | str]) -> bool:
    texts = (path.as_posix() if isinstance(path, PurePath) else path for path in paths)
    return any(matches(pattern, text) for text in texts)


def load_plan(path: Path | None, given: Values) -> SettingsPlan:
    """Return the settings of a run, all of them checked.

    Args:
        path: the settings file; None for none.
        given: settings from the command line; they win over everything in the file.

    Raises:
        SettingsError: the file can't be read, or a setting in it or in ``given`` is wrong.
    """
    tables = list(_tables(path)) if path else []
    neural = any(values.get("mode") == "stn" for _, values in tables)
    below = RenderSettings()
    overrides: list[tuple[str, Values]] = []
    for pattern, values in tables:
        with _named(path, pattern):
            if pattern is None:
                now, later = _split(values, neural=neural)
                below = RenderSettings(**now)  # type: ignore[arg-type]
                overrides.append((_EVERY_FILE, later))
            else:
                said = "mode" in values or below.mode == "stn"
                _over(below, _split(values, neural=neural and not said)[0])
                overrides.append((pattern, values))
    waiting = neural and below.mode != "stn" and "mode" not in given
    now, later = _split(given, neural=waiting)
    base = _over(below, now)
    beaten = {*given, *(() if given.get("mode", "stn") == "stn" else ("weights",))}
    left = ((p, {k: v for k, v in values.items() if k not in beaten}) for p, values in overrides)
    every = (*left, (_EVERY_FILE, later))
    return SettingsPlan(base, tuple((pattern, values) for pattern, values in every if values))


def _split(values: Values, *, neural: bool) -> tuple[Values, Values]:
    """Put networks apart that are for the files of which another table says that they need them."""
    if not neural or values.get("mode") == "stn" or "weights" not in values:
        return values, {}
    now = {name: value for name, value in values.items() if name != "weights"}
    return now, {"weights": values["weights"]}


def to_toml(plan: SettingsPlan, texts: Mapping[str, str], title: str) -> str:
    """Return a settings file that says what each setting is, and gives the same plan again.

    Args:
        plan: the settings.
        texts: what each setting does, by its name.
        title: the first line, a comment.

    Raises:
        SettingsError: a path or pattern that has no place in a TOML file, not being UTF-8.
    """
    lines = [
        f"# {shown(title)}",
        "# Save this as tape.toml and use it: chowtape render in.wav out.wav --settings tape.toml",
        "# What the command line says wins over this file.",
    ]
    for name, value in plan.base.as_dict().items():
        lines += ["", *_comment(texts[name]), *_comment(_allowed(name))]
        lines.append(
            _line(name, value) if value is not None else f"# {_line(name, _OPEN[name][1])}"
        )
    lines += ["", *_comment(_ABOUT_PATTERNS)]
    if not plan.overrides:
        lines += ['# ["drums/**"]', "# drive = 0.7"]
    for pattern, values in plan.overrides:
        lines += ["", f"[{_quoted(pattern)}]"]
        lines += [_line(name, value) for name, value in values.items()]
    return "\n".join(lines) + "\n"


_ABOUT_PATTERNS = (
    "Tables below change settings for the files that a pattern chooses; a later table wins. "
    'A pattern without a slash is a file\'s name ("kick*"); with one, a path from the top folder '
    '("drums/*"); "**" is any number of folders.'
)


def _over(below: RenderSettings, values: Values) -> RenderSettings:
    """Change settings; networks from below fall away with the mode that they were for."""
    merged = {**below.as_dict(), **values}
    if merged["mode"] != "stn" and "weights" not in values:
        merged["weights"] = None
    return RenderSettings(**merged)  # type: ignore[arg-type]


def _tables(path: Path) -> Iterator[tuple[str | None, Values]]:
    """Read a file; yield the settings of all files first, then those of each pattern."""
    whole = _parsed(path)
    patterns = {
        name: value
        for name, value in whole.items()
        if isinstance(value, dict) and _setting(name) not in _KINDS
    }
    top = {name: value for name, value in whole.items() if name not in patterns}
    for pattern, table in ((None, top), *patterns.items()):
        with _named(path, pattern):
            values = _typed(table)
        yield pattern, values


def _parsed(path: Path) -> dict[str, object]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    with _named(path):
        try:
            raw = path.read_bytes()
            text = raw.decode("utf-8-sig") + "\n"  # or errors in the last line have no number
            return tomllib.loads(text)
        except OSError as error:
            raise SettingsError(f"can't be read ({error.strerror}); check the path") from error
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise SettingsError(f"line {line}: is not UTF-8; save the file as UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise SettingsError(_syntax_error(str(error), text)) from error


def _syntax_error(message: str, text: str) -> str:
    """Put the parser's words behind the line that they are about."""
    place = re.search(r" \(at line (\d+), column \d+\)$", message)
    if place is None:
        return f"{message}; correct the TOML"
    number = int(place[1])
    line = text.split("\n")[number - 1].strip()
    bare = line.startswith("[") and not line.startswith(('["', "['"))
    hint = 'put a pattern in quotes: ["drums/*"]' if bare else "correct the TOML"
    return f"line {number}: {message[: place.start()]}; {hint}"


@contextlib.contextmanager
def _named(path: Path | None, pattern: str | None = None) -> Iterator[None]:
    """Say in every error which file and which of its tables it is about."""
    try:
        yield
    except SettingsError as error:
        table = "" if pattern is None else f"[{json.dumps(pattern, ensure_ascii=False)}]: "
        what = str(error)
        if what.startswith("--"):  # said of an option, but here it is a key
            what = re.sub(r"--([a-z-]+)", lambda found: found[1].replace("-", "_"), what)
        raise SettingsError(f"{shown(path or '')}: {table}{what}") from error


def _setting(key: str) -> str:
    return _ALIASES.get(key, key.replace("-", "_"))


def _typed(table: Values) -> dict[str, object]:
    """Return a table's settings by their names, each of its type."""
    keys: dict[str, str] = {}
    values: dict[str, object] = {}
    for key, value in table.items():
        name = _setting(key)
        if name not in _KINDS:
            raise SettingsError(_unknown(key, value))
        if name in values:
            raise SettingsError(f"{keys[name]} and {key} are the same setting; keep one of them")
        keys[name], values[name] = key, _of_kind(_KINDS[name], key, value)
    for name, change in (("mode", str.lower), ("phase", str.lower), ("subtype", str.upper)):
        if name in values:  # as on the command line
            values[name] = change(str(values[name]))
    return values


def _unknown(key: str, value: object) -> str:
    if isinstance(value, dict):  # also [kick.wav] without its quotes
        return f'"{key}" is a table in a table; put a whole pattern in quotes: ["drums/kick.wav"]'
    import difflib

    close = difflib.get_close_matches(_setting(key), [*_KINDS, *_ALIASES], 1, 0.75)
    hint = f'did you mean "{close[0]}"?' if close else "'chowtape settings' shows those there are"
    return f'there is no setting "{key}"; {hint}'


def _of_kind(kind: str, key: str, value: object) -> object:
    found = type(value).__name__
    if kind == "float" and found == "int":
        found = kind
    if found != kind:
        is_ = _KIND_NAMES.get(found, "a date or time")
        raise SettingsError(f"{key} is {is_}, but must be {_KIND_NAMES[kind]}")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise SettingsError(f"{key} has more than the 64 bits of a TOML number; give a smaller one")
    return float(value) if kind == "float" and isinstance(value, int) else value


def _allowed(name: str) -> str:
    """Say what values a setting takes, and what it is by itself."""
    default = getattr(RenderSettings(), name)
    usual = _literal(default) if default is not None else _OPEN[name][0]
    if name in RANGES:
        low, high, unit = RANGES[name]
        return f"{low:.10g} to {high:.10g}{unit}; default: {usual}"
    if name == "weights":
        return f"default: {usual}"
    choices = SUBTYPES if name == "subtype" else CHOICES.get(name, (True, False))
    return f"{', '.join(map(_literal, choices))}; default: {usual}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 98, initial_indent="# ", subsequent_indent="# ")


def _line(name: str, value: object) -> str:
    return f"{name} = {_literal(float(value) if _KINDS[name] == 'float' else value)}"  # type: ignore[arg-type]


def _literal(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value).lower()


def _quoted(text: str) -> str:
    """Return a TOML string; its escapes are JSON's, but DEL must be escaped as well."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"{text} is not UTF-8, as a settings file must be; rename it"
        ) from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
