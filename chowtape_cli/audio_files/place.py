"""Where the samples of a file lie, for every process to read or write its part of them there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chowtape_cli.dsp.coding import Put, Stored
from chowtape_cli.dsp.tasks import Take
from chowtape_cli.errors import AudioFileError
from chowtape_cli.files import check_not_full, shown

Raw = NDArray[np.uint8]

POSSIBLE = hasattr(os, "preadv")  # not so on Windows


@dataclass(frozen=True)
class Place:
    """Samples in a file, frame after frame, little-endian.

    Attributes:
        path: the file.
        identity: its device and inode: another file may take its name.
        offset: of the first sample, in bytes.
        width: bytes of a frame.
    """

    path: Path
    identity: tuple[int, int]
    offset: int
    width: int

    def _opened(self, flags: int) -> int:
        file = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0))
        stat = os.fstat(file)
        if (stat.st_dev, stat.st_ino) != self.identity:
            os.close(file)
            raise AudioFileError(
                f"{shown(self.path)}: was replaced while it was being rendered; render it again"
            )
        return file


@dataclass(frozen=True)
class SourcePlace(Place):
    """Samples to read.

    Attributes:
        frames: how many there are.
    """

    frames: int

    @contextmanager
    def open(self) -> Iterator[Take]:
        """Open the file; what it gives holds until the next time, and is silence outside it.

        Raises:
            AudioFileError: the file was replaced, or, when it is asked, it has become shorter.
        """
        file = self._opened(os.O_RDONLY)
        region = np.empty((0, self.width), np.uint8)

        def take(first: int, count: int) -> Raw:
            nonlocal region
            if len(region) < count:
                region = np.empty((count, self.width), np.uint8)
            begin = min(max(-first, 0), count)
            end = min(max(self.frames - first, begin), count)
            region[:begin] = 0
            region[end:count] = 0
            self._read(file, region[begin:end], first + begin)
            return region[:count]

        try:
            yield take
        finally:
            os.close(file)

    def _read(self, file: int, out: Raw, first: int) -> None:
        left = out.reshape(-1).data
        at = self.offset + first * self.width
        while left:
            size = os.preadv(file, [left], at)
            if size == 0:
                raise AudioFileError(
                    f"{shown(self.path)}: became shorter while it was being rendered; "
                    "get a whole copy of it"
                )
            left, at = left[size:], at + size


@dataclass(frozen=True)
class OutputPlace(Place):
    """Samples to write.

    Attributes:
        shown_as: the path that messages name.
    """

    shown_as: Path

    @contextmanager
    def open(self) -> Iterator[Put]:
        """Open the file.

        Raises:
            AudioFileError: the file was replaced, or, when it is given something, can't take it.
        """
        file = self._opened(os.O_WRONLY)
        try:
            yield partial(self._write, file)
        finally:
            with self._failing():  # some file systems say so only now
                os.close(file)

    def _write(self, file: int, first: int, samples: Stored) -> None:
        left = samples.reshape(-1).data
        at = self.offset + first * self.width
        with self._failing():
            while left:
                size = os.pwrite(file, left, at)
                left, at = left[size:], at + size

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(self.shown_as, error) from error


def write_error(path: Path, error: OSError) -> AudioFileError:
    """Return the error of a file that can't be written on."""
    try:
        check_not_full(path, error)
    except AudioFileError as full:
        return full
    return AudioFileError(
        f"{shown(path)}: can't be written: {error.strerror}; make room or choose another place"
    )
