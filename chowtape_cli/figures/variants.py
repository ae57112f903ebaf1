"""Several settings beside each other, each under the name of what is special about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from chowtape_cli.errors import SettingsError
from chowtape_cli.settings import RenderSettings

MOST = 8  # a plot with more curves can't be read


def variants(
    common: Mapping[str, Any], varied: Mapping[str, Sequence[Any]]
) -> dict[str, RenderSettings]:
    """Return the settings of every combination by a label that names what differs.

    Args:
        common: settings that all share.
        varied: settings with one value or several. ``mode`` must be among them.

    Raises:
        SettingsError: a value is out of its range, or there are too many combinations.
    """
    usual = "oversampling" if "oversampling" in varied else "mode"
    shown = [name for name, values in varied.items() if len(set(values)) > 1] or [usual]
    weights = common.get("weights")
    if weights is not None and "stn" not in varied["mode"]:
        raise SettingsError("--weights goes with --mode stn; add it, or leave --weights out")
    made = {}
    for values in product(*(dict.fromkeys(several) for several in varied.values())):
        chosen = dict(zip(varied, values, strict=True))
        label = ", ".join(_named(name, chosen[name]) for name in shown)
        held = {**common, **chosen, "weights": weights if chosen["mode"] == "stn" else None}
        made[label] = RenderSettings(**held)
    if len(made) > MOST:
        raise SettingsError(f"these are {len(made)} combinations; give at most {MOST}")
    return made


def shared(settings: Sequence[RenderSettings]) -> str:
    """Return what several settings have in common, in words: the solver and the knobs."""
    names = [
        _named(name, getattr(settings[0], name))
        for name in ("mode", "drive", "saturation", "bias")
        if len({getattr(one, name) for one in settings}) == 1
    ]
    return ", ".join(names)


def _named(name: str, value: Any) -> str:
    if name == "mode":
        return str(value)
    if name == "oversampling":
        return f"{value}x"
    return f"{name} {value:g}"
