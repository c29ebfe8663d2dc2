"""What can go wrong with stored generations."""

from __future__ import annotations


class StorageError(Exception):
    """A dataset could not be read or changed.

    This class itself means trouble with the disk (full, read-only, busy):
    trying again later may help. The subclasses say what else it was.
    """


class InvalidNameError(StorageError):
    """A dataset, generation, tag or file has a name that we refuse."""


class MissingGenerationError(StorageError):
    """The dataset has no such generation."""


class GenerationConflictError(StorageError):
    """A generation of that name exists and holds something else."""


class CorruptGenerationError(StorageError):
    """Bytes on disk are not those that the manifest names."""


class HeldError(StorageError):
    """A snapshot holds a generation, so it is not removed."""


class ForeignDirectoryError(StorageError):
    """The directory holds data of somebody else: nothing was touched."""
