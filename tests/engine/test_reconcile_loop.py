from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.loop import QUICK_PASSES, Limits
from reconciler.engine.resource import FINALIZER, ObjectKey

KEY = ObjectKey("Widget", "default", "one")


class Kill(BaseException):
    """The process dies here: nothing after this line runs."""


async def test_a_new_object_gets_finalizer_effect_and_ready(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    raw = toy.server.widget("one")
    assert toy.controller.world == {"one": 3}
    assert raw["metadata"]["finalizers"] == [FINALIZER]
    assert raw["status"]["size"] == 3
    assert raw["status"]["observedGeneration"] == 1
    ready = toy.server.condition("one", "Ready")
    assert ready["status"] == "True"
    assert ready["observedGeneration"] == 1
    assert toy.server.condition("one", "Reconciling") is None


async def test_the_finalizer_is_there_before_the_first_effect(toy):
    seen = []

    def hook(where):
        if where == "before":
            seen.append(toy.server.widget("one")["metadata"]["finalizers"])

    toy.controller.hook = hook
    toy.server.put("one", size=3)
    await toy.settle()
    assert seen == [[FINALIZER]]


async def test_a_new_object_costs_three_writes_and_an_edit_two(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    assert toy.server.writes == ["patch", "status", "status"]
    toy.server.writes.clear()
    toy.server.put("one", size=4)
    await toy.settle()
    assert toy.server.writes == ["status", "status"]


async def test_a_steady_state_writes_nothing(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    version, passes = toy.server.version("one"), toy.controller.passes
    for _ in range(10):
        toy.now += timedelta(hours=1)
        toy.queue.add(KEY)
        await toy.settle()
    assert toy.controller.passes == passes + 10
    assert toy.server.version("one") == version
    assert toy.events.recorded == [
        ("Normal", "Resize", "Resize to 3"),
        ("Normal", "Succeeded", "Has size 3"),
    ]


async def test_what_another_event_tells_of_has_none_of_its_own(
    toy, monkeypatch
):
    plan = toy.controller.plan

    def quiet(*args):
        found = plan(*args)
        for action in found.actions:
            monkeypatch.setattr(type(action), "told", False)
        return found

    toy.controller.plan = quiet
    toy.server.put("one", size=3)
    await toy.settle()
    assert toy.controller.effects == ["Resize to 3"]
    assert toy.events.recorded == [("Normal", "Succeeded", "Has size 3")]


@pytest.mark.looptime
async def test_fifty_edits_collapse_to_a_few_passes(toy):
    async def work():
        await asyncio.sleep(0.3)

    toy.controller.work = work
    toy.server.put("one", size=0)
    workers = [asyncio.create_task(toy.reconciler.work()) for _ in range(4)]
    for size in range(1, 51):
        toy.server.put("one", size=size)
        await asyncio.sleep(0.01)
    await asyncio.sleep(10)
    toy.queue.close()
    await asyncio.gather(*workers)
    assert toy.controller.world == {"one": 50}
    assert toy.server.widget("one")["status"]["observedGeneration"] == 51
    assert len(toy.controller.effects) <= 4
    assert toy.controller.passes <= 6
    assert max(toy.controller.effect_keys.values()) == 1


async def test_stale_events_cause_no_pass_and_no_effect(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    passes = toy.controller.passes
    toy.controller.world.clear()  # an effect repeated would be seen
    for kind, raw in toy.server.events:
        toy.deliver(kind, raw)
    assert len(toy.queue) == 0
    assert await toy.settle() == 0
    assert toy.controller.passes == passes
    assert toy.controller.effects == ["Resize to 3"]


async def test_drift_is_closed_at_the_next_look(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    toy.controller.world["one"] = 99
    toy.queue.add(KEY)
    await toy.settle()
    assert toy.controller.world == {"one": 3}


@pytest.mark.parametrize("where", ["observe", "plan", "before", "after"])
async def test_killed_anywhere_then_restarted_the_effect_happens_once(
    toy, where
):
    def kill(at):
        if at == where:
            raise Kill

    toy.controller.hook = kill
    toy.server.put("one", size=3)
    with pytest.raises(Kill):
        await toy.settle()
    toy.controller.hook = lambda _: None
    toy.restart()
    await toy.settle()
    assert toy.controller.world == {"one": 3}
    assert list(toy.controller.effect_keys.values()) == [1]
    assert toy.server.condition("one", "Ready")["status"] == "True"


@pytest.mark.parametrize("request_name", ["patch", "status"])
async def test_a_lost_reply_repeats_no_effect(toy, request_name):
    toy.server.lost_reply = {request_name}
    toy.server.put("one", size=3)
    await toy.settle()
    assert toy.controller.world == {"one": 3}
    assert list(toy.controller.effect_keys.values()) == [1]
    assert toy.server.condition("one", "Ready")["status"] == "True"


async def test_deletion_destroys_before_the_finalizer_goes(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    toy.server.user_delete("one")
    assert toy.server.widget("one")
    await toy.settle()
    assert toy.controller.world == {}
    assert toy.server.objects == {}
    assert toy.controller.effects == ["Resize to 3", "Destroy"]
    assert toy.store.keys("Widget") == []


async def test_deletion_keeps_the_finalizers_of_others(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    meta = toy.server.widget("one")["metadata"]
    meta["finalizers"] = ["other.dev/hold", FINALIZER]
    toy.server.user_delete("one")
    await toy.settle()
    assert toy.server.widget("one")["metadata"]["finalizers"] == [
        "other.dev/hold"
    ]
    passes = toy.controller.passes
    toy.queue.add(KEY)
    await toy.settle()
    assert toy.controller.passes == passes


async def test_a_failed_destroy_keeps_the_object(toy):
    toy.server.put("one", size=3)
    await toy.settle()

    def refuse(at):
        if at == "before":
            msg = "busy"
            raise TransientError(msg)

    toy.controller.hook = refuse
    toy.server.user_delete("one")
    await toy.settle()
    assert toy.server.widget("one")["metadata"]["finalizers"] == [FINALIZER]
    assert toy.server.condition("one", "Ready")["message"] == "busy"


async def test_without_need_for_a_finalizer_none_is_added(new_toy):
    toy = new_toy(finalizer=False)
    toy.server.put("one", size=3)
    await toy.settle()
    assert "finalizers" not in toy.server.widget("one")["metadata"]


async def test_a_finalizer_that_nobody_needs_any_more_is_dropped(new_toy):
    toy = new_toy(finalizer=False)
    toy.server.put("one", size=3)
    toy.server.widget("one")["metadata"]["finalizers"] = [FINALIZER]
    toy.server.user_delete("one")
    await toy.settle()
    assert toy.server.objects == {}


async def test_an_edit_between_read_and_finalizer_is_not_overwritten(toy):
    toy.server.put("one", size=3)
    stale = toy.store.entry(KEY)
    toy.server.listener = None  # the watch is late
    toy.server.put("one", {"note": "mine"}, size=7)
    assert toy.store.entry(KEY) is stale
    await toy.queue.get()
    await toy.reconciler.reconcile(KEY)
    assert toy.server.writes == []
    toy.queue.done(KEY)
    toy.server.listener = toy.deliver
    await toy.settle()
    assert toy.controller.effects == ["Resize to 7"]
    meta = toy.server.widget("one")["metadata"]
    assert meta["annotations"] == {"note": "mine"}


# A new object costs a patch (finalizer), a status before and one after the
# effect: nothing but the edit itself asks for a pass after the last of them.
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("late", [True, False])
async def test_an_edit_that_our_own_write_overtakes_is_not_lost(
    toy, number, late
):
    requests = 0

    def edit(_):
        nonlocal requests
        requests += 1
        if requests == number:
            toy.server.put("one", {"note": "mine"}, size=7)

    events = []
    toy.server.put("one", size=3)
    if late:
        toy.server.listener = lambda *event: events.append(event)
    toy.server.fail = edit
    await toy.settle()
    for event in events:
        toy.deliver(*event)
    await toy.settle()
    assert toy.controller.world == {"one": 7}
    assert toy.server.widget("one")["status"]["observedGeneration"] == 2
    assert toy.server.condition("one", "Ready")["status"] == "True"


async def test_disabled_objects_are_left_alone(toy):
    toy.server.put("one", {"reconciler.dev/reconcile": "disabled"}, size=3)
    await toy.settle()
    assert toy.controller.passes == 0
    assert toy.server.writes == []
    toy.server.put("one", {}, size=3)
    await toy.settle()
    assert toy.controller.world == {"one": 3}


async def test_a_reconcile_request_is_acknowledged(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    toy.server.put("one", {"reconciler.dev/requested-at": "t1"}, size=3)
    await toy.settle()
    status = toy.server.widget("one")["status"]
    assert status["lastHandledReconcileAt"] == "t1"
    toy.server.put("one", {}, size=3)
    await toy.settle()
    status = toy.server.widget("one")["status"]
    assert status["lastHandledReconcileAt"] == "t1"


async def test_observed_generation_waits_until_the_work_is_done(toy):
    seen = []

    def hook(at):
        if at == "before":
            status = toy.server.widget("one")["status"]
            seen.append(status["observedGeneration"])
            assert toy.server.condition("one", "Ready")["status"] == "False"
            reconciling = toy.server.condition("one", "Reconciling")
            assert reconciling["observedGeneration"] == len(seen)

    toy.controller.hook = hook
    toy.server.put("one", size=3)
    await toy.settle()
    toy.server.put("one", size=4)
    await toy.settle()
    assert seen == [-1, 1]
    assert toy.server.widget("one")["status"]["observedGeneration"] == 2


@pytest.mark.looptime
async def test_a_transient_failure_is_told_once_and_retried(toy):
    left = 3

    def hook(at):
        nonlocal left
        if at == "before" and left:
            left -= 1
            msg = "the disk is away"
            raise TransientError(msg)

    toy.controller.hook = hook
    toy.server.put("one", size=3)
    await toy.settle()
    first = toy.server.condition("one", "Ready")
    assert first["reason"] == "ProgressingWithRetry"
    assert first["message"] == "the disk is away"
    reconciling = toy.server.condition("one", "Reconciling")
    assert reconciling["reason"] == "ProgressingWithRetry"
    writes = toy.server.status_writes
    for _ in range(2):
        toy.now += timedelta(minutes=1)
        await asyncio.sleep(400)
        assert await toy.settle() == 1
    assert toy.server.status_writes == writes, "a retry wrote its failure"
    await asyncio.sleep(400)
    await toy.settle()
    assert toy.server.condition("one", "Ready")["status"] == "True"
    assert toy.server.condition("one", "Reconciling") is None
    warnings = [e for e in toy.events.recorded if e[0] == "Warning"]
    assert warnings == [
        ("Warning", "ProgressingWithRetry", "the disk is away")
    ]
    assert toy.queue.failures(KEY) == 0


@pytest.mark.looptime
async def test_a_terminal_failure_stalls_and_is_not_retried(toy):
    def hook(at):
        if at == "observe":
            reason = "NoSuchDevice"
            raise TerminalError(reason, "there is no NPU")

    toy.controller.hook = hook
    toy.server.put("one", size=3)
    await toy.settle()
    stalled = toy.server.condition("one", "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "NoSuchDevice")
    assert toy.server.condition("one", "Ready")["status"] == "False"
    assert toy.server.condition("one", "Reconciling") is None
    assert toy.server.widget("one")["status"]["observedGeneration"] == 1
    passes = toy.controller.passes
    await asyncio.sleep(10000)
    assert await toy.settle() == 0
    assert toy.controller.passes == passes
    toy.controller.hook = lambda _: None
    toy.server.put("one", size=4)
    await toy.settle()
    assert toy.server.condition("one", "Stalled") is None
    assert toy.server.condition("one", "Ready")["status"] == "True"


@pytest.mark.looptime
async def test_a_bug_is_logged_with_traceback_and_tells_no_value(toy, caplog):
    def hook(at):
        if at == "plan":
            msg = "password=hunter2"
            raise ValueError(msg)

    toy.controller.hook = hook
    toy.server.put("one", size=3)
    await toy.settle()
    ready = toy.server.condition("one", "Ready")
    assert ready["reason"] == "InternalError"
    assert "hunter2" not in str(toy.server.widget("one"))
    assert "hunter2" not in str(toy.events.recorded)
    assert "Traceback" in caplog.text
    toy.controller.hook = lambda _: None
    await asyncio.sleep(400)
    await toy.settle()
    assert toy.server.condition("one", "Ready")["status"] == "True"


@pytest.mark.looptime
async def test_a_bug_in_one_object_does_not_hold_up_another(toy):
    async def work():
        if "two" not in toy.controller.world:
            msg = "bug"
            raise ZeroDivisionError(msg)

    toy.controller.work = work
    toy.server.put("one", size=3)
    toy.server.put("two", size=5)
    await toy.settle()
    toy.controller.work = None
    worker = asyncio.create_task(toy.reconciler.work())
    await asyncio.sleep(400)
    assert toy.controller.world == {"one": 3, "two": 5}
    toy.queue.close()
    await worker


@pytest.mark.looptime
async def test_observing_is_bounded_in_time(new_toy):
    async def hang():
        await asyncio.sleep(1e6)

    toy = new_toy(Limits(observe=5), work=hang)
    toy.server.put("one", size=3)
    began = asyncio.get_running_loop().time()
    await toy.settle()
    assert asyncio.get_running_loop().time() - began < 6
    message = toy.server.condition("one", "Ready")["message"]
    assert message == "observing did not finish within 5 seconds"


@pytest.mark.looptime
async def test_the_plan_says_when_to_look_again(new_toy):
    toy = new_toy(requeue_after=30.0)
    toy.server.put("one", size=3)
    await toy.settle()
    passes = toy.controller.passes
    await asyncio.sleep(29)
    assert await toy.settle() == 0
    await asyncio.sleep(2)
    assert await toy.settle() == 1
    assert toy.controller.passes == passes + 1


@pytest.mark.looptime
async def test_a_plan_that_never_gets_empty_backs_off(new_toy):
    toy = new_toy(endless=True)
    toy.server.put("one", size=3)
    passes = await toy.settle()
    assert passes == QUICK_PASSES + 1
    worker = asyncio.create_task(toy.reconciler.work())
    await asyncio.sleep(3600)
    assert toy.controller.passes < passes + 30
    toy.queue.close()
    await worker


async def test_an_object_that_vanishes_during_a_pass_is_forgotten(toy):
    toy.controller.finalizer = False

    async def vanish():
        toy.server.listener = None
        toy.server.user_delete("one")
        toy.server.listener = toy.deliver

    toy.controller.work = vanish
    toy.server.put("one", size=3)
    await toy.settle()
    assert toy.store.keys("Widget") == []
    assert toy.controller.effects == []


async def test_an_unreadable_object_stalls_and_keeps_its_status(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    toy.server.put("one", size="seven")
    await toy.settle()
    stalled = toy.server.condition("one", "Stalled")
    assert stalled["reason"] == "InvalidObject"
    assert stalled["message"].startswith("spec.size: ")
    assert "seven" not in stalled["message"]
    status = toy.server.widget("one")["status"]
    assert status["size"] == 3
    assert status["observedGeneration"] == 2
    writes = toy.server.status_writes
    toy.queue.add(KEY)
    await toy.settle()
    assert toy.server.status_writes == writes
    toy.server.put("one", size=8)
    await toy.settle()
    assert toy.server.condition("one", "Stalled") is None
    assert toy.controller.world == {"one": 8}


async def test_counts_of_passes_by_outcome(toy):
    toy.server.put("one", size=3)
    await toy.settle()
    metrics = toy.reconciler.metrics
    assert metrics.passes("acted") == 1
    assert metrics.passes("steady") == 1
    assert metrics.passes() == 2
    assert metrics.actions == 1
    assert metrics.status_writes == 2


script = st.lists(
    st.tuples(
        st.sampled_from(["edit", "drift", "fail", "kill", "stale", "restart"]),
        st.sampled_from(["one", "two"]),
        st.integers(0, 20),
    ),
    max_size=25,
)


# The fixture builds a new toy for each example.
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(script)
def test_whatever_happens_it_converges_and_then_writes_nothing(new_toy, steps):
    asyncio.run(play(new_toy(), steps))


async def play(toy, steps):
    story = Story(toy)
    for verb, name, size in steps:
        getattr(story, verb)(name, size)
        await story.run()
    story.faults.clear()
    toy.restart()
    await story.run()
    assert toy.controller.world == story.wanted
    for name in story.wanted:
        assert toy.server.condition(name, "Ready")["status"] == "True"
        assert toy.server.condition(name, "Stalled") is None
    before = len(toy.server.writes)
    toy.restart()
    await story.run()
    assert len(toy.server.writes) == before


class Story:
    """What users, the world and faults do to the toy."""

    def __init__(self, toy):
        self.toy = toy
        self.wanted = {}
        self.faults: Counter[str] = Counter()
        toy.controller.hook = self.hook

    def hook(self, at):
        if at == "after" and self.faults["kill"]:
            self.faults["kill"] -= 1
            raise Kill
        if at == "before" and self.faults["fail"]:
            self.faults["fail"] -= 1
            msg = "not now"
            raise TransientError(msg)

    async def run(self):
        try:
            await self.toy.settle()
        except Kill:
            self.toy.restart()
            await self.run()

    def edit(self, name, size):
        self.toy.server.put(name, size=size)
        self.wanted[name] = size

    def drift(self, name, size):
        if name in self.toy.controller.world:
            self.toy.controller.world[name] = size

    def fail(self, _name, _size):
        self.faults["fail"] += 1

    def kill(self, _name, _size):
        self.faults["kill"] += 1

    def stale(self, _name, _size):
        for kind, raw in self.toy.server.events[-3:]:
            self.toy.deliver(kind, raw)

    def restart(self, _name, _size):
        self.toy.restart()
