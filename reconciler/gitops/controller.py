"""ConfigRepository: follow a source and make the API server agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.engine.controller import (
    Client,
    Context,
    Objects,
    Role,
    TransientError,
    Watch,
)
from reconciler.engine.errors import (
    AccessDeniedError,
    InvalidError,
    NotFoundError,
)
from reconciler.engine.plan import Action
from reconciler.engine.resource import (
    ANNOTATIONS,
    API_VERSION,
    ObjectKey,
    Resource,
    parse_duration,
)
from reconciler.gitops.claims import Claims
from reconciler.gitops.concurrent import about
from reconciler.gitops.credentials import CredentialsError
from reconciler.gitops.dependencies import dependents, held_back
from reconciler.gitops.directory import DirectoryWatch
from reconciler.gitops.drift import DRIFT_DETECTED, drift
from reconciler.gitops.enforce import Enforcer, scopes
from reconciler.gitops.exposed import EXPOSED, exposed, warning
from reconciler.gitops.guard import guarded
from reconciler.gitops.health import examined
from reconciler.gitops.inputs import load_inputs
from reconciler.gitops.live import apply, refusal, stale
from reconciler.gitops.manifest import DesiredObject, api_version
from reconciler.gitops.memory import Done, Memory
from reconciler.gitops.metrics import GitOpsMetrics, Written
from reconciler.gitops.observation import UNVERIFIED, Observation, Problem
from reconciler.gitops.plan import (
    Acknowledge,
    Apply,
    Commit,
    ConfigPlan,
    Propose,
    Prune,
    Replace,
    Tell,
    plan,
)
from reconciler.gitops.promote import (
    Promoter,
    Promotions,
    no_promotions,
    writing_back,
)
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.receiver import Receiver
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.signers import SignersError
from reconciler.gitops.source import Look, local_path
from reconciler.gitops.threads import Threads
from reconciler.gitops.tree import SourceError

__all__ = [
    "ConfigRepositoryController",
    "Promotion",
    "Promotions",
    "writing_back",
]

_REFUSED = (InvalidError, NotFoundError, AccessDeniedError)


class ConfigRepositoryController:
    """Implements `Controller` for ConfigRepository.

    Args:
        root: folder for mirrors and records (``STATE/repositories``).
        promotions: tells which promotions wait to be committed.
        watches: other kinds whose changes concern a repository.
        clock: monotonic seconds.
        receiver: where pushes are told.
    """

    kind: type[ConfigRepository] = ConfigRepository
    role: Role = "controller"
    finalizer = True

    def __init__(
        self,
        root: Path,
        promotions: Promotions = no_promotions,
        watches: Sequence[Watch] = (),
        clock: Callable[[], float] = time.monotonic,
        receiver: Receiver | None = None,
    ) -> None:
        own = Watch(ConfigRepository, _dependents)
        self.watches: Sequence[Watch] = (*watches, own)
        self._root = root
        self._promotions = promotions
        self._clock = clock
        self._memories: dict[ObjectKey, tuple[str, Memory]] = {}
        self._watch = DirectoryWatch()
        self._receiver = receiver or Receiver()
        self._threads = Threads()
        self.metrics = GitOpsMetrics()

    async def stop(self) -> None:
        """Stop watching directories, and break off fetches and builds."""
        await self._watch.stop()
        await self._threads.stop()

    def _memory(self, desired: ConfigRepository) -> Memory:
        """What is remembered; a namesake with another uid is another."""
        meta = desired.metadata
        known = self._memories.get(desired.key)
        if known is None or known[0] != meta.uid:
            known = (meta.uid, Memory.of(desired, self._root))
            self._memories[desired.key] = known
            fetched, where = self.metrics.fetched, (meta.namespace, meta.name)
            known[1].source.halt = self._threads.halt
            known[1].source.measured = lambda fetch: fetched(*where, fetch)
        return known[1]

    def _forget(self, desired: ConfigRepository, objects: Objects) -> None:
        """Drop what belongs to repositories that are gone."""
        there = {r.key for r in objects.list(ConfigRepository)}
        for key in set(self._memories) - there - {desired.key}:
            del self._memories[key]
            self._watch.forget(str(key))
            self._receiver.forget(str(key))
            self.metrics.forget(key.namespace, key.name)

    async def observe(
        self, ctx: Context, desired: ConfigRepository
    ) -> Observation:
        """Read the source if it is time, and compare with the server.

        Raises:
            TransientError: the API server does not answer.
        """
        self._forget(desired, ctx.objects)
        memory = self._memory(desired)
        self._follow(ctx, desired, memory)
        if desired.deleting:
            return await self._leaving(ctx, desired, memory)
        if desired.spec.suspend:
            return Observation()
        now = self._clock()
        look = await self._look(ctx, desired, memory, now)
        look = held_back(ctx.objects, desired, look)
        enforcer = Enforcer(
            ctx.client,
            _actor(ctx, desired),
            self._threads,
            desired,
            memory,
            Claims(ctx.objects, desired.key),
        )
        found = memory.judge(desired, await enforcer.observe(look), now)
        if found.objects is not None:
            keep = frozenset(s.desired.id for s in found.objects)
            inventory = desired.status.inventory
            gone = await stale(
                _actor(ctx, desired), inventory, keep, memory.ownership
            )
            found = guarded(desired, replace(found, stale=gone))
        found, memory.deadline = await examined(
            _actor(ctx, desired), desired, found, memory.deadline, now
        )
        found = await self._promoted(ctx, desired, memory, found)
        told = self._receiver.path(str(desired.key))
        found = replace(found, webhook=told)
        _announce(ctx, desired, memory, found, look)
        return found

    async def _look(
        self,
        ctx: Context,
        desired: ConfigRepository,
        memory: Memory,
        now: float,
    ) -> Look:
        """What the source says; it is not asked without its Secrets."""
        try:
            memory.inputs = await load_inputs(ctx.client, desired)
        except CredentialsError as error:
            unsigned = isinstance(error, SignersError)
            reason = UNVERIFIED if unsigned else "AuthenticationFailed"
            problem = Problem(reason, str(error))
            head = desired.status.last_attempted_revision
            return Look(None, problem, head)
        memory.source.credentials = memory.inputs.credentials
        memory.source.policy = memory.inputs.policy
        self._listen(ctx, desired, memory)
        return await self._threads.run(memory.source.look, desired, now)

    async def _promoted(
        self,
        ctx: Context,
        desired: ConfigRepository,
        memory: Memory,
        found: Observation,
    ) -> Observation:
        promoter = Promoter(self._threads, desired, memory)
        try:
            state = await promoter.observe(
                ctx.objects, self._promotions, found, self._clock()
            )
        except SourceError as error:
            memory.source.dirty = True  # the mirror may be damaged
            msg = f"cannot read the history of the branch: {error}"
            raise TransientError(msg) from error
        return replace(found, write_back=state)

    def _follow(
        self, ctx: Context, desired: ConfigRepository, memory: Memory
    ) -> None:
        """Have a save, or a commit to a local repository, start a pass."""

        def changed() -> None:
            memory.source.dirty = True
            ctx.enqueue(desired.key)

        name = str(desired.key)
        path = local_path(desired.spec)
        idle = desired.deleting or desired.spec.suspend
        if idle:
            self._receiver.forget(name)
        if path is None or idle:
            self._watch.forget(name)
            return
        self._watch.follow(name, path, changed)

    def _listen(
        self, ctx: Context, desired: ConfigRepository, memory: Memory
    ) -> None:
        """Have a push, if the forge tells of it, start a pass."""

        def pushed() -> None:
            memory.source.hinted = True
            ctx.enqueue(desired.key)

        name, hook = str(desired.key), memory.inputs.hook
        if hook is None:
            self._receiver.forget(name)
        else:
            self._receiver.expect(name, hook, pushed)

    async def _leaving(
        self, ctx: Context, desired: ConfigRepository, memory: Memory
    ) -> Observation:
        """The inventory of a repository that is being deleted."""
        inventory = desired.status.inventory
        gone = await stale(
            _actor(ctx, desired), inventory, frozenset(), memory.ownership
        )
        found = memory.judge(desired, Observation(stale=gone), self._clock())
        return guarded(desired, found)

    def plan(
        self, desired: ConfigRepository, observed: Observation, now: datetime
    ) -> ConfigPlan:
        """Pure: see `reconciler.gitops.plan.plan`."""
        return plan(desired, observed, now)

    async def act(
        self, ctx: Context, desired: ConfigRepository, action: Action
    ) -> None:
        """Carry out one action.

        A refusal is remembered and reported by the next pass; what is left
        of the plan is skipped.

        Raises:
            TransientError: the server did not answer.
        """
        memory = self._memory(desired)
        match action:
            case Apply():
                await self._apply(ctx, desired, memory, action)
            case Replace():
                await self._replace(ctx, desired, memory, action)
            case Prune():
                await self._prune(ctx, desired, memory, action)
            case Commit() | Propose():
                await self._commit(ctx, desired, memory, action)
            case Acknowledge():
                await _acknowledge(ctx, memory, action)
            case Tell():
                self._count(desired, memory)
                _tell(ctx, desired, memory, action)
            case _:
                msg = f"unknown action {action}"
                raise TypeError(msg)

    def _count(self, desired: ConfigRepository, memory: Memory) -> None:
        meta = desired.metadata
        for verb, number in memory.done.counts.items():
            self.metrics.applied(meta.namespace, meta.name, verb, number)

    async def _apply(
        self,
        ctx: Context,
        desired: ConfigRepository,
        memory: Memory,
        action: Apply,
    ) -> None:
        if await self._written(ctx, desired, memory, action.object):
            memory.done.count("configured" if action.exists else "created")

    async def _replace(
        self,
        ctx: Context,
        desired: ConfigRepository,
        memory: Memory,
        action: Replace,
    ) -> None:
        """Delete, and create unless something keeps the old one for now."""
        if memory.failure is not None:
            return
        item, client = action.object, _actor(ctx, desired)
        where = (item.api_version, item.id.kind, item.id.namespace or None)
        uid = action.replaced.uid
        with about(f"{item.origin}: {item.id}"):
            try:
                await client.delete(*where, item.id.name, uid=uid)
            except _REFUSED as error:
                problem = Problem("ReconciliationFailed", refusal(item, error))
                memory.fail(desired, problem, self._clock())
                return
            note = f"{item.id} is deleted and created again: {action.why}"
            ctx.events.normal(desired, "Replaced", note)
            left = await client.get(*where, item.id.name)
        if left is None and await self._written(ctx, desired, memory, item):
            memory.done.count("replaced")

    async def _written(
        self,
        ctx: Context,
        desired: ConfigRepository,
        memory: Memory,
        item: DesiredObject,
    ) -> bool:
        """Whether an object was applied; a refusal is remembered."""
        if memory.failure is not None:
            return False
        timeout = parse_duration(desired.spec.timeout).total_seconds()
        with about(f"{item.origin}: {item.id}"):
            try:
                async with asyncio.timeout(timeout):
                    live = await apply(_actor(ctx, desired), item)
            except _REFUSED as error:
                text = refusal(item, error)
                problem = Problem("ReconciliationFailed", text)
                memory.fail(desired, problem, self._clock())
                return False
            except TimeoutError as error:
                msg = f"took more than {timeout:g}s"
                raise TransientError(msg) from error
        memory.inspector.applied(item, live)
        return True

    async def _prune(
        self,
        ctx: Context,
        desired: ConfigRepository,
        memory: Memory,
        action: Prune,
    ) -> None:
        failure = memory.failure
        if failure and failure.problem.reason != "PruneFailed":
            return
        item = action.object
        full = api_version(item.id.group, item.version)
        where = item.id.namespace or None
        with about(str(item.id)):
            try:
                was = await _actor(ctx, desired).delete(
                    full, item.id.kind, where, item.id.name, uid=item.uid
                )
            except _REFUSED as error:
                problem = Problem("PruneFailed", f"{item.id}: {error}")
                memory.fail(desired, problem, self._clock())
                return
        if was:
            memory.done.count("pruned")

    async def _commit(
        self,
        ctx: Context,
        desired: ConfigRepository,
        memory: Memory,
        action: Commit | Propose,
    ) -> None:
        known = await scopes(ctx.client)
        builder = memory.builder(desired, known)
        promoter = Promoter(self._threads, desired, memory)
        now = self._clock()
        if isinstance(action, Commit):
            done: Written | None = await promoter.commit(
                ctx, action.promotion, builder, now
            )
        else:
            opened = action.promotions
            where = action.branch
            done = await promoter.propose(ctx, where, opened, builder, now)
        if done is not None:
            meta = desired.metadata
            self.metrics.written(meta.namespace, meta.name, done)


def _dependents(changed: Resource, objects: Objects) -> list[ObjectKey]:
    if not isinstance(changed, ConfigRepository):
        return []
    return dependents(changed, objects)


def _actor(ctx: Context, desired: ConfigRepository) -> Client:
    """The API server with the rights that the objects are handled with."""
    account = desired.spec.service_account_name
    if account is None:
        return ctx.client
    namespace = desired.metadata.namespace
    return ctx.client.acting_as(f"system:serviceaccount:{namespace}:{account}")


async def _acknowledge(
    ctx: Context, memory: Memory, action: Acknowledge
) -> None:
    told = action.promotion
    noted = {ANNOTATIONS.promotion_recorded: told.generation}
    await ctx.client.merge_patch(
        API_VERSION,
        "Model",
        told.namespace,
        told.model,
        {"metadata": {"annotations": noted}},
    )
    memory.acknowledged.add(told.token)


def _announce(
    ctx: Context,
    desired: ConfigRepository,
    memory: Memory,
    found: Observation,
    look: Look,
) -> None:
    """Warn once of a new problem, and of history that was rewritten."""
    if look.rewritten:
        note = f"{look.rewritten} is no longer in the branch; followed it"
        head = look.head or ""
        ctx.events.warning(desired, "HistoryRewritten", note, revision=head)
    _announce_problem(ctx, desired, memory, found)
    text = drift(desired, found)
    if text is not None and text != memory.told_drift:
        revision = found.enforced or ""
        ctx.events.warning(desired, DRIFT_DETECTED, text, revision=revision)
    memory.told_drift = text
    _warn_of_exposed(ctx, desired, memory, found)


def _warn_of_exposed(
    ctx: Context, desired: ConfigRepository, memory: Memory, found: Observation
) -> None:
    """Warn once for a revision of its Secrets that are not encrypted."""
    revision = found.enforced
    if revision in (None, memory.told_plain, desired.status.revision_in_force):
        return
    memory.told_plain = revision
    plain = exposed(state.desired for state in found.objects or ())
    if plain:
        ctx.events.warning(desired, EXPOSED, warning(str(revision), plain))


def _announce_problem(
    ctx: Context, desired: ConfigRepository, memory: Memory, found: Observation
) -> None:
    """Warn once of a problem of a revision."""
    problem, revision = found.problem, found.head or ""
    if problem is None:
        memory.told = None
    elif memory.told != (problem, revision):
        memory.told = (problem, revision)
        ctx.events.warning(
            desired, problem.reason, problem.message, revision=revision
        )


def _tell(
    ctx: Context, desired: ConfigRepository, memory: Memory, action: Tell
) -> None:
    """One event for all that a pass did."""
    done, memory.done = memory.done.describe(), Done()
    if done:
        note = f"{action.revision}: {done}"
        ctx.events.normal(desired, "Applied", note, revision=action.revision)
