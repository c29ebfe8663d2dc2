"""What a person does with git: a clone, commits, pushes, reverts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.demo.repository import run_git


@dataclass(frozen=True)
class Clone:
    """A work tree of one branch of a remote repository."""

    path: Path

    def create(self, remote: Path) -> None:
        """Clone a repository that has a commit."""
        shutil.rmtree(self.path, ignore_errors=True)
        run_git(self.path.parent, "clone", "-q", str(remote), str(self.path))

    def commit(self, message: str, files: Mapping[str, str | None]) -> str:
        """Write (or, without text, delete) files and push the commit."""
        self.pull()
        for name, text in files.items():
            target = self.path / name
            if text is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        run_git(self.path, "add", "-A")
        run_git(self.path, "commit", "-q", "-m", message)
        return self._pushed()

    def revert(self, commit: str) -> str:
        """`git revert` and push; returns the new commit."""
        self.pull()
        run_git(self.path, "revert", "--no-edit", commit)
        return self._pushed()

    def pull(self) -> None:
        """Bring what others pushed."""
        run_git(self.path, "pull", "-q", "--rebase")

    def promotion_of(self, generation: str) -> str | None:
        """The commit on the remote branch that promoted a generation."""
        run_git(self.path, "fetch", "-q")
        pattern = f"^Reconciler-Promotion: .*/{generation}@"
        found = run_git(
            self.path, "log", "--format=%H", f"--grep={pattern}", "-1", "@{u}"
        )
        return found.strip() or None

    def changed(self, commit: str) -> str:
        """The line that a commit adds, for people."""
        shown = run_git(self.path, "show", "--format=", "-U0", commit)
        lines = shown.splitlines()
        added = (x for x in lines if x[:1] == "+" and x[:3] != "+++")
        return next(added, "").removeprefix("+").strip()

    def _pushed(self) -> str:
        run_git(self.path, "push", "-q")
        return run_git(self.path, "rev-parse", "HEAD").strip()
