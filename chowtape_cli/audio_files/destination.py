"""Writing: beside the destination, renamed when it is whole, so that nobody sees half a file."""

from __future__ import annotations

import contextlib
import filecmp
import os
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from chowtape_cli.audio_files.formats import (
    FLOAT_BITS,
    INTEGER_BITS,
    SIXTEEN_BIT_CODECS,
    WAV_FAMILY,
    OutputFormat,
    packing_of,
    reason_of,
)
from chowtape_cli.audio_files.metadata import Metadata, carried, write_pieces
from chowtape_cli.audio_files.place import POSSIBLE, OutputPlace, write_error
from chowtape_cli.audio_files.reproducible import remove_time_of_writing
from chowtape_cli.dsp.coding import Coded, Coding, code
from chowtape_cli.errors import AudioFileError
from chowtape_cli.files import (
    exists_already,
    give_usual_rights,
    make_folders,
    make_part_file,
    missing_folders,
    remove_folders,
    rename_without_clobbering,
    shown,
)

_WRITE_FRAMES = 65_536  # libsndfile's Vorbis encoder overflows its stack on very large writes
_SFC_SET_ADD_PEAK_CHUNK, _SFC_UPDATE_HEADER_NOW = 0x1050, 0x1060


def check_destination(
    destination: Path, source: Path | None = None, *, overwrite: bool = False
) -> None:
    """Raise AudioFileError where a destination may not or can't be written."""
    try:
        _check_destination(destination, source, overwrite)
    except OSError as error:
        message = f"{shown(destination)}: {error.strerror}; choose another destination"
        raise AudioFileError(message) from error


def _check_destination(destination: Path, source: Path | None, overwrite: bool) -> None:
    if destination.is_dir():
        example = shown(destination / source.name) if source else "out.wav"
        raise AudioFileError(f"{shown(destination)}: is a folder; name a file, such as {example}")
    if source is not None and destination.exists() and destination.samefile(source):
        raise AudioFileError(f"{shown(destination)}: is the source itself; choose another name")
    if os.path.lexists(destination):
        if destination.exists() and not destination.is_file():
            raise AudioFileError(f"{shown(destination)}: is a pipe or device; name a file")
        if not overwrite:
            raise exists_already(destination)
    folder = _nearest_folder(destination.parent)
    if not folder.is_dir():
        raise AudioFileError(f"{shown(folder)}: is not a folder; choose another destination")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise AudioFileError(f"{shown(folder)}: is not writable; choose another destination")


def _nearest_folder(folder: Path) -> Path:
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def coding_of(plan: OutputFormat, *, dither: bool) -> Coding:
    """Return how a file stores samples; dithered where it should be and it matters."""
    subtype = plan.subtype
    bits = INTEGER_BITS.get(subtype)
    if bits is None and subtype in SIXTEEN_BIT_CODECS:
        return Coding(16)
    # a lossy codec keeps what is over full scale, but a player will clip it
    return Coding(
        bits,
        dither=dither and bits is not None and bits <= 16,
        limited=bits is None and subtype not in FLOAT_BITS,
        packing=packing_of(plan.format, subtype),
    )


def _same(part: Path, place: Path) -> bool:
    return place.is_file() and filecmp.cmp(part, place, shallow=False)


class Destination:
    """An audio file in the making: written beside its place, renamed when it is whole.

    Leaving the context without an error commits the file; with one, nothing of it stays, not even
    a folder that was made for it.

    Attributes:
        coding: how the file stores samples.
        clipped: samples that full scale had to clip so far.
        peak: the largest sample so far, before it was clipped.
        frames: how many were written so far.
        lost_tags: names of tags that the container can't hold.
        lost_pieces: names of what else it can't: markers, pictures ...
        too_large: names of what is more than is carried along.
    """

    def __init__(
        self,
        path: Path,
        plan: OutputFormat,
        *,
        metadata: Metadata | None = None,
        times: tuple[int, int] | None = None,
        dither: bool = True,
        overwrite: bool = False,
        run: str = "",
        again: bool = False,
    ) -> None:
        self.path = path
        self._again = again
        self.clipped = 0
        self.frames = 0
        self.lost_tags: list[str] = []
        self._place = Path(os.path.realpath(path))
        self._plan = plan
        metadata = metadata or Metadata()
        self._carried = carried(metadata, plan.format, plan.rate)
        self.lost_pieces = self._carried.lost
        self.too_large = self._carried.too_large
        self._times = times
        self._overwrite = overwrite
        self._in_place = False
        self.peak = 0.0
        self.coding = coding_of(plan, dither=dither)
        self._missing_folders = missing_folders(self._place.parent)
        self._part: Path | None = None
        self._run = run

    def _open(self) -> sf.SoundFile:
        plan = self._plan
        try:
            file = sf.SoundFile(
                os.fsencode(self._begun),
                "w",
                plan.rate,
                plan.channels,
                plan.subtype,
                format=plan.format,
            )
        except sf.LibsndfileError as error:
            self._check_room()
            raise AudioFileError(f"{shown(self.path)}: {reason_of(error)}") from error
        # The PEAK chunk holds the time of writing; without it, same render, same bytes.
        sf._snd.sf_command(file._file, _SFC_SET_ADD_PEAK_CHUNK, sf._ffi.NULL, 0)
        return file

    def _carry(self) -> None:
        for name, text in self._carried.tags.items():
            with contextlib.suppress(sf.LibsndfileError):  # found missing when it is read back
                setattr(self._file, name, text)

    def __enter__(self) -> Destination:
        # made here, not before: between a constructor and its context it could be interrupted
        try:
            make_folders(self._place.parent)
            self._part = make_part_file(self._place, self._run)
            self._file = self._open()
            self._carry()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self.discard()
            return
        try:
            self._commit()
        except BaseException:
            self.discard()
            raise

    def write(self, samples: NDArray[np.float64]) -> None:
        """Append samples, Shape: (frames, channels), full scale +-1.

        Raises:
            AudioFileError: the disk is full or fails.
        """
        self.write_coded(code(np.ascontiguousarray(samples), self.coding, self.frames))

    def write_coded(self, coded: Coded) -> None:
        """Append samples that are coded as this file stores them; raises as `write` does."""
        data = coded.samples
        self.clipped += coded.clipped
        self.peak = max(self.peak, coded.peak)
        self.frames += coded.frames
        if data is None:
            self._in_place = True
            return
        if self.coding.packing is not None:
            at = sf._ffi.from_buffer(np.ascontiguousarray(data))
            if sf._snd.sf_write_raw(self._file._file, at, data.nbytes) != data.nbytes:
                raise self._write_failed()
            return
        for start in range(0, len(data), _WRITE_FRAMES):
            try:
                self._file.write(data[start : start + _WRITE_FRAMES])
            except (sf.LibsndfileError, AssertionError) as error:
                raise self._write_failed() from error

    @cached_property
    def place(self) -> OutputPlace | None:
        """Where the samples will lie, for any process to write; None where libsndfile must.

        What is written there is told of by `write_coded`, without its samples.
        """
        if not (self.coding.packing and POSSIBLE and self._plan.format in WAV_FAMILY):
            return None
        sf._snd.sf_command(self._file._file, _SFC_UPDATE_HEADER_NOW, sf._ffi.NULL, 0)
        stat = self._begun.stat()  # the header, and nothing yet behind it
        width = self._plan.channels * self.coding.width
        return OutputPlace(
            self._begun.absolute(), (stat.st_dev, stat.st_ino), stat.st_size, width, self.path
        )

    def _tell_libsndfile(self) -> None:
        """Have libsndfile write the last frame again: so it learns where the audio ends."""
        place = self.place
        assert place is not None
        with self._begun.open("rb") as file:
            file.seek(place.offset + (self.frames - 1) * place.width)
            last = file.read(place.width)
        sf._snd.sf_seek(self._file._file, self.frames - 1, os.SEEK_SET)
        if sf._snd.sf_write_raw(self._file._file, last, len(last)) != place.width:
            raise self._write_failed()

    @property
    def _begun(self) -> Path:
        """The file in the making; it exists once the context is entered."""
        assert self._part is not None
        return self._part

    def _commit(self) -> None:
        part = self._begun
        if self._in_place:
            self._tell_libsndfile()
        self._close()
        self._write_pieces(part)
        remove_time_of_writing(part, self._plan.format)
        self._check_written()
        give_usual_rights(part, self._place)
        try:
            if self._times is not None:
                os.utime(part, ns=self._times)
            if self._overwrite:
                part.replace(self._place)
            elif self._again and _same(part, self._place):
                part.unlink()  # an attempt that was cut short got as far
            else:
                rename_without_clobbering(part, self._place, self.path)
        except OSError as error:
            raise AudioFileError(
                f"{shown(self.path)}: can't be put in place ({error.strerror})"
            ) from error

    def _write_pieces(self, part: Path) -> None:
        pieces = self._carried.pieces
        try:
            if not write_pieces(part, self._plan.format, pieces):
                self.lost_pieces = [*self.lost_pieces, *dict.fromkeys(name for name, _ in pieces)]
        except OSError as error:
            raise self._write_failed() from error

    def _close(self) -> None:
        """Finish the file; soundfile's own way would wait until it has reached the disk."""
        handle, self._file._file = self._file._file, None
        if sf._snd.sf_close(handle):
            raise self._write_failed()

    def _check_written(self) -> None:
        """Read the header back: a disk that filled up at the last moment shows only here."""
        plan = self._plan
        try:
            with sf.SoundFile(os.fsencode(self._begun)) as written:
                frames, kept = written.frames, written.copy_metadata()
        except sf.LibsndfileError as error:
            if self.frames == 0:
                raise AudioFileError(
                    f"{shown(self.path)}: {plan.format} {plan.subtype} can't hold a file of 0 "
                    "frames; write a WAV"
                ) from error
            raise self._write_failed() from error
        if frames < self.frames:
            raise self._write_failed()
        self.lost_tags = [name for name in self._carried.tags if name not in kept]

    def _write_failed(self) -> AudioFileError:
        """Return the error of a file that libsndfile can't write on."""
        try:
            self._check_room()
        except AudioFileError as error:
            return error
        return write_error(self.path, OSError(0, "the disk may be full"))

    def _check_room(self) -> None:
        """Ask the file system for the reason that libsndfile does not pass on."""
        try:
            with self._begun.open("ab") as probe:
                probe.write(b"\0" * 65_536)
                probe.flush()
                os.fsync(probe.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error

    def discard(self) -> None:
        """Remove whatever was written, and the folders that were made for it."""
        if hasattr(self, "_file"):
            with contextlib.suppress(sf.LibsndfileError):
                self._file.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)
        remove_folders(self._missing_folders)
