"""The demo's config repository: a real Git repository with commits."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.errors import CommandError

TIMEOUT_SECONDS = 30
IDENTITY = {
    "GIT_AUTHOR_NAME": "You",
    "GIT_AUTHOR_EMAIL": "you@localhost",
    "GIT_COMMITTER_NAME": "You",
    "GIT_COMMITTER_EMAIL": "you@localhost",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


@dataclass(frozen=True)
class Repository:
    """A work tree that accepts pushes to its checked-out branch."""

    path: Path

    @property
    def url(self) -> str:
        """What a ConfigRepository names."""
        return self.path.resolve().as_uri()

    def create(self, example: Path) -> None:
        """Copy the example's YAML and commit it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        self._git("init", "-q", "-b", "main")
        # The controller pushes promotions here while main is checked out.
        self._git("config", "receive.denyCurrentBranch", "updateInstead")
        for source in sorted(example.glob("*.yaml")):
            shutil.copy(source, self.path / source.name)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", "The models that should exist")

    def log(self, count: int = 10) -> Sequence[str]:
        """One line a commit, newest first."""
        return self._git("log", "--oneline", f"-{count}").splitlines()

    def head(self) -> str:
        """Digest of the newest commit."""
        return self._git("rev-parse", "HEAD").strip()

    def promotion_of(self, generation: str) -> str | None:
        """The commit that promoted a generation."""
        pattern = f"^Reconciler-Promotion: .*/{generation}@"
        found = self._git("log", "--format=%H", f"--grep={pattern}", "-1")
        return found.strip() or None

    def revert(self, commit: str) -> str:
        """`git revert`; returns the new commit."""
        self._git("revert", "--no-edit", commit)
        return self.head()

    def _git(self, *arguments: str) -> str:
        return run_git(self.path, *arguments)


def run_git(folder: Path, *arguments: str) -> str:
    """Run git in a folder as a person would; returns what it printed.

    Raises:
        CommandError: it failed; with its last words.
    """
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, **IDENTITY},
    )
    if done.returncode != 0:
        msg = f"git {arguments[0]}: {done.stderr.strip()}"
        raise CommandError(msg)
    return done.stdout
