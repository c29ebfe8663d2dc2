"""Planning of a Model: which generation serves, and getting it there.

Pure. The old generation serves until the new one has answered; the pointer
of the dataset moves after that, and a snapshot holds what it points at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.engine.conditions import Conditions, timestamp
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import ANNOTATIONS, Status
from reconciler.generations import lineage
from reconciler.generations.model_actions import (
    Activate,
    Deploy,
    EnsureServer,
    Hold,
    Release,
    StoreGeneration,
    Undeploy,
    slot,
)
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
    ModelStatus,
    PromotionRecord,
    RefusedGeneration,
    ServedGeneration,
)

POLL_SECONDS = 0.25
CHECK_SECONDS = 10.0
"""How often a model that serves is looked at: a dead server tells nobody."""

LINEAGE_LIMIT = 50


@dataclass(frozen=True)
class Served:
    """What the serving process says of the model."""

    generation: str
    digest: str
    device: str
    state: str
    """Serving, Loading or Failed."""

    message: str = ""


@dataclass(frozen=True)
class Observed:
    """What a model's controller sees."""

    ours: bool = True
    """Whether this node holds the model's data; another one acts if not."""

    node: str | None = None
    """This node, if it holds the data; the one that was said before if the
    data is nowhere."""

    generations: Sequence[ModelGeneration] = ()
    missing: str | None = None
    """The first thing that it refers to and that is not there (yet)."""

    device: str | None = None
    """First preferred device that this node has."""

    device_problem: str = ""
    stored: frozenset[str] = frozenset()
    """Slots of the dataset that hold a generation."""

    held: frozenset[str] = frozenset()
    """Slots that a snapshot of ours holds."""

    pointer: str | None = None
    """Slot that the dataset points at."""

    server_alive: bool = False
    endpoint: str | None = None
    wanted: tuple[str, str, str] | None = None
    """(generation, digest, device) that the serving process was asked for,
    if the directory that it was told of is still the right one."""

    served: Served | None = None


def choose(
    desired: Model, generations: Sequence[ModelGeneration]
) -> str | None:
    """Name of the generation that should serve.

    A pin in spec.generation decides, with one exception: a promotion that is
    newer than the pin serves until the pin was brought up to date by
    write-back; once it was, changing the pin (git revert) decides again.
    """
    pin = desired.spec.generation
    production = lineage.production_of(desired)
    if desired.spec.suspend:
        return production
    if desired.spec.promotion.mode == "Manual":
        return pin or production
    record = desired.status.promotion
    newest = lineage.newest_passed(generations)
    promoted = record.generation if record else None
    seen = record.number if record else lineage.number_of(generations, pin)
    if newest is not None and newest.spec.number > seen:
        return newest.metadata.name
    if record is not None and _pin_is_behind(record, pin):
        return record.generation
    return pin or promoted


def _pin_is_behind(record: PromotionRecord, pin: str | None) -> bool:
    return record.state == "Pending" and pin == record.previous_pin


def plan(desired: Model, observed: Observed, now: datetime) -> Plan[Status]:
    """Decide the next step of a model."""
    if not observed.ours:
        return _elsewhere(desired, observed)
    if desired.deleting:
        return _delete(desired, observed)
    return _Planner(desired, observed, now).plan()


def _elsewhere(desired: Model, observed: Observed) -> Plan[Status]:
    """Another node serves it; stop if we did before its data was moved."""
    if observed.wanted is None:
        return Plan(desired.status)
    key = action_key(desired.metadata.uid, "undeploy")
    return Plan(desired.status, (Undeploy(key),))


def _delete(desired: Model, observed: Observed) -> Plan[Status]:
    uid = desired.metadata.uid
    if observed.wanted is not None:
        return Plan(desired.status, (Undeploy(action_key(uid, "undeploy")),))
    if observed.held:
        releases = [
            Release(action_key(uid, "release", held), held)
            for held in sorted(observed.held)
        ]
        return Plan(desired.status, tuple(releases))
    return Plan(desired.status, release=True)


class _Planner:
    """One pass over one model."""

    def __init__(
        self, desired: Model, observed: Observed, now: datetime
    ) -> None:
        self.desired = desired
        self.observed = observed
        self.now = now
        self.generations = lineage.of_model(
            observed.generations, desired.metadata.name
        )
        self.status: ModelStatus = desired.status
        self.problem: str | None = None
        self.conditions = Conditions(
            desired.status.conditions, desired.metadata.generation, now
        )

    def plan(self) -> Plan[Status]:
        """The next step."""
        if self.observed.missing is not None:
            self.conditions.waiting(
                "DependencyNotReady", self.observed.missing
            )
            return self._report()
        self._forget_refusal()
        self._acknowledge()
        name = self._usable(choose(self.desired, self.generations))
        if name is None:
            return self._nothing()
        target = self._find(name)
        if target is None or not lineage.passed(target):
            return self._unusable(name, target)
        if self.observed.device is None:
            self.conditions.stalled(
                "DeviceUnavailable", self.observed.device_problem
            )
            return self._report()
        return self._drive(target, self.observed.device)

    def _acknowledge(self) -> None:
        """From the moment that Git has recorded a promotion the pin rules."""
        record, pin = self.status.promotion, self.desired.spec.generation
        if record is None or not self._is_recorded(record, pin):
            return
        record = record.model_copy(update={"state": "Recorded"})
        self.status = self.status.model_copy(update={"promotion": record})
        self.desired = self.desired.model_copy(update={"status": self.status})

    def _nothing(self) -> Plan[Status]:
        """There is nothing to serve; say why."""
        if self.problem is not None:
            self.conditions.stalled("DeploymentFailed", self.problem)
            return self._report(requeue_after=CHECK_SECONDS)
        if self.desired.spec.suspend:
            self.conditions.ready("Suspended", "nothing serves")
        else:
            self.conditions.waiting(
                "NoGeneration", "no generation has passed its gate yet"
            )
        return self._report()

    def _forget_refusal(self) -> None:
        """What serves after all was refused too early."""
        served, refused = self.observed.served, self.status.refused
        if served is None or refused is None:
            return
        if (served.generation, served.state) == (
            refused.generation,
            "Serving",
        ):
            self.status = self.status.model_copy(update={"refused": None})

    def _usable(self, name: str | None) -> str | None:
        """What to serve instead, if the choice could not be loaded."""
        refused = self.status.refused
        if refused is None or refused.generation != name:
            return name
        asked = self.desired.metadata.annotations.get(ANNOTATIONS.requested_at)
        if (
            asked is not None
            and asked != self.status.last_handled_reconcile_at
        ):
            self.status = self.status.model_copy(update={"refused": None})
            return name
        production = lineage.production_of(self.desired)
        if production == name:
            production = None
        self.problem = (
            f"{name}: {refused.message}; {production or 'nothing'} serves"
        )
        return production

    def _find(self, name: str) -> ModelGeneration | None:
        return next(
            (g for g in self.generations if g.metadata.name == name), None
        )

    def _unusable(
        self, name: str, target: ModelGeneration | None
    ) -> Plan[Status]:
        if target is None:
            reason, problem = "GenerationNotFound", "does not exist"
        elif lineage.finished(target):
            reason = "GenerationRefused"
            problem = f"is {lineage.phase(target)}"
        else:
            self.conditions.waiting(
                "GenerationNotReady",
                f"spec.generation {name} is {lineage.phase(target)}",
            )
            return self._report()
        self.conditions.stalled(
            reason,
            f"spec.generation {name} {problem}; "
            f"{lineage.production_of(self.desired) or 'nothing'} serves",
        )
        return self._report()

    def _drive(self, target: ModelGeneration, device: str) -> Plan[Status]:
        name = target.metadata.name
        digest = target.status.artifact_digest or ""
        for step in (
            self._store(name, digest),
            self._ensure_server(),
            self._deploy(name, digest, device),
        ):
            if step is not None:
                self._progressing(name, step.describe())
                return self._report(step)
        return self._await_answer(name, digest)

    def _store(self, name: str, digest: str) -> Action | None:
        if slot(name, digest) in self.observed.stored:
            return None
        return StoreGeneration(self._key("store", name, digest), name, digest)

    def _ensure_server(self) -> Action | None:
        if self.observed.server_alive:
            return None
        return EnsureServer(self._key("server"))

    def _deploy(self, name: str, digest: str, device: str) -> Action | None:
        if self.observed.wanted == (name, digest, device):
            return None
        return Deploy(self._key("deploy", name, digest), name, digest, device)

    def _await_answer(self, name: str, digest: str) -> Plan[Status]:
        served = self.observed.served
        if served is None or served.generation != name:
            self._progressing(name, f"{name} is being loaded")
            return self._report(requeue_after=POLL_SECONDS)
        if served.state == "Failed":
            return self._refuse(name, served.message)
        if served.state != "Serving" or served.digest != digest:
            self._progressing(name, f"{name} is being loaded")
            return self._report(requeue_after=POLL_SECONDS)
        return self._settle(name, served)

    def _refuse(self, name: str, message: str) -> Plan[Status]:
        """The server could not load it: go back to what served."""
        refused = RefusedGeneration(generation=name, message=message)
        self.status = self.status.model_copy(update={"refused": refused})
        self.conditions.stalled("DeploymentFailed", f"{name}: {message}")
        back = lineage.production_of(self.desired) not in {None, name}
        return self._report(requeue_after=0.0 if back else CHECK_SECONDS)

    def _settle(self, name: str, served: Served) -> Plan[Status]:
        """The new one answers: pointer, snapshot, status."""
        self._record_production(name, served)
        self._record_promotion(name)
        if self.problem is None:
            self.conditions.ready("Serving", f"{name} on {served.device}")
        else:
            self.conditions.stalled("DeploymentFailed", self.problem)
        return self._report(
            *self._point(slot(name, served.digest)),
            requeue_after=CHECK_SECONDS,
        )

    def _point(self, current: str) -> tuple[Action, ...]:
        """Pointer, then snapshot, then what no rollback needs any more."""
        if self.observed.pointer != current:
            return (Activate(self._key("activate", current), current),)
        if current not in self.observed.held:
            return (Hold(self._key("hold", current), current),)
        previous = self.status.previous
        keep = {current}
        if previous is not None:
            keep.add(slot(previous.generation, previous.digest))
        return tuple(
            Release(self._key("release", held), held)
            for held in sorted(self.observed.held - keep)
        )

    def _record_production(self, name: str, served: Served) -> None:
        old = self.status.production
        if old is not None and (old.generation, old.digest, old.device) == (
            name,
            served.digest,
            served.device,
        ):
            return
        changes: dict[str, object] = {
            "production": ServedGeneration(
                generation=name,
                digest=served.digest,
                device=served.device,
                since=timestamp(self.now),
            )
        }
        if old is not None and old.generation != name:
            changes["previous"] = old
        self.status = self.status.model_copy(update=changes)

    def _record_promotion(self, name: str) -> None:
        pin = self.desired.spec.generation
        record = self.status.promotion
        if record is None or (
            record.generation != name
            and lineage.number_of(self.generations, name) > record.number
        ):
            record = PromotionRecord(
                generation=name,
                number=lineage.number_of(self.generations, name),
                previous_pin=pin,
                state="Pending",
            )
        if record.state == "Pending" and self._is_recorded(record, pin):
            record = record.model_copy(update={"state": "Recorded"})
        self.status = self.status.model_copy(update={"promotion": record})

    def _is_recorded(self, record: PromotionRecord, pin: str | None) -> bool:
        """Whether Git knows the promotion.

        By the pin that it shows, or by its history, if a person reverted it
        before we saw the pin.
        """
        annotations = self.desired.metadata.annotations
        noted = annotations.get(ANNOTATIONS.promotion_recorded)
        return record.generation in {pin, noted}

    def _progressing(self, name: str, message: str) -> None:
        reason = "Promoting"
        production = lineage.production_of(self.desired)
        if production is not None and lineage.number_of(
            self.generations, production
        ) > lineage.number_of(self.generations, name):
            reason = "RollingBack"
        self.conditions.progressing(reason, message)

    def _key(self, *parts: str) -> str:
        return action_key(self.desired.metadata.uid, *parts)

    def _report(
        self, *actions: Action, requeue_after: float | None = None
    ) -> Plan[Status]:
        production = self.status.production
        name = production.generation if production else None
        candidate = next(
            (
                g.metadata.name
                for g in reversed(self.generations)
                if not lineage.finished(g)
            ),
            None,
        )
        status = self.status.model_copy(
            update={
                "candidate": candidate,
                "endpoint": self.observed.endpoint,
                "node": self.observed.node,
                "lineage": tuple(
                    lineage.entry(g) for g in self.generations[-LINEAGE_LIMIT:]
                ),
                "lineage_summary": lineage.summary(self.generations, name),
                "conditions": self.conditions.build(),
            }
        )
        return Plan(status, actions, requeue_after)
