"""What a VectorIndex needs, from its spec and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from typing_extensions import override

from reconciler.engine.conditions import Conditions, Truth, timestamp
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import ANNOTATIONS, parse_duration
from reconciler.indexes.observation import (
    Answering,
    BuildRun,
    Built,
    IndexFacts,
)
from reconciler.indexes.resource import (
    Build,
    Latency,
    Progress,
    VectorIndex,
    VectorIndexStatus,
)
from reconciler.retrieval.approximate.tier import explained
from reconciler.runs.attempts import retry_at

STALE = "Stale"
APPROXIMATE = "Approximate"
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class ExportRows(Action):
    """Write the rows of the feedback store to where a build reads them."""

    source: str


@dataclass(frozen=True)
class StartBuild(Action):
    """Start, resume or retry the run that builds the next generation."""

    run: str
    retry: bool = False

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"{'retry' if self.retry else 'start'} build {self.run}"


@dataclass(frozen=True)
class StopBuild(Action):
    """Stop a run; what it embedded is kept."""

    run: str


@dataclass(frozen=True)
class RemoveLeftovers(Action):
    """Remove the run directories and rows of builds that have ended."""


@dataclass(frozen=True)
class EnsureServer(Action):
    """Have the serving process run."""


@dataclass(frozen=True)
class Deploy(Action):
    """Ask the serving process to answer from the index."""

    device: str


@dataclass(frozen=True)
class Undeploy(Action):
    """Ask the serving process to forget the index."""


@dataclass(frozen=True)
class RemoveIndex(Action):
    """Delete the files of the index."""


def plan(
    desired: VectorIndex, facts: IndexFacts, now: datetime
) -> Plan[VectorIndexStatus]:
    """Compare an index with its source and with what answers."""
    if not facts.ours:
        # It may have been ours: spec.node moved it.
        undeploy = Undeploy(_key(desired, "undeploy"))
        moved = (undeploy,) if facts.known_to_server else ()
        return Plan(desired.status, moved)
    if desired.deleting:
        return _plan_deletion(desired, facts)
    actions = tuple(_actions(desired, facts, now))
    return Plan(
        _report(desired, facts, now),
        actions,
        _pause(desired, facts, actions, now),
        # Two nodes may see that nobody has it yet: one of them gets it.
        claim=facts.node != desired.status.node,
    )


def _plan_deletion(
    desired: VectorIndex, facts: IndexFacts
) -> Plan[VectorIndexStatus]:
    abandoned = ANNOTATIONS.abandon in desired.metadata.annotations
    doomed = desired.spec.deletion_policy == "Delete" and not abandoned
    actions = list[Action]()
    if facts.known_to_server:
        actions.append(Undeploy(_key(desired, "undeploy")))
    if facts.other_run is not None:
        actions.append(StopBuild(_key(desired, "stop"), facts.other_run))
    elif facts.leftovers:
        actions.append(RemoveLeftovers(_key(desired, "leftovers")))
    elif doomed and facts.on_disk:
        actions.append(RemoveIndex(_key(desired, "remove")))
    return Plan(desired.status, tuple(actions), release=not actions)


def served_name(index: VectorIndex) -> str:
    """Name of the index in requests: its own in the default namespace."""
    meta = index.metadata
    if meta.namespace == "default":
        return meta.name
    return f"{meta.namespace}--{meta.name}"


def in_sync(facts: IndexFacts) -> bool:
    """Whether the newest generation is what the source asks for."""
    built, answering = facts.built, facts.answering
    damaged = answering.damaged if answering else None
    if answering is not None and answering.graph_damaged:
        damaged = damaged or answering.generation
    return (
        built is not None
        and built.wanted == facts.wanted
        and built.generation == facts.current
        and built.generation != damaged
    )


def _actions(
    desired: VectorIndex, facts: IndexFacts, now: datetime
) -> Iterator[Action]:
    if desired.spec.suspend:
        if facts.other_run is not None:
            yield StopBuild(_key(desired, "stop"), facts.other_run)
        elif facts.run is not None and facts.run.phase == "Running":
            yield StopBuild(_key(desired, "stop"), facts.run.name)
    elif not facts.problems and not in_sync(facts):
        yield from _build_actions(desired, facts, now)
    elif facts.leftovers and facts.other_run is None:
        yield RemoveLeftovers(_key(desired, "leftovers"))
    yield from _serving_actions(desired, facts)


def _build_actions(
    desired: VectorIndex, facts: IndexFacts, now: datetime
) -> Iterator[Action]:
    wanted, run = facts.wanted, facts.run
    if wanted is None or run is None:
        return
    if facts.other_run is not None:
        # An older state of the source is better than none; it ends soon.
        if facts.other_recipe:
            yield StopBuild(_key(desired, "stop"), facts.other_run)
        return
    if not facts.exported:
        key = _key(desired, "export", wanted.source)
        yield ExportRows(key, wanted.source)
    if run.phase in {"Pending", "Preempted"}:
        yield StartBuild(_key(desired, "build", run.name), run.name)
    elif run.phase == "Failed" and _may_retry(desired, run, now):
        key = _key(desired, "build", run.name, run.failures)
        yield StartBuild(key, run.name, retry=True)
    elif run.phase == "Succeeded":
        # Its generation was damaged, removed or replaced: begin again.
        yield RemoveLeftovers(_key(desired, "leftovers"))


def _may_retry(desired: VectorIndex, run: BuildRun, now: datetime) -> bool:
    annotations = desired.metadata.annotations
    asked = annotations.get(ANNOTATIONS.requested_at)
    if asked not in {None, desired.status.last_handled_reconcile_at}:
        return True
    return now >= _retry_at(desired, run, now)


def _retry_at(desired: VectorIndex, run: BuildRun, now: datetime) -> datetime:
    """When a failed build is tried again: soon, then now and then."""
    if run.failed_at is None:
        return now
    if run.failures <= desired.spec.backoff_limit:
        return retry_at(run.failures, run.failed_at, now)
    return run.failed_at + parse_duration(desired.spec.retry_interval)


def _serving_actions(
    desired: VectorIndex, facts: IndexFacts
) -> Iterator[Action]:
    if facts.current is None or facts.device is None:
        return
    if not facts.server_alive:
        yield EnsureServer(_key(desired, "server"))
    if not facts.deployed:
        yield Deploy(_key(desired, "deploy", facts.device), facts.device)


def _pause(
    desired: VectorIndex,
    facts: IndexFacts,
    actions: tuple[Action, ...],
    now: datetime,
) -> float | None:
    """Seconds until the next look."""
    interval = parse_duration(desired.spec.interval).total_seconds()
    run = facts.run
    if desired.spec.suspend:
        return max(interval, POLL_SECONDS)  # it goes on to answer
    if run is not None and run.phase == "Failed" and run.failed_at is not None:
        until = (_retry_at(desired, run, now) - now).total_seconds()
        return min(max(until, POLL_SECONDS), max(interval, POLL_SECONDS))
    waiting = facts.current is not None and _waiting_for(facts) is not None
    busy = not in_sync(facts) and not facts.problems
    if actions or waiting or busy:
        return POLL_SECONDS
    return max(interval, POLL_SECONDS)


def _waiting_for(facts: IndexFacts) -> str | None:
    """What the serving process has not done yet."""
    answering = facts.answering
    if answering is None or answering.generation is None:
        why = answering.message if answering else ""
        return why or "the serving process loads it"
    if answering.generation != facts.current:
        why = f": {answering.message}" if answering.message else ""
        return f"generation {answering.generation} still answers{why}"
    return None


def _report(
    desired: VectorIndex,
    facts: IndexFacts,
    now: datetime,
) -> VectorIndexStatus:
    conditions = Conditions(
        desired.status.conditions, desired.metadata.generation, now
    )
    since = _pending_since(desired, facts, now)
    _judge(conditions, desired, facts, since, now)
    _judge_tier(conditions, desired, facts)
    handled = desired.metadata.annotations.get(ANNOTATIONS.requested_at)
    update: dict[str, Any] = {
        "observed_generation": desired.metadata.generation,
        "conditions": conditions.build(),
        "last_handled_reconcile_at": handled
        or desired.status.last_handled_reconcile_at,
        "node": facts.node,
        "index": served_name(desired),
        "device": facts.device or desired.status.device,
        "pending_since": since,
        "progress": _progress(facts),
        "endpoint": facts.endpoint or desired.status.endpoint,
    }
    update |= _of_build(desired.status, facts.built)
    update |= _of_answers(facts.answering)
    return desired.status.model_copy(update=update)


def _pending_since(
    desired: VectorIndex, facts: IndexFacts, now: datetime
) -> str | None:
    if in_sync(facts):
        return None
    if facts.wanted is None and facts.current is not None:
        return desired.status.pending_since  # nothing can be said now
    return desired.status.pending_since or timestamp(now.astimezone(UTC))


def _judge(
    conditions: Conditions,
    desired: VectorIndex,
    facts: IndexFacts,
    since: str | None,
    now: datetime,
) -> None:
    waited = _seconds_since(since, now)
    limit = parse_duration(desired.spec.freshness)
    stale = facts.current is not None and waited > limit.total_seconds()
    if stale:
        text = f"the index lacks what the source has since {since}"
        conditions.set(STALE, "True", "Lagging", text)
    else:
        conditions.remove(STALE)
    if desired.spec.suspend:
        conditions.stalled("Suspended", "spec.suspend is set")
        return
    if facts.problems:
        first = facts.problems[0]
        tell = conditions.stalled if first.lasting else conditions.progressing
        tell(first.reason, "; ".join(p.message for p in facts.problems))
        return
    failure = _failure(desired, facts)
    if failure is not None:
        conditions.stalled("BuildFailed", failure)
    elif facts.current is None:
        conditions.progressing("Building", _building(facts))
    elif (waiting := _waiting_for(facts)) is not None:
        conditions.progressing("Deploying", waiting)
    elif stale or _is_of_another_recipe(facts):
        conditions.progressing("Building", _building(facts))
    elif in_sync(facts):
        conditions.ready("InSync", _summary(facts))
    else:
        # Fresh enough: what answers is the index that was asked for.
        conditions.ready("Refreshing", _building(facts))


def _judge_tier(
    conditions: Conditions, desired: VectorIndex, facts: IndexFacts
) -> None:
    """Whether a graph answers where the spec lets one."""
    tier = facts.built.tier if facts.built else None
    answering = facts.answering
    if desired.spec.approximate_above is None:
        conditions.remove(APPROXIMATE)
    elif tier is None:
        text = "exact: no graph was made yet"
        conditions.set(APPROXIMATE, "False", "Building", text)
    elif answering is not None and answering.graph_fault:
        text = f"exact: {answering.graph_fault}"
        conditions.set(APPROXIMATE, "False", "GraphUnusable", text)
    else:
        truth: Truth = "True" if tier.state == "Approximate" else "False"
        conditions.set(APPROXIMATE, truth, tier.state, explained(tier))


def _is_of_another_recipe(facts: IndexFacts) -> bool:
    built, wanted = facts.built, facts.wanted
    return (
        built is None
        or wanted is None
        or built.wanted.recipe != wanted.recipe
        or built.generation != facts.current
    )


def _failure(desired: VectorIndex, facts: IndexFacts) -> str | None:
    run = facts.run
    if run is None or in_sync(facts):
        return None
    if run.phase == "Invalid":
        return run.message
    if run.phase == "Failed" and run.failures > desired.spec.backoff_limit:
        return (
            f"{run.failures} times: {run.message}; tried again after "
            f"{desired.spec.retry_interval}, or when the source changes"
        )
    return None


def _building(facts: IndexFacts) -> str:
    run = facts.run
    if run is not None and run.phase == "Failed":
        return f"failed {run.failures} times, tried again soon: {run.message}"
    if run is None or run.phase != "Running":
        return "a build is about to start"
    if run.max_steps and run.step >= run.max_steps:
        return f"{run.step} texts embedded; the generation is being finished"
    if run.max_steps:
        return f"{run.step} of {run.max_steps} texts embedded"
    return "reading the documents"


def _summary(facts: IndexFacts) -> str:
    built = facts.built
    if built is None:
        return "the index answers"
    text = f"{built.documents} documents, {built.passages} passages"
    return f"{text}, {built.skipped} left out" if built.skipped else text


def _seconds_since(since: str | None, now: datetime) -> float:
    if since is None:
        return 0.0
    return (now - datetime.fromisoformat(since)) / timedelta(seconds=1)


def _progress(facts: IndexFacts) -> Progress | None:
    run = facts.run
    if run is None or run.phase != "Running" or in_sync(facts):
        return None
    eta = run.eta_seconds
    return Progress(
        embedded=run.step,
        texts=run.max_steps,
        estimated_remaining_seconds=None if eta is None else round(eta),
    )


def _of_build(live: VectorIndexStatus, built: Built | None) -> dict[str, Any]:
    if built is None:
        return {"documents": 0, "passages": 0, "recall": None, "build": None}
    update: dict[str, Any] = {
        "documents": built.documents,
        "passages": built.passages,
        "recall": None if built.recall is None else f"{built.recall:.4f}",
        "build": Build(
            run=built.run,
            embedded=built.embedded,
            reused=built.reused,
            skipped=built.skipped,
            seconds=f"{built.seconds:.1f}",
            finished_at=built.finished_at,
        ),
    }
    known = live.build.run if live.build else None
    if live.pending_since is not None and known != built.run:
        end = datetime.fromisoformat(built.finished_at)
        lag = max(0.0, _seconds_since(live.pending_since, end))
        update["lag"] = f"{lag:.0f}"
    return update


def _of_answers(answering: Answering | None) -> dict[str, Any]:
    if answering is None:
        return {"generation": None}
    update: dict[str, Any] = {"generation": answering.generation}
    if answering.questions:
        update["latency"] = Latency(
            p50_milliseconds=f"{answering.p50:.2f}",
            p99_milliseconds=f"{answering.p99:.2f}",
            questions=answering.questions,
        )
    return update


def _key(desired: VectorIndex, *parts: object) -> str:
    return action_key(desired.metadata.uid, *parts)
