"""Reading: a source is opened, checked, and read block by block."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from chowtape_cli.audio_files.chunks import audio_offset
from chowtape_cli.audio_files.formats import WAV_FAMILY, AudioInfo, packing_of, reason_of
from chowtape_cli.audio_files.metadata import read_metadata
from chowtape_cli.audio_files.ogg import has_its_end
from chowtape_cli.audio_files.place import POSSIBLE, SourcePlace
from chowtape_cli.dsp.coding import FLOAT64, extent
from chowtape_cli.errors import AudioFileError, SampleError
from chowtape_cli.files import shown

BLOCK_FRAMES = 65_536
_READ_FRAMES = 1 << 20  # at once: what a signal waits for

_STREAMED_SIZES = (0xFFFFFFFF, 0xFFFFFFFF - 8, 0x7FFFFFFF)  # "length unknown" of a piped header
_UNKNOWN_FRAMES = 1 << 62
_ONLY_A_HEADER = 65_536  # bytes


class Source:
    """An audio file that is open for reading.

    Attributes:
        info: what it is.
        packing: how the samples lie that `read_packed` gives.

    Raises:
        AudioFileError: missing, a folder, empty, not audio, or cut off.
    """

    def __init__(self, path: Path) -> None:
        self._file = _open_for_reading(path)
        self._position = 0
        plain = packing_of(self._file.format, self._file.subtype)
        if self._file.endian == "BIG":
            plain = None
        self._plain = plain is not None
        self.packing = plain or FLOAT64
        self.info = AudioInfo(
            path=path,
            rate=self._file.samplerate,
            channels=self._file.channels,
            frames=self._file.frames if self._file.frames < _UNKNOWN_FRAMES else None,
            format=self._file.format,
            subtype=self._file.subtype,
            metadata=read_metadata(
                path, self._file.format, self._file.samplerate, self._file.copy_metadata()
            ),
        )

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, out: NDArray[np.float64]) -> int:
        """Fill an array with what comes next; return how many frames: fewer at the end.

        Args:
            out: C-contiguous, Shape: (frames, channels); full scale becomes +-1.

        Raises:
            AudioFileError: the file ends before its header said, or can't be decoded.
        """
        filled = 0
        while filled < len(out):
            try:
                size = len(self._file.read(out=out[filled : filled + _READ_FRAMES]))
            except sf.LibsndfileError as error:
                so_far = max(self._position, self._file.tell())
                raise AudioFileError(
                    f"{shown(self.info.path)}: can't be decoded after frame {so_far} "
                    f"({reason_of(error)}); get a whole copy of it"
                ) from error
            if size == 0:
                self._check_end()
                break
            filled += size
            self._position += size
        return filled

    def read_packed(self, out: NDArray[np.uint8]) -> int:
        """Fill an array, Shape: (frames, bytes), with what comes next, as ``packing`` says.

        Returns and raises as `read` does.
        """
        if not self._plain:
            return self.read(out.view(np.float64))
        at = sf._ffi.from_buffer(out)
        size = sf._snd.sf_read_raw(self._file._file, at, out.nbytes) // out.shape[1]
        self._position += size
        if size < len(out):
            self._check_end()
        return int(size)

    @cached_property
    def place(self) -> SourcePlace | None:
        """Where the samples lie, for any process to read; None where that is not plain."""
        info = self.info
        if not (self._plain and POSSIBLE and info.frames and info.format in WAV_FAMILY):
            return None
        width = info.channels * self.packing.width
        stat = info.path.stat()
        offset = audio_offset(info.path, info.frames * width)
        if offset is None:
            return None
        return SourcePlace(
            info.path.absolute(), (stat.st_dev, stat.st_ino), offset, width, info.frames
        )

    def _check_end(self) -> None:
        _check_whole(self.info.path, self._file.extra_info)
        # an MP3's length may be an estimate; nothing else's is
        slack = 2 * 1152 if self.info.format == "MP3" else 0
        if self.info.frames is not None and self._position + slack < self.info.frames:
            raise _cut_off(self.info.path, f"{self.info.frames} frames", f"{self._position}")

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[NDArray[np.float64]]:
        """Yield the samples in order, Shape: (up to ``frames``, channels), full scale +-1.

        Raises:
            AudioFileError: see `read`.
            SampleError: a sample is NaN or Inf.
        """
        while True:
            block = np.empty((frames, self.info.channels))
            position = self._position
            size = self.read(block)
            if size:
                try:
                    extent(block[:size], position)
                except SampleError as error:
                    raise self.unusable(error) from error
                yield block[:size]
            if size < frames:
                return

    def unusable(self, error: SampleError) -> SampleError:
        """Return the error of samples that can't be rendered, as one of this file."""
        return SampleError(f"{shown(self.info.path)}: {error}; repair the file or render it again")


def _open_for_reading(path: Path) -> sf.SoundFile:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise AudioFileError(f"{shown(path)}: is a pipe or device; save it to a file first")
        with path.open("rb") as file:
            if not file.read(1):
                raise AudioFileError(f"{shown(path)}: is empty (0 bytes); get a whole copy of it")
    except FileNotFoundError as error:
        message = f"{shown(path)}: there is no such file; check the path"
        raise AudioFileError(message) from error
    except IsADirectoryError as error:
        raise AudioFileError(f"{shown(path)}: is a folder; name an audio file") from error
    except OSError as error:
        message = f"{shown(path)}: can't be read ({error.strerror}); check the path and its rights"
        raise AudioFileError(message) from error
    not_audio = AudioFileError(
        f"{shown(path)}: is not audio, or of a kind that libsndfile can't read; "
        "convert it to WAV or FLAC first"
    )
    try:
        with _silent_libraries():
            opened = sf.SoundFile(os.fsencode(path))
    except TypeError as error:  # soundfile wants to be told what a headerless .raw holds
        raise not_audio from error
    except sf.LibsndfileError as error:
        if "malformed" in reason_of(error):
            raise AudioFileError(
                f"{shown(path)}: is cut off or damaged ({reason_of(error)}); get a whole copy of it"
            ) from error
        raise not_audio from error
    if opened.format == "RAW":  # libsndfile's guess from the extension alone
        opened.close()
        raise not_audio
    try:
        _check_whole(path, opened.extra_info)
        _check_not_unfinished(path, opened)
    except AudioFileError:
        opened.close()
        raise
    return opened


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep what the MP3 decoder has to say from stderr; what matters of it is checked here."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _check_not_unfinished(path: Path, opened: sf.SoundFile) -> None:
    """Raise where a recorder died before it could write how long its recording is."""
    if opened.frames == 0 and opened.format in WAV_FAMILY and path.stat().st_size > _ONLY_A_HEADER:
        raise AudioFileError(
            f"{shown(path)}: its header says 0 frames, but more follows: a recording that was not "
            "finished; repair its header first"
        )


def _check_whole(path: Path, log: str) -> None:
    """Raise where libsndfile's parse log says that the header promises more than is there."""
    promise = re.search(r"^\s*(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)", log, re.M)
    if promise:
        promised, there = map(int, promise.groups())
        if promised > there and promised not in _STREAMED_SIZES:
            raise _cut_off(path, f"{promised} bytes of audio", f"{there}")
    counts = re.search(r"Calculated frame count (\d+) .*'ds64' chunk of (\d+)", log)
    if counts and int(counts[1]) < int(counts[2]):
        raise _cut_off(path, f"{counts[2]} frames", counts[1])
    riff = re.search(r"^riff : (\d+) \(should be (\d+)\)", log, re.M)  # W64
    if riff and int(riff[1]) > int(riff[2]):
        raise _cut_off(path, f"{riff[1]} bytes", riff[2])
    unended = r"without an End-Of-Stream|lacks an end-of-stream|Junk after the last page"
    # libsndfile says so of very short ones too, whatever their last page says
    if re.search(unended, log) and not has_its_end(path):
        raise AudioFileError(f"{shown(path)}: is cut off; get a whole copy of it")
    if re.search(r"Corrupted bitstream|reports a hole", log):  # Ogg; shows when it is read
        raise AudioFileError(f"{shown(path)}: is damaged inside; get a whole copy of it")


def _cut_off(path: Path, promised: str, there: str) -> AudioFileError:
    return AudioFileError(
        f"{shown(path)}: is cut off: its header promises {promised}, {there} are there; "
        "get a whole copy of it"
    )
