"""What a repository's controller keeps on disk between lives.

The files of revisions that the server accepted, so that the last good one
can be enforced while the source is gone or broken, and the promotions that
were pushed, so that none is written twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reconciler.gitops.tree import SourceError, Tree
from reconciler.runs.protocol import write_atomically


class Records:
    """Files below one folder; every write is atomic and synced."""

    def __init__(self, folder: Path, uid: str) -> None:
        self._folder = folder
        self._uid = uid
        self._written: dict[str, dict[str, str]] | None = None
        self._saved: tuple[str, str, str] | None = None
        """Revision, signatures and digest of what was kept last."""

    def save(self, tree: Tree, keep: Iterable[str | None]) -> None:
        """Keep a revision; forget those that are neither it nor in `keep`.

        The same commit has other files if the spec names another folder of
        it, ignores others, or follows another repository.

        Raises:
            SourceError: the disk does not take it.
        """
        target = self._tree(tree.revision, signed=bool(tree.signed))
        known = (tree.revision, tree.signed, tree.digest)
        if known != self._saved or not target.is_file():
            content = _content(tree)
            if _read(target) != content:
                self._write(target, content)
            self._saved = known
        wanted = {
            self._tree(r, signed=signed).name
            for r in (*keep, tree.revision)
            if r
            for signed in (True, False)
        }
        for found in target.parent.iterdir():
            if found.name not in wanted:
                found.unlink(missing_ok=True)

    def load(self, revision: str) -> Tree | None:
        """A revision that was kept, or None."""
        content = _read(self._tree(revision, signed=True))
        content = content or _read(self._tree(revision, signed=False))
        if not content or content.get("revision") != revision:
            return None
        files = {
            k: str(v).encode("utf-8", "surrogateescape")
            for k, v in content["files"].items()
        }
        return Tree(
            revision,
            files,
            signed=content.get("signed", ""),
            overlay=content.get("overlay"),
        )

    @property
    def promotions(self) -> dict[str, str]:
        """Token of a promotion that was pushed to its commit.

        A repository that was deleted and made anew starts empty.
        """
        return self._pushed["commits"]

    @property
    def _pushed(self) -> dict[str, dict[str, str]]:
        """Token to commit, and to the ref that it was pushed to."""
        if self._written is None:
            content = _read(self._folder / "promotions.json") or {}
            mine = content if content.get("uid") == self._uid else {}
            self._written = {
                name: dict(mine.get(name) or {})
                for name in ("commits", "branches")
            }
        return self._written

    def pushed_to(self, token: str, ref: str) -> bool:
        """Whether we ever pushed a promotion to a branch."""
        if token not in self.promotions:
            return False
        return self._pushed["branches"].get(token, ref) == ref

    def add_promotion(self, token: str, commit: str, ref: str) -> None:
        """Remember a push.

        Raises:
            SourceError: the disk does not take it.
        """
        known = self.pushed_to(token, ref)
        if known and self.promotions[token] == commit:
            return
        # The newest is the last one.
        commits = {k: v for k, v in self.promotions.items() if k != token}
        pushed = {
            "commits": commits | {token: commit},
            "branches": self._pushed["branches"] | {token: ref},
        }
        content = {"uid": self._uid, **pushed}
        self._write(self._folder / "promotions.json", content)
        self._written = pushed

    def _tree(self, revision: str, *, signed: bool) -> Path:
        name = hashlib.sha256(revision.encode()).hexdigest()[:32]
        suffix = ".signed.json" if signed else ".json"
        return self._folder / "revisions" / f"{name}{suffix}"

    def _write(self, target: Path, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, data)
        except OSError as error:
            msg = f"cannot write {target.parent}: {error.strerror}"
            raise SourceError(msg) from error


def _content(tree: Tree) -> dict[str, Any]:
    files = {
        path: data.decode("utf-8", "surrogateescape")
        for path, data in tree.files.items()
    }
    return {
        "revision": tree.revision,
        "signed": tree.signed,
        "files": files,
        "overlay": tree.overlay,
    }


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is none that is whole."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
