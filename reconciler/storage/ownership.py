"""Whose root a directory is: we never take or delete somebody else's."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from reconciler.artifacts.copying import remove_tree
from reconciler.runs.protocol import sync_directory, write_atomically
from reconciler.storage.errors import (
    ForeignDirectoryError,
    HeldError,
    StorageError,
)
from reconciler.storage.tree import TreeBackend

_OURS = frozenset({"owner.json", "lock", "objects", "datasets"})


def owner_of(root: Path) -> str | None:
    """``namespace/name`` of the DatasetLayout that a root belongs to.

    Returns:
        None if the directory is missing, empty, or has our files only.

    Raises:
        ForeignDirectoryError: it is no directory or has other files.
        StorageError: it cannot be read.
    """
    try:
        present = {path.name for path in root.iterdir()}
        if "owner.json" in present:
            return str(json.loads((root / "owner.json").read_text())["owner"])
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        msg = f"{root} is not a directory"
        raise ForeignDirectoryError(msg) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{root / 'owner.json'} cannot be read: {error}"
        raise StorageError(msg) from error
    # Probes and half-written files of ours start with a dot.
    strangers = {n for n in present - _OURS if not n.startswith(".")}
    if strangers:
        msg = f"{root} has files that are not ours: {min(strangers)}"
        raise ForeignDirectoryError(msg)
    return None


def claim(backend: TreeBackend, owner: str) -> None:
    """Take an empty or unowned root; repeating it is fine.

    Raises:
        ForeignDirectoryError: somebody else's files or layout are there.
    """
    found = owner_of(backend.root)
    if found == owner:
        return
    if found is not None:
        msg = f"{backend.root} belongs to the DatasetLayout {found}"
        raise ForeignDirectoryError(msg)
    with backend.locked():
        text = json.dumps({"owner": owner}) + "\n"
        write_atomically(backend.root / "owner.json", text)


def destroy(backend: TreeBackend, owner: str) -> None:
    """Delete everything that a layout stored, its root last.

    The owner's mark goes after the data, so that a repetition after a crash
    still knows whose the rest is. Files of others stay.

    Raises:
        ForeignDirectoryError: the root is not this owner's.
        HeldError: a snapshot holds a generation; nothing was removed.
    """
    found = owner_of(backend.root)
    if found is None:
        return
    if found != owner:
        msg = f"{backend.root} belongs to the DatasetLayout {found}"
        raise ForeignDirectoryError(msg)
    with backend.locked():
        held = held_generations(backend)
        if held:
            msg = f"held by snapshots: {', '.join(held)}"
            raise HeldError(msg)
        for pointer in backend.root.glob("datasets/*/current"):
            pointer.unlink()
        remove_tree(backend.root / "datasets")
        remove_tree(backend.root / "objects")
        (backend.root / "owner.json").unlink()
        sync_directory(backend.root)
        (backend.root / "lock").unlink()
    with suppress(OSError):  # files of others keep the directory
        backend.root.rmdir()


def held_generations(backend: TreeBackend) -> tuple[str, ...]:
    """``dataset/generation`` of all that are held, sorted."""
    holds = backend.root.glob("datasets/*/holds/*/*")
    return tuple(
        sorted(
            {f"{p.parent.parent.parent.name}/{p.parent.name}" for p in holds}
        )
    )
