"""Planning of a TrainingSchedule: when to create which generation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from typing_extensions import override

from reconciler.engine.conditions import Conditions, timestamp
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import GROUP
from reconciler.generations import lineage, windows
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
    TrainingSchedule,
    TrainingScheduleStatus,
)

SCHEDULE_GENERATION = f"{GROUP}/schedule-generation"


@dataclass(frozen=True)
class CreateGeneration(Action):
    """Create the next ModelGeneration."""

    name: str
    number: int
    parent: str | None
    after: str
    through: str | None

    @override
    def describe(self) -> str:
        """One line for people."""
        source = (
            f"feedback of transactions {self.after} to {self.through}"
            if self.parent
            else "scratch"
        )
        return f"create {self.name} from {source}"


@dataclass(frozen=True)
class Observed:
    """What a schedule's controller sees."""

    model: Model | None = None
    generations: Sequence[ModelGeneration] = ()
    store_ready: bool = False
    through: str | None = None
    """Horizon of the store: rows below it are complete."""

    new_rows: int = 0
    """Rows between what was learnt from and the horizon."""


def consumed(generations: Sequence[ModelGeneration], store: str) -> str:
    """Transaction id of a store up to which generations used its feedback."""
    ends = [
        int(feedback.through)
        for g in generations
        if (feedback := g.spec.data.feedback)
        and feedback.through
        and feedback.store_ref.name == store
    ]
    return str(max(ends, default=0))


@dataclass(frozen=True)
class Past:
    """What was done for a model, whether its objects still exist or not."""

    model_uid: str | None
    number: int
    consumed: str


def past(desired: TrainingSchedule, observed: Observed) -> Past:
    """What the status remembers and what the live generations add to it.

    Deleting a generation gives neither its number nor its feedback back. A
    Model that was made anew starts anew. Transaction ids of one store say
    nothing about another.
    """
    uid = observed.model.metadata.uid if observed.model else None
    status = desired.status
    kept = uid is not None and status.model_uid in {None, uid}
    live = lineage.of_model(observed.generations, desired.spec.model_ref.name)
    store = desired.spec.learn_from.store_ref.name
    number = max((g.spec.number for g in live), default=0)
    used = int(consumed(live, store))
    if kept or observed.model is None:
        number = max(number, status.last_number)
        if status.store in {None, store}:
            used = max(used, int(status.consumed_through or "0"))
    return Past(uid or status.model_uid, number, str(used))


def plan(
    desired: TrainingSchedule, observed: Observed, now: datetime
) -> Plan[TrainingScheduleStatus]:
    """Decide whether a generation is due."""
    if desired.deleting:
        return Plan(desired.status, release=True)
    return _Planner(desired, observed, now).plan()


class _Planner:
    """One pass over one schedule."""

    def __init__(
        self, desired: TrainingSchedule, observed: Observed, now: datetime
    ) -> None:
        self.desired = desired
        self.observed = observed
        self.now = now
        self.generations = lineage.of_model(
            observed.generations, desired.spec.model_ref.name
        )
        self.conditions = Conditions(
            desired.status.conditions, desired.metadata.generation, now
        )
        self.past = past(desired, observed)

    def plan(self) -> Plan[TrainingScheduleStatus]:
        """The next step."""
        spec = self.desired.spec
        if spec.suspend:
            self.conditions.ready("Suspended", "starts nothing new")
            return self._report()
        try:
            zone = ZoneInfo(spec.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            self.conditions.stalled(
                "InvalidTimeZone",
                f"spec.timeZone {spec.time_zone!r} is not an IANA time zone",
            )
            return self._report()
        model = self.observed.model
        if model is None:
            self.conditions.waiting(
                "DependencyNotReady",
                f"Model {spec.model_ref.name} does not exist",
            )
            return self._report()
        return self._decide(zone, model)

    def _decide(
        self, zone: ZoneInfo, model: Model
    ) -> Plan[TrainingScheduleStatus]:
        opening = windows.next_opening(
            self.desired.spec.windows, zone, self.now
        )
        due = self._due(model)
        active = self._active()
        if active is not None:
            self.conditions.ready("Training", f"{active} is under way")
            return self._report(opening=opening)
        if due is None:
            self.conditions.ready("Waiting", self._waiting_for(model))
            return self._report(opening=opening)
        if not windows.is_open(self.desired.spec.windows, zone, self.now):
            self.conditions.ready(
                "OutsideWindow", f"{due.name} waits for the next window"
            )
            return self._report(opening=opening, wake=True)
        self.conditions.ready("Training", f"{due.name} is under way")
        return self._report(due, opening=opening)

    def _active(self) -> str | None:
        return next(
            (
                g.metadata.name
                for g in reversed(self.generations)
                if not lineage.finished(g)
            ),
            None,
        )

    def _due(self, model: Model) -> CreateGeneration | None:
        production = lineage.production_of(model)
        if production is None:
            return self._bootstrap() if self._may_bootstrap(model) else None
        if self._unsettled(model) is not None:
            return None
        enough = (
            self.observed.new_rows >= self.desired.spec.learn_from.min_rows
        )
        if not enough or not self.observed.store_ready:
            return None
        names = {g.metadata.name for g in self.generations}
        if production not in names:
            return None
        return self._create(
            production, self.past.consumed, self.observed.through
        )

    def _unsettled(self, model: Model) -> str | None:
        """A generation that passed and is about to be promoted."""
        newest = lineage.newest_passed(self.generations)
        if newest is None or newest.status.promoted_at is not None:
            return None
        name = newest.metadata.name
        refused = model.status.refused
        automatic = model.spec.promotion.mode == "Automatic"
        held_back = refused is not None and refused.generation == name
        return name if automatic and not held_back else None

    def _may_bootstrap(self, model: Model) -> bool:
        """The first one, or another try after the schedule was edited."""
        refused = model.status.refused
        if any(
            lineage.passed(g)
            and (refused is None or refused.generation != g.metadata.name)
            for g in self.generations
        ):
            return False
        if not self.generations:
            return True
        made_by = self.generations[-1].metadata.annotations.get(
            SCHEDULE_GENERATION
        )
        return made_by != str(self.desired.metadata.generation)

    def _bootstrap(self) -> CreateGeneration:
        return self._create(None, "0", None)

    def _create(
        self, parent: str | None, after: str, through: str | None
    ) -> CreateGeneration:
        last = self.past.number
        name = f"{self.desired.spec.model_ref.name}-{last + 1}"
        key = action_key(self.desired.metadata.uid, name)
        return CreateGeneration(key, name, last + 1, parent, after, through)

    def _waiting_for(self, model: Model) -> str:
        if lineage.production_of(model) is None:
            last = self.generations[-1] if self.generations else None
            if last is not None and not lineage.passed(last):
                return (
                    f"{last.metadata.name} is {lineage.phase(last)}; edit "
                    "the schedule to try again"
                )
            return "waiting for the first generation to serve"
        unsettled = self._unsettled(model)
        if unsettled is not None:
            return f"{unsettled} is being promoted"
        production = lineage.production_of(model)
        if production not in {g.metadata.name for g in self.generations}:
            return f"{production} serves, but its object was deleted"
        if not self.observed.store_ready:
            store = self.desired.spec.learn_from.store_ref.name
            return f"FeedbackStore {store} is not ready"
        return (
            f"{self.observed.new_rows} of "
            f"{self.desired.spec.learn_from.min_rows} new judgements"
        )

    def _report(
        self,
        *actions: Action,
        opening: datetime | None = None,
        wake: bool = False,
    ) -> Plan[TrainingScheduleStatus]:
        last = self.generations[-1].metadata.name if self.generations else None
        status = self.desired.status.model_copy(
            update={
                "active": self._active(),
                "last_generation": last,
                "generations": len(self.generations),
                "consumed_through": self.past.consumed,
                "store": self.desired.spec.learn_from.store_ref.name,
                "last_number": self.past.number,
                "model_uid": self.past.model_uid,
                "new_rows": self.observed.new_rows,
                "next_window": timestamp(opening) if opening else None,
                "conditions": self.conditions.build(),
            }
        )
        wait = None
        if opening is not None:
            # Without a need to start, waking up only refreshes nextWindow.
            wait = (opening - self.now).total_seconds()
            wait = max(wait, 0.1) if wake else wait + 1.0
        return Plan(status, actions, wait)
