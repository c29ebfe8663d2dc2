"""Which revision to enforce: the newest, or the last good one.

A revision is accepted only if all of it can be built and the server takes
every object in a dry run; until then the one before stays in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reconciler.engine.controller import Client
from reconciler.engine.errors import AccessDeniedError, NotFoundError
from reconciler.engine.resource import parse_duration
from reconciler.gitops.build import BuildError, cluster_scoped_by
from reconciler.gitops.claims import Claims
from reconciler.gitops.concurrent import reading
from reconciler.gitops.credentials import CredentialsError
from reconciler.gitops.drift import warns_only
from reconciler.gitops.force import Approved, withheld
from reconciler.gitops.guard import approvals
from reconciler.gitops.ignored import IgnoreRules
from reconciler.gitops.inputs import load_opener, load_variables
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.live import Replacing
from reconciler.gitops.manifest import CRD, api_version
from reconciler.gitops.memory import Memory, Scopes
from reconciler.gitops.observation import (
    ObjectState,
    Observation,
    Problem,
    Verdict,
)
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.selection import SelectionError
from reconciler.gitops.source import ARTIFACT_FAILED, Look
from reconciler.gitops.threads import Threads
from reconciler.gitops.tree import SourceError, Tree

SHOWN = 3
"""Refused objects that a condition names; the rest is counted."""


async def scopes(client: Client) -> Scopes:
    """Cluster-scoped kinds that the server knows by definition."""
    with reading("reading CustomResourceDefinitions"):
        try:
            found = await client.list(api_version(CRD[0], "v1"), CRD[1])
        except (NotFoundError, AccessDeniedError):
            return frozenset()
    return cluster_scoped_by(found)


@dataclass(frozen=True)
class _Found:
    """A revision that can be enforced."""

    states: tuple[ObjectState, ...]
    digest: str


@dataclass(frozen=True)
class Enforcer:
    """Looks for a revision of one repository that can be enforced."""

    client: Client
    """With our own rights, for what the spec refers to and definitions."""

    actor: Client
    """With the rights that the objects are handled with."""

    threads: Threads
    desired: ConfigRepository
    memory: Memory
    claims: Claims | None = None
    """What other repositories own; None: nothing."""

    async def observe(self, look: Look) -> Observation:
        """The objects of the revision to enforce, and how they are.

        Raises:
            TransientError: the API server does not answer.
        """
        base = Observation(look.head, problem=look.problem, due=look.due)
        try:
            self.memory.variables = await load_variables(
                self.client, self.desired
            )
            self.memory.opener = await load_opener(self.client, self.desired)
        except CredentialsError as error:
            # Nothing can be built as it is meant, the last good one neither.
            return replace(base, problem=Problem("BuildFailed", str(error)))
        if look.tree is not None:
            base = replace(base, signed=look.tree.signed)
            found = await self._accept(look.tree)
            if not isinstance(found, Problem):
                given = approvals(look.tree.message)
                return replace(
                    base,
                    enforced=look.tree.revision,
                    objects=found.states,
                    digest=found.digest,
                    approvals=given,
                )
            base = replace(base, problem=found)
        return await self._last_good(base)

    @property
    def _good(self) -> str | None:
        """The revision in force: never an older one than was applied."""
        status = self.desired.status
        return status.revision_in_force or status.last_applied_revision

    @property
    def _verifies(self) -> bool:
        """Whether only signed revisions may be applied."""
        git = self.desired.spec.git
        return git is not None and git.verify is not None

    async def _accept(self, tree: Tree) -> _Found | Problem:
        found = await self._try(tree)
        if isinstance(found, Problem):
            return found
        good = self._good
        records = self.memory.records
        try:
            await self.threads.run(records.save, tree, [good])
        except SourceError as error:
            return Problem(ARTIFACT_FAILED, str(error))
        return found

    async def _last_good(self, base: Observation) -> Observation:
        good = self._good
        if good is None:
            return base
        tree = await self.threads.run(self.memory.records.load, good)
        if tree is None or (self._verifies and not tree.signed):
            return base
        found = await self._try(tree)
        if isinstance(found, Problem):
            return base
        return replace(
            base, enforced=good, objects=found.states, digest=found.digest
        )

    async def _try(self, tree: Tree) -> _Found | Problem:
        """The state of a revision's objects, or why it is not accepted."""
        known = await scopes(self.client)
        limit = parse_duration(self.desired.spec.timeout).total_seconds()
        halt = self.threads.halt
        self.memory.kustomize = Kustomize(timeout=limit, halt=halt)
        build = self.memory.built
        try:
            ignored = IgnoreRules.of(self.desired.spec)
            built = await self.threads.run(build, tree, self.desired, known)
        except SelectionError as error:
            return Problem("InvalidIgnoreRule", str(error), terminal=True)
        except BuildError as error:
            return Problem("BuildFailed", str(error))
        replacing = Replacing(self.memory.ownership, self.desired.spec.force)
        states = await self.memory.inspector.inspect(
            self.actor, built.objects, ignored, self.claims, replacing
        )
        refused = [s for s in states if s.verdict is Verdict.REJECTED]
        if refused:
            return _refusal(refused)
        found = _Found(states, built.digest)
        if warns_only(self.desired, built.digest):
            return found
        approved = Approved.of(self.desired, approvals(tree.message))
        return withheld(self.desired, states, approved) or found


def _refusal(refused: Sequence[ObjectState]) -> Problem:
    shown = [s.message for s in refused[:SHOWN]]
    if len(refused) > SHOWN:
        shown.append(f"and {len(refused) - SHOWN} more")
    return Problem("ReconciliationFailed", "; ".join(shown))
