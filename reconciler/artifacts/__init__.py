"""Content-addressed directories: models and data sets by their digest."""

from __future__ import annotations

from reconciler.artifacts.errors import (
    ArtifactError,
    CorruptArtifactError,
    InvalidTreeError,
    MissingArtifactError,
    StoreBusyError,
)
from reconciler.artifacts.store import ArtifactStore
from reconciler.artifacts.tree import digest_of

__all__ = [
    "ArtifactError",
    "ArtifactStore",
    "CorruptArtifactError",
    "InvalidTreeError",
    "MissingArtifactError",
    "StoreBusyError",
    "digest_of",
]
