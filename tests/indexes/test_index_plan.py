"""Pure planning of a VectorIndex."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.conditions import find, is_true
from reconciler.indexes.observation import (
    Answering,
    BuildRun,
    Built,
    IndexFacts,
    Problem,
    Wanted,
)
from reconciler.indexes.plan import (
    Deploy,
    EnsureServer,
    ExportRows,
    RemoveIndex,
    RemoveLeftovers,
    StartBuild,
    StopBuild,
    Undeploy,
    in_sync,
    plan,
)
from reconciler.indexes.resource import VectorIndex
from reconciler.retrieval.approximate.tier import Tier

NOW = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
WANTED = Wanted("r1", "s1")


def index(*, meta=None, status=None, **spec):
    return VectorIndex.parse(
        {
            "metadata": {"name": "docs", "uid": "u", "generation": 2}
            | (meta or {}),
            "spec": {"source": {"directory": {"path": "/docs"}}, **spec},
            **({"status": status} if status else {}),
        }
    )


def tier(state="Approximate"):
    return Tier(
        above=5,
        minimum_recall="0.95",
        state=state,
        rows=9,
        expansion=64,
        recall=0.99,
    )


def built(wanted=WANTED, generation="000001", run="run-1", tier=None):
    return Built(
        wanted,
        generation,
        documents=3,
        passages=9,
        embedded=9,
        reused=0,
        skipped=0,
        recall=1.0,
        run=run,
        seconds=2.0,
        finished_at="2026-11-28T13:59:00Z",
        tier=tier,
    )


def steady(**changes):
    facts = IndexFacts(
        node="here",
        wanted=WANTED,
        device="CPU",
        run=BuildRun("run-1", "Succeeded"),
        built=built(),
        current="000001",
        on_disk=True,
        deployed=True,
        known_to_server=True,
        server_alive=True,
        endpoint="http://127.0.0.1:1",
        answering=Answering("000001"),
    )
    return replace(facts, **changes)


def names(result):
    return [type(action).__name__ for action in result.actions]


def ready(result):
    return find(result.status.conditions, "Ready")


def built_now(facts):
    """What the world looks like when the build of what is wanted ended."""
    name = f"{int(facts.current or 0) + 1:06}"
    return replace(
        facts,
        run=replace(facts.run, phase="Succeeded"),
        built=built(facts.wanted, name, facts.run.name),
        current=name,
        on_disk=True,
        answering=Answering(name) if facts.deployed else facts.answering,
    )


def without_run(facts, name):
    run = facts.run
    if run is not None and run.name == name:
        return replace(facts, run=replace(run, phase="Preempted"))
    return replace(facts, other_run=None, other_recipe=False)


def without_leftovers(facts):
    run = facts.run
    lost = run is not None and run.phase == "Succeeded" and not in_sync(facts)
    kept = BuildRun(run.name) if lost else run
    return replace(facts, run=kept, leftovers=False)


EFFECTS = {
    ExportRows: lambda facts, _: replace(facts, exported=True),
    StartBuild: lambda facts, _: built_now(facts),
    StopBuild: lambda facts, action: without_run(facts, action.run),
    RemoveLeftovers: lambda facts, _: without_leftovers(facts),
    EnsureServer: lambda facts, _: replace(facts, server_alive=True),
    Deploy: lambda facts, _: replace(
        facts,
        deployed=True,
        known_to_server=True,
        answering=Answering(facts.current),
    ),
    Undeploy: lambda facts, _: replace(
        facts, deployed=False, known_to_server=False, answering=None
    ),
    RemoveIndex: lambda facts, _: replace(
        facts, on_disk=False, current=None, built=None
    ),
}
"""What an action makes of the world, when its effect has settled."""


@st.composite
def worlds(draw):
    flag = st.booleans()
    problem = Problem("SourceMissing", "no such directory")
    problems = draw(st.sampled_from([(), (), (), (problem,)]))
    phase = st.sampled_from(
        ["Pending", "Preempted", "Running", "Failed", "Succeeded", "Invalid"]
    )
    run = BuildRun(
        "run-2",
        draw(phase),
        failures=draw(st.integers(0, 5)),
        failed_at=NOW - timedelta(minutes=draw(st.integers(0, 20))),
    )
    current = draw(st.sampled_from([None, "000001"]))
    asked = draw(flag)
    return IndexFacts(
        ours=draw(st.sampled_from([True, True, True, False])),
        node="here",
        problems=problems,
        wanted=None if problems else WANTED,
        exported=draw(flag),
        device=draw(st.sampled_from([None, "CPU"])) if problems else "CPU",
        run=None if problems else run,
        other_run=draw(st.sampled_from([None, None, "run-0"])),
        other_recipe=draw(flag),
        built=built(Wanted("r1", draw(st.sampled_from(["s0", "s1"]))))
        if current
        else None,
        current=current,
        leftovers=draw(flag),
        on_disk=current is not None or draw(flag),
        deployed=asked and draw(flag),
        known_to_server=asked,
        server_alive=draw(flag),
        answering=Answering(
            "000001",
            damaged=draw(st.sampled_from([None, "000001"])),
            graph_damaged=draw(flag),
        )
        if asked and current
        else None,
    )


@st.composite
def objects(draw):
    deleting = {"deletionTimestamp": "2026-11-28T13:00:00Z"}
    return index(
        meta=draw(st.sampled_from([{}, {}, deleting])),
        suspend=draw(st.booleans()),
        deletionPolicy=draw(st.sampled_from(["Retain", "Delete"])),
    )


def settle(desired, facts):
    for _ in range(8):
        result = plan(desired, facts, NOW)
        if not result.actions:
            return facts, result
        for action in result.actions:
            facts = EFFECTS[type(action)](facts, action)
        desired = desired.model_copy(update={"status": result.status})
    pytest.fail("the plan never becomes empty")
    return None


@given(objects(), worlds())
def test_applying_a_plan_leads_to_an_empty_plan(desired, facts):
    after, result = settle(desired, facts)
    live = desired.model_copy(update={"status": result.status})
    again = plan(live, after, NOW)
    assert again.actions == ()
    assert (
        again.status
        == plan(
            live.model_copy(update={"status": again.status}), after, NOW
        ).status
    )


@given(objects(), worlds())
def test_what_is_deleted_leaves_nothing_that_was_not_to_be_kept(
    desired, facts
):
    after, result = settle(desired, facts)
    if not (desired.deleting and facts.ours):
        return
    assert result.release
    assert not after.known_to_server
    if desired.spec.deletion_policy == "Delete":
        assert not after.on_disk
    else:
        assert after.on_disk == facts.on_disk


def test_a_steady_index_is_ready_and_looked_at_after_the_interval():
    result = plan(index(interval="30s"), steady(), NOW)
    assert result.actions == ()
    assert (ready(result).status, ready(result).reason) == ("True", "InSync")
    assert result.requeue_after == 30
    status = result.status
    assert (status.documents, status.passages, status.recall) == (
        3,
        9,
        "1.0000",
    )


def test_rows_are_exported_before_they_are_indexed():
    facts = steady(
        wanted=Wanted("r1", "s2"), run=BuildRun("run-2"), exported=False
    )
    assert names(plan(index(), facts, NOW)) == ["ExportRows", "StartBuild"]


def test_a_changed_document_leaves_the_index_ready_until_it_is_stale():
    changed = steady(
        wanted=Wanted("r1", "s2"), run=BuildRun("run-2", "Running", step=4)
    )
    desired = index(freshness="5m")
    result = plan(desired, changed, NOW)
    assert ready(result).reason == "Refreshing"
    assert result.status.pending_since == "2026-11-28T14:00:00Z"
    live = desired.model_copy(update={"status": result.status})
    later = plan(live, changed, NOW + timedelta(minutes=6))
    assert is_true(later.status.conditions, "Stale")
    assert ready(later).status == "False"
    caught_up = built_now(changed)
    done = plan(live, caught_up, NOW + timedelta(minutes=6))
    assert done.status.pending_since is None
    assert find(done.status.conditions, "Stale") is None


def test_the_lag_is_from_the_first_sight_of_a_change_to_its_build():
    live = index(status={"pendingSince": "2026-11-28T13:58:00Z"})
    assert plan(live, steady(), NOW).status.lag == "60"
    same = live.model_copy(update={"status": plan(live, steady(), NOW).status})
    later = plan(same, steady(), NOW + timedelta(hours=1))
    assert later.status.lag == "60"


def test_another_recipe_is_not_ready_and_stops_what_nobody_wants():
    facts = steady(
        wanted=Wanted("r2", "s1"),
        run=BuildRun("run-2"),
        other_run="run-1",
        other_recipe=True,
    )
    result = plan(index(), facts, NOW)
    assert names(result) == ["StopBuild"]
    assert ready(result).status == "False"


def test_a_build_of_an_older_state_is_let_end():
    facts = steady(
        wanted=Wanted("r1", "s2"), run=BuildRun("run-2"), other_run="run-1"
    )
    assert plan(index(), facts, NOW).actions == ()


def test_a_failed_build_is_retried_then_stalls_then_tried_again():
    failed = BuildRun(
        "run-2", "Failed", failures=1, message="disk full", failed_at=NOW
    )
    facts = steady(built=None, current=None, answering=None, run=failed)
    desired = index(backoffLimit=1, retryInterval="5m")
    waiting = plan(desired, facts, NOW)
    assert (waiting.actions, waiting.requeue_after) == ((), 5.0)
    assert ready(waiting).message == (
        "failed 1 times, tried again soon: disk full"
    )
    soon = NOW + timedelta(seconds=5)
    assert names(plan(desired, facts, soon)) == ["StartBuild"]
    facts = replace(facts, run=replace(failed, failures=2))
    stalled = plan(desired, facts, NOW)
    assert stalled.actions == ()
    assert is_true(stalled.status.conditions, "Stalled")
    assert "disk full" in ready(stalled).message
    assert stalled.requeue_after is not None
    again = plan(desired, facts, NOW + timedelta(minutes=5))
    assert names(again) == ["StartBuild"]
    asked = index(
        backoffLimit=1,
        meta={"annotations": {"reconciler.dev/requested-at": "now"}},
    )
    assert names(plan(asked, facts, NOW)) == ["StartBuild"]


def test_a_generation_that_was_removed_by_hand_is_built_again():
    lost = steady(current=None, answering=None, deployed=False)
    assert names(plan(index(), lost, NOW)) == ["RemoveLeftovers"]


def test_a_damaged_generation_is_built_again():
    facts = steady(answering=Answering(None, "rubbish", damaged="000001"))
    first = plan(index(), facts, NOW)
    assert names(first) == ["RemoveLeftovers"]
    facts = EFFECTS[RemoveLeftovers](facts, first.actions[0])
    assert names(plan(index(), facts, NOW)) == ["StartBuild"]
    mended = replace(built_now(facts), answering=facts.answering)
    assert plan(index(), mended, NOW).actions == ()


def test_a_damaged_graph_is_made_again_while_exact_search_answers():
    fault = Answering("000001", graph_fault="bad", graph_damaged=True)
    facts = steady(built=built(tier=tier()), answering=fault)
    desired = index(approximateAbove=5)
    first = plan(desired, facts, NOW)
    assert names(first) == ["RemoveLeftovers"]
    assert is_true(first.status.conditions, "Ready")
    found = find(first.status.conditions, "Approximate")
    assert (found.status, found.reason) == ("False", "GraphUnusable")
    assert found.message == "exact: bad"
    facts = EFFECTS[RemoveLeftovers](facts, first.actions[0])
    assert names(plan(desired, facts, NOW)) == ["StartBuild"]
    assert plan(desired, built_now(facts), NOW).actions == ()


def test_a_graph_that_another_version_could_read_is_left_alone():
    fault = Answering("000001", graph_fault="usearch is not installed")
    facts = steady(built=built(tier=tier()), answering=fault)
    result = plan(index(approximateAbove=5), facts, NOW)
    assert result.actions == ()
    assert not is_true(result.status.conditions, "Approximate")


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [
        ("Approximate", "True", "64 in view, recall 0.9900"),
        ("BelowSize", "False", "9 passages, not more than 5"),
        ("RecallTooLow", "False", "less than 0.95"),
        ("NotInstalled", "False", "reconciler[approximate]"),
    ],
)
def test_it_is_said_whether_a_graph_answers(state, status, said):
    facts = steady(built=built(tier=tier(state)))
    result = plan(index(approximateAbove=5), facts, NOW)
    assert ready(result).reason == "InSync"
    found = find(result.status.conditions, "Approximate")
    assert (found.status, found.reason) == (status, state)
    assert said in found.message
    # Nobody asks for a graph any more.
    live = result.status.model_dump(by_alias=True, exclude_none=True)
    without = plan(index(status=live), steady(), NOW)
    assert find(without.status.conditions, "Approximate") is None


def test_before_the_first_graph_that_is_said():
    result = plan(index(approximateAbove=5), steady(), NOW)
    found = find(result.status.conditions, "Approximate")
    assert (found.status, found.reason) == ("False", "Building")


@pytest.mark.parametrize("share", ["1.1", "-0.5", "nearly all", "0.", ""])
def test_a_recall_is_a_share(share):
    with pytest.raises(ValueError, match="minimumRecall"):
        index(approximateAbove=5, minimumRecall=share)


def test_above_nothing_is_refused():
    with pytest.raises(ValueError, match="approximateAbove"):
        index(approximateAbove=0)


def test_it_is_not_ready_before_the_new_generation_answers():
    facts = steady(answering=Answering("000000", "no room"))
    result = plan(index(), facts, NOW)
    assert ready(result).reason == "Deploying"
    assert "000000 still answers: no room" in ready(result).message
    assert result.requeue_after == 1


@pytest.mark.parametrize("lasting", [True, False])
def test_problems_are_told_and_the_index_goes_on_to_answer(lasting):
    problem = Problem("EmbedderMissing", "install it", lasting)
    facts = steady(problems=(problem,), wanted=None, run=None)
    result = plan(index(), facts, NOW)
    assert result.actions == ()
    assert is_true(result.status.conditions, "Stalled") is lasting
    assert ready(result).reason == "EmbedderMissing"
    assert result.status.generation == "000001"


def test_suspended_means_no_build_and_no_end_of_answers():
    facts = steady(wanted=Wanted("r1", "s2"), run=BuildRun("run-2", "Running"))
    result = plan(index(suspend=True), facts, NOW)
    assert names(result) == ["StopBuild"]
    away = steady(server_alive=False)
    result = plan(index(suspend=True), away, NOW)
    assert names(result) == ["EnsureServer"]
    assert result.requeue_after == 60.0  # it is looked after all the same


def test_an_index_that_moved_to_another_node_answers_there_alone():
    facts = IndexFacts(ours=False, known_to_server=True)
    live = index(status={"node": "there"})
    result = plan(live, facts, NOW)
    assert names(result) == ["Undeploy"]
    assert result.status == live.status


def test_the_first_node_claims_an_index():
    assert plan(index(), steady(), NOW).claim
    live = index(status={"node": "here"})
    assert not plan(live, steady(), NOW).claim
