"""What the user is told while something takes long; nobody listens until they say so."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[str], None]] = []


def listen(listener: Callable[[str], None]) -> None:
    """Have every notice handed over, as one line."""
    _listeners.append(listener)


def ignore() -> None:
    """Have no notice handed over to anyone from now on."""
    _listeners.clear()


def tell(notice: str) -> None:
    """Hand over a notice to those who listen."""
    for listener in _listeners:
        listener(notice)
