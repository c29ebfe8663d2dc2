"""Pure planning of a DatasetLayout."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.conditions import find, is_true
from reconciler.storage.plan import (
    ClaimRoot,
    DatasetFacts,
    DestroyLayout,
    EnsureDataset,
    GenerationFacts,
    LayoutFacts,
    PruneDataset,
    RebuildGeneration,
    plan,
    removable,
)
from reconciler.storage.resource import DatasetLayout, StoredGeneration

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def layout(*, meta=None, status=None, **spec):
    return DatasetLayout.parse(
        {
            "metadata": {
                "name": "models",
                "uid": "u1",
                "generation": 3,
                **(meta or {}),
            },
            "spec": {"datasets": [{"name": "docs"}], **spec},
            **({"status": status} if status else {}),
        }
    )


def generation(name, *, held=False, problems=(), rebuildable=False):
    stored = StoredGeneration(
        name=name, digest="sha256:" + "0" * 64, bytes=7, held=held
    )
    return GenerationFacts(stored, problems, rebuildable)


def apply(facts: LayoutFacts, action) -> LayoutFacts:
    """What an action makes of the world."""
    found = {dataset.name: dataset for dataset in facts.datasets}
    match action:
        case ClaimRoot(owner=owner):
            return replace(facts, owner=owner)
        case DestroyLayout():
            return LayoutFacts(root=facts.root)
        case EnsureDataset(dataset=name):
            there = found.get(name, DatasetFacts(name))
            found[name] = replace(there, usable=True)
        case RebuildGeneration(dataset=name, name=lost):
            found[name] = replace(
                found[name],
                generations=tuple(
                    replace(g, problems=(), rebuildable=False)
                    if g.stored.name == lost
                    else g
                    for g in found[name].generations
                ),
            )
        case PruneDataset(dataset=name, keep_last=keep):
            there = found[name]
            stored = tuple(g.stored for g in there.generations)
            doomed = removable(stored, there.current, keep)
            kept = [
                g for g in there.generations if g.stored.name not in doomed
            ]
            found[name] = replace(there, generations=tuple(kept))
        case _:
            pytest.fail(f"unknown action {action}")
    return replace(facts, datasets=tuple(found.values()))


@st.composite
def datasets(draw, name="docs"):
    names = [f"g{n}" for n in range(draw(st.integers(0, 8)))]
    generations = []
    for each in names:
        state = draw(st.sampled_from(["ok", "ok", "lost", "changed", "gone"]))
        generations.append(
            generation(
                each,
                held=draw(st.booleans()),
                problems=() if state == "ok" else (state,),
                rebuildable=state == "lost",
            )
        )
    return DatasetFacts(
        name,
        usable=bool(names) or draw(st.booleans()),
        current=draw(st.sampled_from([None, *names])),
        generations=tuple(generations),
        damaged=tuple(draw(st.lists(st.just("bad.json"), max_size=1))),
    )


@st.composite
def worlds(draw):
    owner = draw(st.sampled_from([None, "default/models", "default/else"]))
    if owner is None:
        return LayoutFacts(
            root="/r", foreign=draw(st.sampled_from([None, "not ours"]))
        )
    found = (draw(datasets("docs")), draw(datasets("more")))
    return LayoutFacts(
        root="/r",
        owner=owner,
        materialisation="Hardlink",
        datasets=found[: draw(st.integers(0, 2))],
    )


@st.composite
def layouts(draw):
    keep = draw(st.integers(1, 4))
    deleting = draw(st.booleans())
    return layout(
        datasets=[
            {"name": name, "retention": {"keepLast": keep}}
            for name in ("docs", "more")
        ],
        suspend=draw(st.booleans()),
        deletionPolicy=draw(st.sampled_from(["Retain", "Delete"])),
        meta={"deletionTimestamp": "2026-11-25T01:00:00Z"} if deleting else {},
    )


def settle(desired, facts):
    for _ in range(6):
        result = plan(desired, facts, NOW)
        if not result.actions:
            return facts, result
        for action in result.actions:
            facts = apply(facts, action)
    pytest.fail("the plan never becomes empty")
    return None


@given(layouts(), worlds())
def test_applying_the_plan_leads_to_an_empty_one(desired, facts):
    settled, last = settle(desired, facts)
    if desired.deleting:
        assert last.release
        return
    live = desired.model_copy(update={"status": last.status})
    again = plan(live, settled, NOW + timedelta(hours=1))
    assert again.actions == ()
    assert again.status == last.status


@given(layouts(), worlds())
def test_current_and_held_generations_survive_any_plan(desired, facts):
    if desired.deleting:
        return
    settled, _ = settle(desired, facts)
    after = {d.name: d for d in settled.datasets}
    for dataset in facts.datasets:
        names = {g.stored.name for g in after[dataset.name].generations}
        for each in dataset.generations:
            if each.stored.held or each.stored.name == dataset.current:
                assert each.stored.name in names


@given(layouts(), worlds())
def test_a_foreign_root_is_never_touched(desired, facts):
    if facts.foreign or facts.owner == "default/else":
        assert plan(desired, facts, NOW).actions == ()


@given(layouts(), worlds())
def test_nothing_is_removed_while_a_manifest_is_unreadable(desired, facts):
    if desired.deleting or not any(d.damaged for d in facts.datasets):
        return
    actions = plan(desired, facts, NOW).actions
    assert not any(isinstance(a, PruneDataset) for a in actions)


def ready_facts(*generations, current=None):
    found = DatasetFacts(
        "docs", usable=True, current=current, generations=generations
    )
    return LayoutFacts(
        root="/r",
        owner="default/models",
        materialisation="Copy",
        datasets=(found,),
        used_bytes=14,
    )


def test_a_new_layout_claims_its_root_first():
    result = plan(layout(), LayoutFacts(root="/r"), NOW)
    assert [type(a) for a in result.actions] == [ClaimRoot, EnsureDataset]
    assert is_true(result.status.conditions, "Reconciling")


def test_a_layout_in_order_is_ready_and_says_what_is_there():
    facts = ready_facts(generation("g1"), generation("g2"), current="g2")
    status = plan(layout(), facts, NOW).status
    assert is_true(status.conditions, "Ready", 3)
    assert status.observed_generation == 3
    assert status.datasets[0].current == "g2"
    assert status.datasets[0].used_bytes == 14
    assert (status.backend, status.materialisation) == ("tree", "Copy")


def test_damage_is_a_condition_that_goes_away_when_mended():
    broken = ready_facts(generation("g1", problems=("model.bin changed",)))
    status = plan(layout(), broken, NOW).status
    drifted = find(status.conditions, "Drifted")
    assert drifted is not None
    assert "docs/g1: model.bin changed" in drifted.message
    assert not is_true(status.conditions, "Ready")
    live = layout(status=status.model_dump(by_alias=True))
    mended = plan(live, ready_facts(generation("g1")), NOW).status
    assert find(mended.conditions, "Drifted") is None
    assert is_true(mended.conditions, "Ready")


def test_a_pointer_to_nothing_is_damage():
    status = plan(layout(), ready_facts(current="g7"), NOW).status
    assert is_true(status.conditions, "Drifted")


def test_a_root_of_another_layout_stalls():
    facts = LayoutFacts(root="/r", owner="default/else")
    status = plan(layout(), facts, NOW).status
    assert is_true(status.conditions, "Stalled")
    stalled = find(status.conditions, "Stalled")
    assert stalled is not None
    assert "default/else" in stalled.message


def test_other_nodes_layouts_are_not_reported_on():
    desired = layout()
    result = plan(desired, LayoutFacts(ours=False), NOW)
    assert result.status is desired.status
    assert (result.actions, result.release) == ((), False)


DELETING = {"deletionTimestamp": "2026-11-25T01:00:00Z"}


def test_deletion_keeps_the_data_unless_told_otherwise():
    result = plan(layout(meta=DELETING), ready_facts(generation("g1")), NOW)
    assert (result.actions, result.release) == ((), True)


def test_deletion_waits_for_holds():
    desired = layout(meta=DELETING, deletionPolicy="Delete")
    facts = replace(ready_facts(generation("g1")), held=("docs/g1",))
    result = plan(desired, facts, NOW)
    assert (result.actions, result.release) == ((), False)
    stalled = find(result.status.conditions, "Stalled")
    assert stalled is not None
    assert "docs/g1" in stalled.message


def test_an_abandoned_layout_goes_without_its_data():
    meta = {**DELETING, "annotations": {"reconciler.dev/abandon": "true"}}
    desired = layout(meta=meta, deletionPolicy="Delete")
    facts = replace(ready_facts(generation("g1")), held=("docs/g1",))
    assert plan(desired, facts, NOW).release


def test_a_request_is_acknowledged():
    meta = {"annotations": {"reconciler.dev/requested-at": "now"}}
    status = plan(layout(meta=meta), ready_facts(), NOW).status
    assert status.last_handled_reconcile_at == "now"


@pytest.mark.parametrize(
    ("current", "held", "keep", "gone"),
    [
        (None, (), 2, ("a", "b", "c")),
        ("a", (), 2, ("b", "c")),
        ("e", ("a",), 1, ("b", "c")),
        ("e", ("a", "b", "c", "d"), 1, ()),
        (None, (), 9, ()),
    ],
)
def test_retention(current, held, keep, gone):
    stored = tuple(generation(n, held=n in held).stored for n in "abcde")
    assert removable(stored, current, keep) == gone
