"""From the Models' promotions to commits: what is left to write, and it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler.engine.controller import Context, Objects
from reconciler.engine.resource import ObjectKey
from reconciler.gitops.build import Builder, BuildError
from reconciler.gitops.ignore import ignored_by
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.memory import Memory
from reconciler.gitops.observation import Observation, Problem, WriteBackState
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.source import directories_of
from reconciler.gitops.threads import Threads
from reconciler.gitops.tree import SourceError, commit_of
from reconciler.gitops.writeback import (
    Decision,
    Outcome,
    PushError,
    Writer,
    decide,
    model_id,
    recorded_in,
)

Promotions = Callable[[Objects, str], Sequence[Promotion]]
"""Promotions of the Models of a namespace that wait to be recorded."""


def no_promotions(_objects: Objects, _namespace: str) -> Sequence[Promotion]:
    """There are no Models."""
    return ()


def writing_back(objects: Objects) -> list[ObjectKey]:
    """Repositories to look at when a Model changes: for a `Watch`."""
    return [
        repository.key
        for repository in objects.list(ConfigRepository)
        if repository.spec.write_back.enabled
    ]


@dataclass(frozen=True)
class Promoter:
    """The write-back of one repository in one pass."""

    threads: Threads
    desired: ConfigRepository
    memory: Memory

    async def observe(
        self,
        objects: Objects,
        promotions: Promotions,
        found: Observation,
        now: float,
    ) -> WriteBackState:
        """Promotions that the branch does not know yet.

        Raises:
            SourceError: the history of the branch cannot be read.
        """
        spec = self.desired.spec
        if not spec.write_back.enabled or spec.git is None:
            return WriteBackState()
        pushed = list(self.memory.records.promotions.values())
        commit = pushed[-1] if pushed else None
        if found.problem is not None or found.enforced is None:
            return WriteBackState(commit=commit)
        failed = self.memory.write_failure
        if failed and failed.holds(self.desired, found.enforced, now):
            return WriteBackState(problem=failed.problem, commit=commit)
        models = [
            state.desired
            for state in found.objects or ()
            if state.desired.id.kind == "Model"
        ]
        decided = [
            (promotion, await self._decide(models, promotion, found.enforced))
            for namespace in sorted({m.id.namespace for m in models})
            for promotion in promotions(objects, namespace)
        ]
        return WriteBackState(
            pending=tuple(p for p, d in decided if d is Decision.WRITE),
            reverted=tuple(
                p
                for p, d in decided
                if d is Decision.REVERTED
                and p.token not in self.memory.acknowledged
            ),
            commit=commit,
        )

    async def _decide(
        self,
        models: Sequence[DesiredObject],
        promotion: Promotion,
        revision: str,
    ) -> Decision:
        wanted = model_id(promotion)
        defined = next((m for m in models if m.id == wanted), None)
        known = promotion.token in self.memory.records.promotions
        decision = decide(promotion, defined, recorded=known)
        searched = self.memory.searched
        if (
            decision is not Decision.WRITE
            or searched.get(promotion.token) == revision
        ):
            return decision
        if await self.threads.run(self._recorded, promotion.token, revision):
            return decide(promotion, defined, recorded=True)
        searched[promotion.token] = revision
        return decision

    def _recorded(self, token: str, revision: str) -> bool:
        """Whether the history of a revision has the promotion."""
        mirror = self.memory.source.mirror(self.desired.spec)
        if mirror is None:
            return False
        head = commit_of(revision)
        with self.memory.source.alone():
            commit = recorded_in(mirror, head, token)
        if commit is None:
            return False
        self.memory.records.add_promotion(token, commit)
        return True

    async def commit(
        self, ctx: Context, promotion: Promotion, builder: Builder, now: float
    ) -> None:
        """Write one promotion; a refusal is remembered and reported."""
        self.memory.source.dirty = True
        try:
            outcome = await self.threads.run(self._write, promotion, builder)
        except (PushError, BuildError, SourceError) as error:
            self._failed(ctx, promotion, error, now)
            return
        self.memory.write_failure = None
        if outcome.decision is Decision.WRITE:
            note = f"{promotion.token} is commit {outcome.commit}"
            ctx.events.normal(self.desired, "PromotionCommitted", note)

    def _write(self, promotion: Promotion, builder: Builder) -> Outcome:
        spec = self.desired.spec
        mirror = self.memory.source.mirror(spec)
        if mirror is None or spec.git is None:
            return Outcome(Decision.ABSENT)
        records = self.memory.records
        writer = Writer(
            mirror,
            spec.path,
            builder,
            spec.write_back,
            records.promotions.__contains__,
            ignored_by(spec.git.ignore),
            directories_of(spec),
        )
        with self.memory.source.alone():
            outcome = writer.write(promotion)
        if outcome.commit:
            records.add_promotion(promotion.token, outcome.commit)
        return outcome

    def _failed(
        self,
        ctx: Context,
        promotion: Promotion,
        error: PushError | BuildError | SourceError,
        now: float,
    ) -> None:
        problem = Problem(_reason(error), f"{promotion.token}: {error}")
        old = self.memory.write_failure
        if old is None or old.problem != problem:
            ctx.events.warning(self.desired, problem.reason, problem.message)
        failure = self.memory.failed(self.desired, problem, now)
        self.memory.write_failure = failure


def _reason(error: PushError | BuildError | SourceError) -> str:
    if isinstance(error, PushError):
        return error.reason
    return "BuildFailed" if isinstance(error, BuildError) else "PushFailed"
