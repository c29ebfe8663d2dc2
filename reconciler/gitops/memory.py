"""What the controller remembers of one repository between passes.

Everything here may be lost at any moment: a restart only makes the next
pass read, compare and try again.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.engine.resource import parse_duration
from reconciler.gitops.build import Builder, BuildError, Ownership
from reconciler.gitops.health import Deadline
from reconciler.gitops.inputs import Inputs
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.live import Inspector
from reconciler.gitops.manifest import DesiredObject, digest_of
from reconciler.gitops.observation import Observation, Problem
from reconciler.gitops.plan import requested
from reconciler.gitops.proposal import Proposals
from reconciler.gitops.records import Records
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.source import Source
from reconciler.gitops.stand_ins import built
from reconciler.gitops.tree import Tree
from reconciler.gitops.variables import Variables

Scopes = frozenset[tuple[str, str]]
Shape = tuple[str, str, Scopes, Variables | None, Opener]
BUILDS = 4
"""Builds kept: the newest revision, the last good one, and before them."""


@dataclass(frozen=True)
class Failure:
    """Something that failed and is tried again after a while."""

    problem: Problem
    revision: str | None
    token: str | None
    at: float

    def holds(
        self, desired: ConfigRepository, revision: str | None, now: float
    ) -> bool:
        """Whether it is too early to try again."""
        wait = parse_duration(desired.spec.retry_interval).total_seconds()
        same = (revision, requested(desired)) == (self.revision, self.token)
        return same and now - self.at < wait


ROUNDS = 200_000
"""Of the digest of a build: about a tenth of a second."""


@dataclass(frozen=True)
class Built:
    """The objects of a revision."""

    objects: tuple[DesiredObject, ...]
    digest: str
    """Of all of them; slow to guess from, for it is shown in the status and
    values of Secrets are in it."""

    @classmethod
    def of(cls, objects: tuple[DesiredObject, ...], salt: str) -> Built:
        """With their digest."""
        fast = digest_of([o.digest for o in objects])
        # Not scrypt: its 16 MiB would stay with the process.
        slow = hashlib.pbkdf2_hmac(
            "sha256", fast.encode(), salt.encode(), ROUNDS, 16
        )
        return cls(objects, slow.hex())


@dataclass
class Done:
    """What the actions of one pass did, for one event."""

    counts: Counter[str] = field(default_factory=Counter)

    def count(self, verb: str) -> None:
        """One more object was created, configured or pruned."""
        self.counts[verb] += 1

    def describe(self) -> str:
        """``2 created, 1 pruned``."""
        parts = sorted(self.counts.items())
        return ", ".join(f"{n} {verb}" for verb, n in parts)


@dataclass
class Memory:
    """One repository."""

    uid: str
    """Of the ConfigRepository."""

    source: Source
    records: Records
    ownership: Ownership
    inputs: Inputs = field(default_factory=Inputs)
    """What the spec refers to, as of the newest pass."""

    kustomize: Kustomize = field(default_factory=Kustomize)
    inspector: Inspector = field(default_factory=Inspector)
    done: Done = field(default_factory=Done)
    failure: Failure | None = None
    """The last apply or prune that the server refused."""

    deadline: Deadline | None = None
    """Since when what was applied is not healthy."""

    write_failure: Failure | None = None
    """The last write-back that the remote refused."""

    enforced: str | None = None
    """Revision that the newest pass compared with the server."""

    told: tuple[Problem, str] | None = None
    """The problem and the revision of the newest warning event."""

    told_drift: str | None = None
    """The drift that the newest warning event was about."""

    acknowledged: set[str] = field(default_factory=set)
    """Tokens of reverted promotions that their Models were told of."""

    proposals: tuple[tuple[str, str, float], Proposals] | None = None
    """What the branch of proposals said last; for which branch, revision
    and read of the source."""

    searched: dict[str, str] = field(default_factory=dict)
    """Token of a promotion to the revision whose history lacks it."""

    variables: Variables | None = field(default=None, repr=False)
    """Of the files, as of the newest pass."""

    opener: Opener = field(default_factory=Opener, repr=False)
    """Of encrypted files, as of the newest pass."""

    told_plain: str | None = None
    """The revision whose Secrets in clear were warned of last."""

    _builders: dict[Shape, Builder] = field(default_factory=dict)
    _built: dict[tuple[str, Shape], Built] = field(default_factory=dict)
    _broken: tuple[tuple[str, Shape], BuildError] | None = None
    _building: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, desired: ConfigRepository, root: Path) -> Memory:
        """An empty memory of a repository.

        Args:
            desired: the repository.
            root: the folder that has one folder for each repository.
        """
        meta = desired.metadata
        # "_" is in no name, so that a/b-c and a-b/c do not share a folder.
        folder = root / f"{meta.namespace}_{meta.name}"
        return cls(
            uid=meta.uid,
            source=Source(folder),
            records=Records(folder, meta.uid),
            ownership=Ownership(meta.namespace, meta.name),
        )

    def builder(self, desired: ConfigRepository, scopes: Scopes) -> Builder:
        """A builder that remembers what it parsed."""
        key = self._shape(desired, scopes)
        if key not in self._builders:
            made = Builder.of(
                desired.spec,
                self.variables,
                self.ownership,
                scopes,
                self.opener,
            )
            self._builders = {key: made}
        return self._builders[key]

    def _shape(self, desired: ConfigRepository, scopes: Scopes) -> Shape:
        """All that objects depend on, beside the files."""
        spec = desired.spec
        common = spec.common_metadata.model_dump_json()
        key = spec.target_namespace, common, scopes
        return *key, self.variables, self.opener

    def built(
        self, tree: Tree, desired: ConfigRepository, scopes: Scopes
    ) -> Built:
        """The objects of a tree, built once. Blocking for large trees.

        Raises:
            BuildError: the first thing that is wrong with them.
        """
        key = (tree.digest, self._shape(desired, scopes))
        # A pass that took too long leaves its thread behind: the next one
        # waits for what that is about to find.
        with self._building:
            if key not in self._built:
                objects = self._objects(key, tree, desired)
                made = Built.of(objects, self.uid)
                kept = list(self._built.items())[-(BUILDS - 1) :]
                self._built = dict([*kept, (key, made)])
            return self._built[key]

    def _objects(
        self,
        key: tuple[str, Shape],
        tree: Tree,
        desired: ConfigRepository,
    ) -> tuple[DesiredObject, ...]:
        """The objects of a tree; what was broken is not parsed again."""
        if self._broken is not None and self._broken[0] == key:
            raise self._broken[1]
        try:
            builder = self.builder(desired, key[1][2])
            return built(tree, self.kustomize, builder)
        except BuildError as error:
            if tree.overlay is None:  # kustomize may do better next time
                self._broken = (key, error.with_traceback(None))
            raise

    def fail(
        self, desired: ConfigRepository, problem: Problem, now: float
    ) -> None:
        """Remember the first refusal of a pass."""
        if self.failure is None:
            self.failure = self.failed(desired, problem, now)

    def failed(
        self, desired: ConfigRepository, problem: Problem, now: float
    ) -> Failure:
        """A failure of the revision that is enforced."""
        return Failure(problem, self.enforced, requested(desired), now)

    def judge(
        self, desired: ConfigRepository, found: Observation, now: float
    ) -> Observation:
        """The observation with a refusal that still holds."""
        self.enforced = found.enforced
        self.source.retrying = found.problem is not None
        failure = self.failure
        if failure is None:
            return found
        if not failure.holds(desired, found.enforced, now):
            self.failure = None
            return found
        problem = found.problem or failure.problem
        return replace(found, problem=problem, blocked=True)
