"""One root for every error that is worded for the person at the terminal."""

from __future__ import annotations


class ChowtapeError(Exception):
    """Something the user can act on: one line that says what is wrong and what to do.

    Attributes:
        exit_code: what the command ends with when this error reaches its edge.
    """

    exit_code = 1


class SettingsError(ChowtapeError):
    """A setting that is out of range, not a number, or does not go with another one."""

    exit_code = 2


class FileError(ChowtapeError):
    """A file that can't be read or written."""


class AudioFileError(FileError):
    """A source that can't be read as audio, or a destination that can't be written as such."""


class DiskFullError(AudioFileError):
    """A destination that has no room left: nothing that follows will fit either."""


class PlanError(ChowtapeError):
    """Sources and a destination that do not go together, found before anything is rendered."""

    exit_code = 2


class BankError(FileError):
    """A file of networks that can't be read, is damaged, or does not fit."""


class WorkerError(ChowtapeError):
    """Worker processes that keep being killed."""


class InterruptedBatchError(ChowtapeError):
    """What a batch that was interrupted leaves, for whoever interrupted it."""

    exit_code = 130


class ClusterError(ChowtapeError):
    """A cluster that does not answer, or not as it should."""


class MissingPackageError(ChowtapeError):
    """A package that only some commands need, and that is not installed."""


class SampleError(ChowtapeError):
    """Samples that can't be rendered: NaN, Inf, or an array of the wrong shape."""
