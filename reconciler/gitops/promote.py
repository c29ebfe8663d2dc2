"""From the Models' promotions to commits: what is left to write, and it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.engine.controller import Context, Objects
from reconciler.engine.resource import ObjectKey
from reconciler.gitops.build import Builder, BuildError
from reconciler.gitops.commits import Committer, model_id
from reconciler.gitops.ignore import ignored_by
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.memory import Memory
from reconciler.gitops.metrics import Written
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.observation import Observation, Problem, WriteBackState
from reconciler.gitops.plumbing import PushError
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.proposal import Proposals, Proposer, proposals_in
from reconciler.gitops.reference import HEADS
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.signature import SigningKeyError
from reconciler.gitops.source import directories_of
from reconciler.gitops.threads import Threads
from reconciler.gitops.tree import SourceError, commit_of
from reconciler.gitops.writeback import (
    Decision,
    Outcome,
    Writer,
    decide,
    recorded_in,
)

Promotions = Callable[[Objects, str], Sequence[Promotion]]
"""Promotions of the Models of a namespace that wait to be recorded."""

Decided = Sequence[tuple[Promotion, Decision]]


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

    @property
    def _followed(self) -> str:
        """Full name of the branch that is followed."""
        git = self.desired.spec.git
        return HEADS + git.ref.branch if git else ""

    @property
    def _branch(self) -> str | None:
        """The branch of proposals, if commits go there."""
        tracked = self._followed.removeprefix(HEADS)
        return self.desired.spec.write_back.proposes_to(tracked)

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
        state = WriteBackState(commit=pushed[-1] if pushed else None)
        if fault := self.memory.inputs.signing_fault:
            return replace(state, problem=Problem("SigningKeyInvalid", fault))
        if found.problem is not None or found.enforced is None:
            return state
        failed = self.memory.write_failure
        if failed and failed.holds(self.desired, found.enforced, now):
            return replace(state, problem=failed.problem)
        models = [
            item.desired
            for item in found.objects or ()
            if item.desired.id.kind == "Model"
        ]
        decided = [
            (promotion, await self._decide(models, promotion, found.enforced))
            for namespace in sorted({m.id.namespace for m in models})
            for promotion in promotions(objects, namespace)
        ]
        if self._branch is None:
            return self._judged(state, decided)
        return await self._proposed(state, decided, found.enforced)

    def _judged(
        self, state: WriteBackState, decided: Decided
    ) -> WriteBackState:
        return replace(
            state,
            pending=_those(decided, Decision.WRITE),
            proposed=_those(decided, Decision.PROPOSED),
            reverted=tuple(
                p
                for p in _those(decided, Decision.REVERTED)
                if p.token not in self.memory.acknowledged
            ),
        )

    async def _proposed(
        self, state: WriteBackState, decided: Decided, revision: str
    ) -> WriteBackState:
        """With what the branch of proposals says of what is open."""
        branch = self._branch
        if branch is None or not _those(decided, Decision.WRITE):
            return replace(self._judged(state, decided), branch=branch)
        try:
            opened = frozenset(p.token for p, _ in decided)
            found = await self.threads.run(
                self._look, branch, revision, opened
            )
        except SourceError as error:
            problem = Problem("ProposalUnreadable", str(error))
            return replace(state, branch=branch, problem=problem)
        records, ref = self.memory.records, HEADS + branch
        decided = [
            (p, found.decide(p, d, known=records.pushed_to(p.token, ref)))
            for p, d in decided
        ]
        return replace(self._judged(state, decided), branch=branch)

    def _look(
        self, branch: str, revision: str, opened: frozenset[str]
    ) -> Proposals:
        """The branch of proposals, asked for once for a read of the source."""
        source, memory = self.memory.source, self.memory
        asked = (branch, revision, source.read_at)
        if memory.proposals is not None and memory.proposals[0] == asked:
            return memory.proposals[1]
        mirror = source.mirror(self.desired.spec)
        if mirror is None:
            return Proposals()
        settings = self.desired.spec.write_back
        with source.alone():
            head = commit_of(revision)
            found = proposals_in(
                mirror, branch, head, settings, opened.__contains__
            )
        for token in opened & set(found.tokens):  # we were killed after a push
            commit, ref = found.tokens[token], HEADS + branch
            memory.records.add_promotion(token, commit, ref)
        memory.proposals = (asked, found)
        return found

    async def _decide(
        self,
        models: Sequence[DesiredObject],
        promotion: Promotion,
        revision: str,
    ) -> Decision:
        wanted, token = model_id(promotion), promotion.token
        defined = next((m for m in models if m.id == wanted), None)
        known = self.memory.records.pushed_to(token, self._followed)
        decision = decide(promotion, defined, recorded=known)
        searched = self.memory.searched
        if decision is not Decision.WRITE or searched.get(token) == revision:
            return decision
        if await self.threads.run(self._recorded, token, revision):
            return decide(promotion, defined, recorded=True)
        searched[token] = revision
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
        self.memory.records.add_promotion(token, commit, self._followed)
        return True

    async def commit(
        self, ctx: Context, promotion: Promotion, builder: Builder, now: float
    ) -> Written | None:
        """Write one promotion; a refusal is remembered and reported.

        Returns:
            What became of it; None if there was nothing to write.
        """
        self.memory.source.dirty = True
        try:
            outcome = await self.threads.run(self._write, promotion, builder)
        except (PushError, BuildError, SourceError) as error:
            self._failed(ctx, promotion.token, error, now)
            return "failed"
        self.memory.write_failure = None
        if outcome.decision is not Decision.WRITE:
            return None
        note = f"{promotion.token} is commit {outcome.commit}"
        ctx.events.normal(self.desired, "PromotionCommitted", note)
        return "committed"

    def _write(self, promotion: Promotion, builder: Builder) -> Outcome:
        committer = self._committer(builder)
        if committer is None:
            return Outcome(Decision.ABSENT)
        records, token = self.memory.records, promotion.token
        known = records.pushed_to(token, self._followed)
        writer = Writer(committer, lambda _token: known)
        with self.memory.source.alone():
            outcome = writer.write(promotion)
        if outcome.commit:
            records.add_promotion(token, outcome.commit, self._followed)
        return outcome

    async def propose(
        self,
        ctx: Context,
        branch: str,
        promotions: Sequence[Promotion],
        builder: Builder,
        now: float,
    ) -> Written | None:
        """Write promotions to the branch of proposals; else as `commit`."""
        self.memory.proposals = None
        try:
            made = await self.threads.run(
                self._propose, branch, promotions, builder
            )
        except (PushError, BuildError, SourceError) as error:
            names = ", ".join(p.token for p in promotions)
            self._failed(ctx, names, error, now)
            return "failed"
        self.memory.write_failure = None
        if not made:
            return None
        names = ", ".join(f"{t} is commit {c}" for t, c in made.items())
        into = self._followed.removeprefix(HEADS)
        note = f"{names} on branch {branch}: merge it into {into}"
        ctx.events.normal(self.desired, "PromotionProposed", note)
        return "proposed"

    def _propose(
        self, branch: str, promotions: Sequence[Promotion], builder: Builder
    ) -> Mapping[str, str]:
        committer = self._committer(builder)
        if committer is None:
            return {}
        records, ref = self.memory.records, HEADS + branch
        proposer = Proposer(
            committer, branch, lambda token: records.pushed_to(token, ref)
        )
        with self.memory.source.alone():
            made = proposer.write(promotions)
        for token, commit in made.items():
            records.add_promotion(token, commit, ref)
        return made

    def _committer(self, builder: Builder) -> Committer | None:
        spec, inputs = self.desired.spec, self.memory.inputs
        mirror: Mirror | None = self.memory.source.mirror(spec)
        if mirror is None:
            return None
        directories = directories_of(spec)
        ignore = spec.git.ignore if spec.git else None
        return Committer(
            mirror,
            spec.path,
            builder,
            spec.write_back,
            inputs.signing,
            inputs.policy,
            ignored_by(ignore),
            directories,
            whole=not (ignore or directories),
            kustomize=self.memory.kustomize,
        )

    def _failed(
        self,
        ctx: Context,
        what: str,
        error: PushError | BuildError | SourceError,
        now: float,
    ) -> None:
        problem = Problem(_reason(error), f"{what}: {error}")
        old = self.memory.write_failure
        if old is None or old.problem != problem:
            ctx.events.warning(self.desired, problem.reason, problem.message)
        failure = self.memory.failed(self.desired, problem, now)
        self.memory.write_failure = failure


def _those(
    decided: Iterable[tuple[Promotion, Decision]], wanted: Decision
) -> tuple[Promotion, ...]:
    return tuple(p for p, decision in decided if decision is wanted)


def _reason(error: PushError | BuildError | SourceError) -> str:
    if isinstance(error, PushError):
        return error.reason
    if isinstance(error, SigningKeyError):
        return "SigningKeyInvalid"
    return "BuildFailed" if isinstance(error, BuildError) else "PushFailed"
