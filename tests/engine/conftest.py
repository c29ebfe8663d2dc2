"""A toy kind, an API server in memory, and a controller that counts."""

# ruff: noqa: ARG002 - fakes take what their protocols give them

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from pydantic import Field

from reconciler.engine.conditions import Conditions
from reconciler.engine.controller import Context, Watch
from reconciler.engine.dispatch import Dispatcher
from reconciler.engine.errors import ConflictError, NotFoundError
from reconciler.engine.loop import Limits, Reconciler
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.queue import WorkQueue
from reconciler.engine.resource import (
    API_VERSION,
    FINALIZER,
    Column,
    Definition,
    Name,
    ObjectKey,
    Part,
    Resource,
    Rule,
    Status,
)
from reconciler.engine.store import ObjectStore
from reconciler.engine.writethrough import WriteThrough

NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


class WidgetSpec(Part):
    size: int = Field(default=1, ge=0, le=100, description="How big.")
    partner: Name | None = Field(default=None, description="Another one.")


class WidgetStatus(Status):
    size: int | None = Field(default=None, description="How big it is.")
    partner_size: int | None = Field(default=None, description="The other.")


class Widget(Resource):
    """A thing with a size."""

    definition: ClassVar[Definition] = Definition(
        kind="Widget",
        plural="widgets",
        short="wdg",
        columns=(Column("Size", ".status.size", "integer"),),
        rules=(Rule("spec", "self.size != 13", "13 is refused"),),
        selectable_fields=(".spec.partner",),
    )
    spec: WidgetSpec
    status: WidgetStatus = WidgetStatus()


@dataclass(frozen=True)
class Resize(Action):
    size: int

    def describe(self) -> str:
        return f"Resize to {self.size}"


@dataclass(frozen=True)
class Destroy(Action):
    def describe(self) -> str:
        return "Destroy"


def no_hook(_: str) -> None:
    """Nothing goes wrong."""


@dataclass
class WidgetController:
    """Keeps `world` (name -> size) as the specs say; counts effects."""

    kind: type[Widget] = Widget
    role: str = "controller"
    finalizer: bool = True
    watches: Sequence[Watch] = ()
    world: dict[str, int] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    effect_keys: Counter[str] = field(default_factory=Counter)
    passes: int = 0
    hook: Callable[[str], None] = no_hook
    """Called with observe, plan, before and after; may raise."""

    work: Callable[[], Any] | None = None
    requeue_after: float | None = None
    endless: bool = False

    async def observe(self, ctx: Context, desired: Widget) -> Any:
        self.passes += 1
        self.hook("observe")
        if self.work is not None:
            await self.work()
        partner = (
            ctx.objects.get(
                Widget, desired.metadata.namespace, desired.spec.partner
            )
            if desired.spec.partner
            else None
        )
        size = partner.status.size if partner else None
        return self.world.get(desired.metadata.name), size

    def plan(self, desired: Widget, observed: Any, now: datetime) -> Plan[Any]:
        self.hook("plan")
        size, partner_size = observed
        meta = desired.metadata
        conditions = Conditions(
            desired.status.conditions, meta.generation, now
        )
        actions: tuple[Action, ...] = ()
        if desired.deleting:
            if size is not None:
                actions = (Destroy(action_key(meta.uid, "destroy")),)
            conditions.progressing("Deleting", "Being destroyed")
        elif size != desired.spec.size or self.endless:
            key = action_key(meta.uid, meta.generation, "resize")
            actions = (Resize(key, desired.spec.size),)
            conditions.progressing("Progressing", "Being resized")
        else:
            conditions.ready("Succeeded", f"Has size {size}")
        status = desired.status.model_copy(
            update={
                "size": size,
                "partner_size": partner_size,
                "conditions": conditions.build(),
            }
        )
        return Plan(status, actions, self.requeue_after, release=size is None)

    async def act(self, ctx: Context, desired: Widget, action: Action) -> None:
        self.hook("before")
        if isinstance(action, Resize):
            self.world[desired.metadata.name] = action.size
        else:
            self.world.pop(desired.metadata.name, None)
        self.effects.append(action.describe())
        self.effect_keys[action.key] += 1
        self.hook("after")


Event = tuple[str, dict[str, Any]]


class FakeServer:
    """Enough of an API server for the loop; implements `StatusClient`."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.versions = itertools.count(1)
        self.events: list[Event] = []
        self.listener: Callable[[str, dict[str, Any]], None] | None = None
        self.status_writes = 0
        self.writes: list[str] = []
        self.fail: Callable[[str], None] = no_hook
        """Called with the name of each request; may raise."""

        self.lost_reply: set[str] = set()
        """Requests that are carried out but whose answer is an error."""

    def put(self, name: str, annotations: Any = None, **spec: Any) -> None:
        """What a user does with kubectl apply."""
        path = ("Widget", "default", name)
        old = self.objects.get(path)
        if old is None:
            meta: dict[str, Any] = {
                "name": name,
                "namespace": "default",
                "uid": f"uid-{next(self.versions)}",
                "generation": 1,
            }
            raw: dict[str, Any] = {
                "apiVersion": API_VERSION,
                "kind": "Widget",
                "metadata": meta,
                "spec": spec,
                "status": {"observedGeneration": -1},
            }
            kind = "ADDED"
        else:
            raw, kind = copy.deepcopy(old), "MODIFIED"
            if raw["spec"] != spec:
                raw["spec"] = spec
                raw["metadata"]["generation"] += 1
        if annotations is not None:
            raw["metadata"]["annotations"] = annotations
        self._store(kind, raw)

    def user_delete(self, name: str) -> None:
        raw = copy.deepcopy(self.objects["Widget", "default", name])
        if raw["metadata"].get("finalizers"):
            raw["metadata"]["deletionTimestamp"] = "2026-11-25T12:00:00Z"
            self._store("MODIFIED", raw)
        else:
            self._drop(raw)

    def widget(self, name: str) -> dict[str, Any]:
        return self.objects["Widget", "default", name]

    def version(self, name: str) -> str:
        return str(self.widget(name)["metadata"]["resourceVersion"])

    def condition(self, name: str, kind: str) -> dict[str, Any] | None:
        found = self.widget(name)["status"].get("conditions", [])
        return next((c for c in found if c["type"] == kind), None)

    async def apply(
        self,
        body: dict[str, Any],
        *,
        force: bool = True,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        self.fail("apply")
        raw = copy.deepcopy(body)
        old = self.objects.get(_path(raw))
        if old is not None:
            raw = {**copy.deepcopy(old), **raw, "metadata": old["metadata"]}
            raw = copy.deepcopy(raw)
        else:
            raw["metadata"].setdefault("uid", f"uid-{next(self.versions)}")
            raw["metadata"].setdefault("generation", 1)
        if not dry_run:
            self.writes.append("apply")
            self._store("ADDED" if old is None else "MODIFIED", raw)
        self._reply("apply")
        return copy.deepcopy(raw)

    async def apply_status(
        self,
        key: ObjectKey,
        status: Mapping[str, Any],
        *,
        over: str | None = None,
    ) -> dict[str, Any]:
        self.fail("status")
        raw = copy.deepcopy(self._need(key.kind, key.namespace, key.name))
        if over not in {None, raw["metadata"]["resourceVersion"]}:
            msg = "the object has been modified"
            raise ConflictError(msg)
        raw["status"] = copy.deepcopy(dict(status))
        self.status_writes += 1
        self.writes.append("status")
        self._store("MODIFIED", raw)
        self._reply("status")
        return copy.deepcopy(raw)

    def only_while(self, check: Callable[[], None]) -> FakeServer:
        """Whoever tests this with a process of its own has a real client."""
        return self

    async def create(self, body: dict[str, Any]) -> dict[str, Any]:
        self.fail("create")
        if _path(body) in self.objects:
            msg = "exists"
            raise ConflictError(msg)
        return await self.apply(body)

    async def get(
        self, api_version: str, kind: str, namespace: str | None, name: str
    ) -> dict[str, Any] | None:
        self.fail("get")
        return copy.deepcopy(self.objects.get((kind, namespace or "", name)))

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
    ) -> Sequence[dict[str, Any]]:
        self.fail("list")
        return [
            copy.deepcopy(raw)
            for path, raw in self.objects.items()
            if path[0] == kind
        ]

    async def delete(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
    ) -> bool:
        self.fail("delete")
        raw = self.objects.get((kind, namespace or "", name))
        if raw is None:
            return False
        self._drop(raw)
        return True

    async def merge_patch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        patch: dict[str, Any],
    ) -> dict[str, Any]:
        self.fail("patch")
        raw = copy.deepcopy(self._need(kind, namespace or "", name))
        patch = copy.deepcopy(patch)
        meta = patch.pop("metadata", {})
        expected = meta.pop("resourceVersion", None)
        if expected not in {None, raw["metadata"]["resourceVersion"]}:
            msg = "the object has been modified"
            raise ConflictError(msg)
        raw["metadata"].update(meta)
        for part, value in patch.items():
            raw.setdefault(part, {}).update(value)
        self.writes.append("patch")
        ending = raw["metadata"].get("deletionTimestamp")
        if ending and not raw["metadata"].get("finalizers"):
            self._drop(raw)
        else:
            self._store("MODIFIED", raw)
        self._reply("patch")
        return copy.deepcopy(raw)

    def _need(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        try:
            return self.objects[kind, namespace, name]
        except KeyError:
            msg = f"{kind} {name} not found"
            raise NotFoundError(msg) from None

    def _store(self, kind: str, raw: dict[str, Any]) -> None:
        raw["metadata"]["resourceVersion"] = str(next(self.versions))
        self.objects[_path(raw)] = raw
        self._emit(kind, raw)

    def _drop(self, raw: dict[str, Any]) -> None:
        raw["metadata"]["resourceVersion"] = str(next(self.versions))
        self.objects.pop(_path(raw), None)
        self._emit("DELETED", raw)

    def _emit(self, kind: str, raw: dict[str, Any]) -> None:
        event = copy.deepcopy(raw)
        self.events.append((kind, event))
        if self.listener is not None:
            self.listener(kind, event)

    def _reply(self, request: str) -> None:
        if request in self.lost_reply:
            self.lost_reply.discard(request)
            msg = "the reply was lost"
            raise ConnectionResetError(msg)


def _path(raw: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = raw["metadata"]
    return raw["kind"], meta.get("namespace", ""), meta["name"]


@dataclass
class FakeRecorder:
    recorded: list[tuple[str, str, str]] = field(default_factory=list)

    def step(self, about: Resource, reason: str, note: str) -> None:
        self.normal(about, reason, note)

    def normal(self, about: Resource, reason: str, note: str) -> None:
        self.recorded.append(("Normal", reason, note))

    def warning(self, about: Resource, reason: str, note: str) -> None:
        self.recorded.append(("Warning", reason, note))


class Toy:
    """Everything of one engine around the toy kind, without a network."""

    Widget = Widget
    Controller = WidgetController
    FINALIZER = FINALIZER

    def __init__(
        self, controller: WidgetController, limits: Limits | None = None
    ) -> None:
        self.controller = controller
        self.server = FakeServer()
        self.events = FakeRecorder()
        self.now = NOON
        self.limits = limits
        self.restart()

    def restart(self) -> None:
        """A new process: memory and queue are lost, the server is not."""
        controllers: Any = {"Widget": self.controller}
        self.store = ObjectStore([Widget])
        self.queue: WorkQueue[ObjectKey] = WorkQueue(chance=lambda: 0.0)
        self.dispatcher = Dispatcher(self.store, self.queue, controllers)
        through = WriteThrough(self.server, self.dispatcher.updated)
        self.context = Context(
            self.store, through, self.events, self.queue.add
        )
        self.reconciler = Reconciler(
            controllers,
            self.store,
            self.dispatcher,
            self.queue,
            self.server,
            self.context,
            limits=self.limits,
            clock=lambda: self.now,
        )
        self.server.listener = self.deliver
        self.dispatcher.seed("Widget", list(self.server.objects.values()))
        self.dispatcher.enqueue_all()

    def deliver(self, kind: str, raw: dict[str, Any]) -> None:
        if kind == "DELETED":
            self.dispatcher.deleted(raw)
        else:
            self.dispatcher.updated(raw)

    async def settle(self, most: int = 200) -> int:
        """Reconcile until nothing waits; returns the passes it took."""
        for done in range(most):
            if not len(self.queue):
                return done
            key = await self.queue.get()
            await self.reconciler.reconcile(key)
            self.queue.done(key)
        msg = "it does not settle"
        raise AssertionError(msg)


@pytest.fixture
def new_toy() -> Callable[..., Toy]:
    def build(limits: Limits | None = None, **options: Any) -> Toy:
        return Toy(WidgetController(**options), limits)

    return build


@pytest.fixture
def toy(new_toy: Callable[..., Toy]) -> Toy:
    return new_toy()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def widget_kind() -> type[Widget]:
    return Widget


@pytest.fixture
def new_widget() -> Callable[..., Widget]:
    def build(name: str = "one", **meta: Any) -> Widget:
        return Widget.parse(
            {
                "apiVersion": API_VERSION,
                "kind": "Widget",
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "uid": f"uid-{name}",
                    "generation": 1,
                    "resourceVersion": "1",
                    **meta,
                },
                "spec": {},
            }
        )

    return build
