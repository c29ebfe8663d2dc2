"""The whole app without a network: starting, leading, stopping."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from reconciler.engine import app as app_module
from reconciler.engine.app import App
from reconciler.engine.chores import Chore
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.errors import NotFoundError, UnavailableError
from reconciler.engine.lease import LeaseTerms
from reconciler.engine.resource import ObjectKey

pytestmark = pytest.mark.looptime
TERMS = LeaseTerms(name="test", duration=15, renew=5)


class FakeWatcher:
    """Hands the events of the fake server over."""

    def __init__(self, server):
        self.server = server
        self.stopped = asyncio.Event()
        self.error = None
        self.hang = False

    async def start(self, kinds, deliver):
        if self.hang:
            await asyncio.sleep(1e6)
        self.kinds = kinds
        self.server.listener = deliver

    async def stop(self):
        self.server.listener = None
        self.stopped.set()

    async def ended(self):
        await self.stopped.wait()
        if self.error is not None:
            raise self.error


class Running:
    """One app, its fake server and its end."""

    def __init__(self, server, controller, monkeypatch, **options):
        monkeypatch.setattr(app_module, "KubeClient", lambda _: server)
        self.server = server
        server.opened = getattr(server, "opened", 0)
        server.open, server.close = self.open, self.close
        self.app = App([controller], **options)
        self.watcher = FakeWatcher(server)
        self.stop, self.ready = asyncio.Event(), asyncio.Event()
        self.task = None

    async def open(self):
        self.server.opened += 1

    async def close(self):
        self.server.opened -= 1

    def start(self):
        run = self.app.run(self.watcher, self.stop, self.ready)
        self.task = asyncio.create_task(run)

    async def end(self, seconds=20.0):
        """Stop; returns how long that took."""
        began = asyncio.get_running_loop().time()
        self.stop.set()
        async with asyncio.timeout(seconds):
            await self.task
        return asyncio.get_running_loop().time() - began


@pytest.fixture
def running(server, monkeypatch):
    def build(controller, **options):
        return Running(server, controller, monkeypatch, **options)

    yield build
    assert getattr(server, "opened", 0) == 0


@pytest.fixture(autouse=True)
async def _no_task_is_left():
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not [task.get_name() for task in left if not task.done()]


async def test_everything_is_listed_before_the_first_pass(
    server, new_toy, running
):
    controller = new_toy().controller
    for number in range(50):
        server.put(f"w{number}", size=5)
    one = running(controller)
    known = []
    controller.hook = lambda _: known.append(len(one.app.store.keys("Widget")))
    one.start()
    await one.ready.wait()
    await asyncio.sleep(1)
    assert set(known) == {50}
    assert set(controller.world.values()) == {5}
    assert one.app.health()["actions"] == 50
    assert one.app.health()["queue"] == 0
    assert one.watcher.kinds == one.app.kinds
    assert await one.end() < 0.1


async def test_a_controller_ends_its_own_work_before_another_may_lead(
    new_toy, running
):
    told, controller = [], new_toy().controller

    @asynccontextmanager
    async def leading():
        yield
        told.append("given up")

    async def stop():
        told.append("stopped")

    controller.stop = stop
    one = running(controller, leading=leading)
    one.start()
    await one.ready.wait()
    assert told == []
    await one.end()
    assert told == ["stopped", "given up"]


async def test_an_event_reaches_the_controller(server, new_toy, running):
    controller = new_toy().controller
    one = running(controller)
    one.start()
    await one.ready.wait()
    server.put("a", size=3)
    await asyncio.sleep(1)
    assert controller.world == {"a": 3}
    server.user_delete("a")
    await asyncio.sleep(1)
    assert controller.world == {}
    assert one.app.store.keys("Widget") == []
    await one.end()


async def test_a_server_that_is_away_at_the_start_is_told(
    server, new_toy, running
):
    server.fail = raising(UnavailableError("away"))
    one = running(new_toy().controller)
    one.start()
    with pytest.raises(TransientError, match="away"):
        await one.task
    assert one.watcher.stopped.is_set()


async def test_a_kind_that_is_not_installed_is_told(server, new_toy, running):
    server.fail = raising(NotFoundError("no kind Widget"))
    one = running(new_toy().controller)
    one.start()
    with pytest.raises(TerminalError, match="CustomResourceDefinition"):
        await one.task


async def test_a_stop_during_the_start_is_heard(new_toy, running):
    one = running(new_toy().controller)
    one.watcher.hang = True
    one.start()
    await asyncio.sleep(100)
    assert not one.ready.is_set()
    assert await one.end() < 0.1


async def test_a_pass_under_way_gets_its_grace_and_no_more(
    server, new_toy, running
):
    controller = new_toy().controller
    delay = 4.0

    async def work():
        await asyncio.sleep(delay)

    controller.work = work
    server.put("a", size=3)
    one = running(controller, grace=10)
    one.start()
    await asyncio.sleep(1)
    assert await one.end() == pytest.approx(3, abs=0.1)
    assert controller.effects == ["Resize to 3"]
    delay = 1e6
    two = running(controller, grace=10)
    two.start()
    await asyncio.sleep(1)
    assert await two.end() == pytest.approx(10, abs=0.1)


async def test_the_end_of_the_watcher_ends_the_app(new_toy, running):
    one = running(new_toy().controller)
    one.start()
    await one.ready.wait()
    one.watcher.error = UnavailableError("the watch broke")
    one.watcher.stopped.set()
    with pytest.raises(TransientError, match="the watch broke"):
        await one.task


async def test_the_last_events_are_written_at_the_end(
    server, new_toy, running
):
    one = running(new_toy().controller)
    one.start()
    await one.ready.wait()
    server.put("a", size=3)
    while not one.app.metrics.actions:  # noqa: ASYNC110 it has no event
        await asyncio.sleep(0)
    await one.end()
    notes = [
        raw["note"] for p, raw in server.objects.items() if p[0] == "Event"
    ]
    assert notes == ["Resize to 3", "Has size 3"]


async def test_other_objects_are_enqueued_from_threads(
    server, new_toy, running
):
    controller = new_toy().controller
    server.put("a", size=3)
    one = running(controller)
    one.app.enqueue(ObjectKey("Widget", "default", "a"))  # before it runs
    one.start()
    await one.ready.wait()
    await asyncio.sleep(1)
    passes = controller.passes
    key = ObjectKey("Widget", "default", "a")
    await asyncio.to_thread(one.app.enqueue, key)
    await asyncio.sleep(1)
    assert controller.passes == passes + 1
    await one.end()


async def test_a_role_that_is_not_ours_is_watched_but_left_alone(
    server, new_toy, running
):
    controller = new_toy(role="node").controller
    server.put("a", size=3)
    one = running(controller, roles={"controller"})
    one.start()
    await one.ready.wait()
    await asyncio.sleep(1)
    assert controller.passes == 0
    assert len(one.app.store.keys("Widget")) == 1
    await one.end()


def test_one_kind_has_one_controller(new_toy):
    with pytest.raises(ValueError, match="two controllers own Widget"):
        App([new_toy().controller, new_toy().controller])


async def test_a_leader_that_is_cut_off_stops_working_at_once(
    server, new_toy, running
):
    controller = new_toy().controller

    async def work():
        await asyncio.sleep(1e6)

    controller.work = work
    server.put("a", size=3)
    options = {"leader_elect": True, "lease": TERMS, "grace": 60}
    one = running(controller, **options)
    one.start()
    await one.ready.wait()
    began = asyncio.get_running_loop().time()
    server.fail = raising(UnavailableError("away"))
    with pytest.raises(TransientError):
        await one.task
    # Nobody else may lead before 15 seconds of silence have passed.
    assert asyncio.get_running_loop().time() - began < 15
    assert controller.effects == []


async def test_a_short_absence_of_the_server_does_not_end_the_lead(
    server, new_toy, running
):
    one = running(new_toy().controller, leader_elect=True, lease=TERMS)
    one.start()
    await one.ready.wait()
    await asyncio.sleep(4)
    server.fail = raising(UnavailableError("away"))
    await asyncio.sleep(4)
    server.fail = lambda _: None
    server.put("a", size=3)
    await asyncio.sleep(60)
    assert not one.task.done()
    assert server.condition("a", "Ready")["status"] == "True"
    await one.end()
    lease = server.objects["Lease", "default", "test"]
    assert lease["spec"]["holderIdentity"] == ""


async def test_a_lease_that_was_got_while_stopping_is_given_back(
    server, new_toy, running
):
    first = running(new_toy().controller, leader_elect=True, lease=TERMS)
    first.start()
    await first.ready.wait()
    await first.end()
    second = running(new_toy().controller, leader_elect=True, lease=TERMS)
    write = server.merge_patch

    async def late(*arguments, **options):
        answer = await write(*arguments, **options)
        await asyncio.sleep(2)  # the reply is on its way
        return answer

    server.merge_patch = late
    second.start()
    await asyncio.sleep(1)
    lease = server.objects["Lease", "default", "test"]
    assert lease["spec"]["holderIdentity"]
    await second.end()
    assert not second.ready.is_set()
    lease = server.objects["Lease", "default", "test"]
    assert lease["spec"]["holderIdentity"] == ""


class Busy:
    """What another process holds, until it is let go."""

    def __init__(self):
        self.free, self.held = asyncio.Event(), False

    @asynccontextmanager
    async def __call__(self):
        await self.free.wait()
        self.held = True
        try:
            yield
        finally:
            self.held = False


async def test_waiting_for_the_state_directory_ends_with_stop(
    new_toy, running
):
    busy = Busy()
    one = running(new_toy().controller, leading=busy)
    one.start()
    await asyncio.sleep(100)
    assert not one.ready.is_set()
    assert await one.end() < 0.1
    assert not busy.held


@pytest.mark.parametrize("late", [False, True])
async def test_a_lead_that_is_lost_while_waiting_is_not_used(
    server, new_toy, running, late
):
    """Whether or not the state directory becomes free just then."""
    controller, busy = new_toy().controller, Busy()
    server.put("a", size=3)
    options = {"leader_elect": True, "lease": TERMS, "leading": busy}
    one = running(controller, **options)
    if late:
        watching = one.watcher.start

        async def start(*arguments):
            await asyncio.sleep(30)
            await watching(*arguments)

        one.watcher.start = start
        busy.free.set()
    one.start()
    await asyncio.sleep(8)
    server.fail = raising(UnavailableError("away"))
    async with asyncio.timeout(60):
        with pytest.raises(TransientError, match="the lead was lost"):
            await one.task
    assert controller.passes == 0
    assert not busy.held


async def test_waiting_for_the_lead_ends_with_stop(new_toy, running):
    controller = new_toy().controller
    first = running(controller, leader_elect=True, lease=TERMS)
    first.start()
    await first.ready.wait()
    second = running(controller, leader_elect=True, lease=TERMS)
    second.start()
    assert second.app.waiting() == "not started"
    await asyncio.sleep(100)
    assert not second.ready.is_set()
    assert second.app.waiting() == ""  # a standby is ready to take over
    assert first.app.health()["leading"]
    assert not second.app.health()["leading"]
    assert await second.end() < 0.1
    await first.end()


async def test_the_end_is_bounded_when_the_server_hangs(
    server, new_toy, running
):
    one = running(new_toy().controller, leader_elect=True, lease=TERMS)
    one.start()
    await one.ready.wait()
    one.app.recorder.normal(
        new_toy().Widget.parse(
            {"metadata": {"name": "a"}, "spec": {}, "kind": "Widget"}
        ),
        "Told",
        "last words",
    )

    async def hang(*_args, **_options):
        await asyncio.sleep(1e6)

    server.get = server.apply = server.merge_patch = hang
    assert await one.end() <= 8


def raising(error):
    def fail(_):
        raise error

    return fail


async def test_chores_see_everything_from_the_first_pass_on(
    server, new_toy, running
):
    server.put("readable", size=5)
    server.put("unreadable", size="many")
    seen, again = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(objects):
        seen.append(sorted(raw["metadata"]["name"] for raw in objects))
        if len(seen) == 2:
            loop.call_soon_threadsafe(again.set)

    chore = Chore("look", 60.0, run)
    one = running(new_toy().controller, chores=[chore])
    one.start()
    await again.wait()
    assert seen[:2] == [["readable", "unreadable"]] * 2
    await one.end()
