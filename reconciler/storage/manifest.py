"""What a generation consists of. Without its manifest it does not exist."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from reconciler.artifacts.tree import FileEntry
from reconciler.runs.protocol import Document, write_atomically
from reconciler.storage.errors import CorruptGenerationError
from reconciler.storage.names import check_paths
from reconciler.storage.resource import StoredGeneration


class File(Document):
    """One file of a generation."""

    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    def entry(self) -> FileEntry:
        """The same in the words of the artifact store."""
        return FileEntry(self.path, self.size, self.sha256)


class Manifest(Document):
    """A committed generation, as written next to its tree."""

    name: str
    digest: str
    sequence: int = Field(ge=1)
    """Order of commits in the dataset; clocks are not trusted with it."""

    created_at: str
    files: tuple[File, ...]

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(file.size for file in self.files)

    def write(self, path: Path) -> None:
        """Make the generation exist."""
        write_atomically(path, self.to_json())

    def stored(self, *, held: bool) -> StoredGeneration:
        """What a status says of it."""
        return StoredGeneration(
            name=self.name,
            digest=self.digest,
            bytes=self.total_bytes,
            created_at=self.created_at,
            held=held,
        )


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at a path, or None if there is none.

    Raises:
        CorruptGenerationError: it is damaged, or names files outside.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        msg = f"{path} is damaged: {error.error_count()} fields are wrong"
        raise CorruptGenerationError(msg) from error
    check_paths(file.path for file in manifest.files)
    return manifest
