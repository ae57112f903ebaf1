"""chowtape: render audio through a physical model of tape hysteresis.

What the command uses, for people who script in Python::

    from chowtape_cli import RenderSettings, render_array, render_file

    report = render_file("in.wav", "out.wav", RenderSettings(mode="nr8", drive=0.7))
    tape = render_array(samples, rate=44_100, settings=RenderSettings(oversampling=4)).samples
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chowtape_cli.errors import AudioFileError, ChowtapeError, SampleError, SettingsError
    from chowtape_cli.render import ArrayRender, FileReport, render_array, render_file
    from chowtape_cli.settings import RenderSettings

__version__ = "0.1.0"

# where each public name lives; imported at first use, so that `chowtape --help` imports none of it
_HOMES = {
    "ArrayRender": "render",
    "AudioFileError": "errors",
    "ChowtapeError": "errors",
    "FileReport": "render",
    "RenderSettings": "settings",
    "SampleError": "errors",
    "SettingsError": "errors",
    "render_array": "render",
    "render_file": "render",
}
__all__ = [
    "ArrayRender",
    "AudioFileError",
    "ChowtapeError",
    "FileReport",
    "RenderSettings",
    "SampleError",
    "SettingsError",
    "__version__",
    "render_array",
    "render_file",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
