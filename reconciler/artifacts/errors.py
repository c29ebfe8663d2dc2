"""What can go wrong with an artifact, and whether a retry may help."""

from __future__ import annotations


class ArtifactError(Exception):
    """An artifact could not be stored, read or removed.

    This class itself means trouble with the disk (full, unreadable): trying
    again later may help. The subclasses say what else it was.
    """


class InvalidTreeError(ArtifactError):
    """The directory can never be an artifact: trying again is useless."""


class MissingArtifactError(ArtifactError):
    """The store holds no artifact of that digest."""


class CorruptArtifactError(ArtifactError):
    """Bytes are not those that the digest names."""


class StoreBusyError(ArtifactError):
    """Somebody is using the store; collect garbage later."""
