"""Looks at the source of one repository, not more often than asked."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.engine.clock import Clock, utc_now
from reconciler.engine.resource import parse_duration
from reconciler.gitops.contents import outside
from reconciler.gitops.credentials import Credentials
from reconciler.gitops.directory import read_directory
from reconciler.gitops.git import Git
from reconciler.gitops.ignore import ignored_by
from reconciler.gitops.metrics import (
    Fetch,
    FetchListener,
    FetchOutcome,
    stored_bytes,
)
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.observation import UNVERIFIED, Problem
from reconciler.gitops.plan import requested
from reconciler.gitops.private import make_private
from reconciler.gitops.reference import Reference, Target
from reconciler.gitops.resource import ConfigRepository, ConfigRepositorySpec
from reconciler.gitops.submodules import Submodules
from reconciler.gitops.tree import (
    SourceError,
    Tree,
    clean_folder,
    commit_of,
)
from reconciler.gitops.verification import (
    Policy,
    VerificationError,
    Verified,
)

ARTIFACT_FAILED = "ArtifactFailed"
_OUR_DISK = tuple(
    os.strerror(code)
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
)
"""git's words, for it speaks no other language here."""


def _unmeasured(_fetch: Fetch) -> None:
    """Nobody counts."""


@dataclass(frozen=True)
class Look:
    """What the source says now."""

    tree: Tree | None
    problem: Problem | None
    """Why there is no newer tree; `tree` is None then."""

    head: str | None
    """Newest revision that was ever read."""

    due: float | None = None
    """Seconds until the source has to be read again."""

    rewritten: str | None = None
    """The commit that is no longer in the history of the branch."""


@dataclass
class Source:
    """One repository's source. Blocking: call it from a thread."""

    folder: Path
    """Where the mirror is kept."""

    credentials: Credentials | None = None
    """What `git.secretRef` and `git.proxySecretRef` say."""

    policy: Policy | None = None
    """What `git.verify` says."""

    clock: Clock = utc_now
    """The time that keys are judged at."""

    halt: threading.Event | None = None
    """Breaks reads off when it is set."""

    measured: FetchListener = _unmeasured
    """Told of each read, in the thread that reads."""

    _grown: int = 0
    """Bytes that the newest fetch added to the mirror."""

    _until: datetime | None = None
    """When what was verified has to be judged anew."""

    _tree: Tree | None = None
    _problem: Problem | None = None
    _refused: str | None = None
    """The newest revision, if it is not signed as it has to be."""

    _asked: tuple[str, str | None] | None = None
    _read_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    dirty: bool = False
    """Whether to read all of it at the next look, whatever the interval
    says: something changed, or the mirror cannot be trusted."""

    hinted: bool = False
    """Whether to ask the remote at the next look: somebody pushed."""

    retrying: bool = False
    """Whether what was read last could not be applied."""

    @property
    def read_at(self) -> float:
        """When the source was asked last, in monotonic seconds."""
        return self._read_at

    def mirror(self, spec: ConfigRepositorySpec) -> Mirror | None:
        """The mirror of a Git source; its calls end by ``spec.timeout``."""
        if spec.git is None:
            return None
        timeout = parse_duration(spec.timeout).total_seconds()
        until = time.monotonic() + timeout
        git = Git(
            self.folder / "mirror.git",
            timeout,
            spec.git.url,
            until,
            credentials=self.credentials,
            halt=self.halt,
        )
        modules = None
        if spec.git.recurse_submodules:
            modules = Submodules(git, self.folder / "modules")
        return Mirror(git, Reference(spec.git.ref), _partial(spec), modules)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Use the mirror while no other thread does.

        A pass that was given up may have left its thread behind.

        Raises:
            SourceError: the other thread is not done yet.
        """
        if not self._lock.acquire(timeout=1):
            msg = "an earlier fetch is still under way"
            raise SourceError(msg)
        try:
            yield
        finally:
            self._lock.release()

    def look(self, desired: ConfigRepository, now: float) -> Look:
        """The newest tree; read again if it is time or something changed.

        Args:
            desired: the repository.
            now: monotonic seconds.
        """
        try:
            with self.alone():
                return self._look(desired, now)
        except SourceError as error:
            problem = Problem(ARTIFACT_FAILED, str(error))
            return Look(None, problem, desired.status.last_attempted_revision)

    def _look(self, desired: ConfigRepository, now: float) -> Look:
        spec = desired.spec
        asked = (self._identity(spec), requested(desired))
        wait = self._wait(spec)
        fresh = now - self._read_at < wait and asked == self._asked
        old = self._tree
        # Taken back before the read: what happens during it starts another.
        whole, self.dirty = self.dirty or self._ended(), False
        hinted, self.hinted = self.hinted, False
        if spec.git is None or whole or hinted or not fresh:
            self._read(spec, whole=whole)
            self._asked, self._read_at = asked, now
        due = self._due(spec, now)
        if self._problem is not None:
            head = self._refused or (old.revision if old else None)
            return Look(None, self._problem, head, due)
        return self._looked(spec, old, due)

    def _wait(self, spec: ConfigRepositorySpec) -> float:
        """Seconds between two reads."""
        failing = self._problem is not None or self.retrying
        wait = spec.retry_interval if failing else spec.interval
        return parse_duration(wait).total_seconds()

    def _due(self, spec: ConfigRepositorySpec, now: float) -> float:
        """Seconds until the next read."""
        due = self._wait(spec) - (now - self._read_at)
        if self._until is None:
            return due
        return min(due, (self._until - self.clock()).total_seconds())

    def _ended(self) -> bool:
        """Whether the time of a key began or ended since the last read."""
        return self._until is not None and self.clock() >= self._until

    def _looked(
        self, spec: ConfigRepositorySpec, old: Tree | None, due: float
    ) -> Look:
        tree = self._tree
        rewritten = None
        if old is not None and tree is not None and old is not tree:
            rewritten = self._rewritten(spec, old, tree)
        head = tree.revision if tree else None
        return Look(tree, None, head, due, rewritten)

    def _read(self, spec: ConfigRepositorySpec, *, whole: bool) -> None:
        """Read the source, and tell how long it took."""
        started, old, self._grown = time.monotonic(), self._tree, 0
        self._refused = None
        self._try(spec, whole=whole)
        outcome: FetchOutcome = "fetched"
        if self._problem is not None:
            outcome = "failed"
        elif old is not None and self._tree is not None:
            same = old.revision == self._tree.revision
            outcome = "unchanged" if same else outcome
        seconds = time.monotonic() - started
        self.measured(Fetch(outcome, seconds, self._grown))

    def _try(self, spec: ConfigRepositorySpec, *, whole: bool) -> None:
        try:
            _check_paths(spec)
        except SourceError as error:
            self._problem = Problem("InvalidPath", str(error), terminal=True)
            return
        try:
            # It has what only readers of the repository may see.
            make_private(self.folder)
            self._tree = self._fetch(spec, whole=whole)
            self._problem = None
        except VerificationError as error:
            self._refused = error.revision
            self._problem = Problem(UNVERIFIED, str(error))
        except (SourceError, OSError) as error:
            self._problem = Problem(ARTIFACT_FAILED, self._told(error))

    def _told(self, error: SourceError | OSError) -> str:
        """What happened, and where if it was on our side."""
        text = str(error)
        local = isinstance(error, OSError) or any(
            fault in text and "remote:" not in text for fault in _OUR_DISK
        )
        return f"{self.folder}: {text}" if local else text

    def _fetch(self, spec: ConfigRepositorySpec, *, whole: bool) -> Tree:
        mirror = self.mirror(spec)
        if mirror is None:
            if spec.directory is None:
                msg = "neither git nor directory is given"
                raise SourceError(msg)
            ignored = ignored_by(spec.directory.ignore)
            return read_directory(spec.directory.path, spec.path, ignored)
        unchanged = None if whole else self._unchanged(spec, mirror)
        if unchanged is not None:
            return unchanged
        self._until = None
        before = stored_bytes(mirror.git.directory)
        target = mirror.bring()
        after = stored_bytes(mirror.git.directory)
        self._grown = max(after - before, 0)
        verified = self._verified(spec, mirror, target)
        self._until = verified.until
        ignored = ignored_by(spec.git.ignore if spec.git else None)
        tree = mirror.export(
            target.commit,
            spec.path,
            ignored,
            target.label,
            directories_of(spec),
        )
        return replace(tree, signed=verified.by)

    def _verified(
        self, spec: ConfigRepositorySpec, mirror: Mirror, target: Target
    ) -> Verified:
        """Who signed it; nothing if nobody has to."""
        if spec.git is None or spec.git.verify is None:
            return Verified("")
        if self.policy is None or self.policy.mode != spec.git.verify.mode:
            msg = "nobody said whose signatures are needed"
            raise VerificationError(target.revision, msg)
        return self.policy.check(mirror.git, target, self.clock())

    def _unchanged(
        self, spec: ConfigRepositorySpec, mirror: Mirror
    ) -> Tree | None:
        """What was read last, if the remote still says the same."""
        known, asked = self._tree, self._asked
        if known is None or asked is None or self._problem:
            return None
        if asked[0] != self._identity(spec):
            return None
        head = mirror.resolve().revision
        return known if known.revision == head else None

    def _rewritten(
        self, spec: ConfigRepositorySpec, old: Tree, new: Tree
    ) -> str | None:
        mirror = self.mirror(spec)
        was, now = commit_of(old.revision), commit_of(new.revision)
        if mirror is None or mirror.reference.fixed or not was or was == now:
            return None
        if old.revision.removesuffix(was) != new.revision.removesuffix(now):
            return None
        return None if mirror.is_ancestor(was, now) else was

    def _identity(self, spec: ConfigRepositorySpec) -> str:
        """What, if it changes, makes another source of it."""
        parts = {"git", "directory", "path"}
        who = self.credentials.digest if self.credentials else ""
        signers = self.policy.signers.digest if self.policy else ""
        return f"{spec.model_dump_json(include=parts)} {who} {signers}"


def _partial(spec: ConfigRepositorySpec) -> bool:
    """Whether only a part of the files is of use.

    A commit of ours is made of the names of all objects, and git makes none
    of those that it cannot look at.
    """
    if spec.git is None or spec.git.url.startswith("file:"):
        return False
    part = bool(spec.git.sparse_checkout) or clean_folder(spec.path) != ""
    return part and not spec.write_back.enabled


def directories_of(spec: ConfigRepositorySpec) -> list[str]:
    """What is read of a Git source; empty: all, as with the top itself."""
    found = spec.git.sparse_checkout if spec.git else ()
    cleaned = [clean_folder(directory) for directory in found]
    return cleaned if all(cleaned) else []


def _check_paths(spec: ConfigRepositorySpec) -> None:
    """Refuse what only a change of the spec can mend.

    Raises:
        SourceError: a path leads out of the source, or is never there.
    """
    folder = clean_folder(spec.path)
    if outside(directories_of(spec))(folder):
        msg = f"path {spec.path!r} is outside of git.sparseCheckout"
        raise SourceError(msg)


def local_path(spec: ConfigRepositorySpec) -> str | None:
    """The directory of this machine that changes when the source does."""
    if spec.directory is not None:
        return spec.directory.path
    if spec.git is None or not spec.git.url.startswith("file://"):
        return None
    home = Path(unquote(urlsplit(spec.git.url).path))
    refs = Path("refs") / "heads"
    inner = home / ".git" / refs
    return str(inner if inner.is_dir() else home / refs)
