"""Of several nodes one keeps a layout, and it stays with that one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.storage.controller import DatasetLayoutController
from reconciler.storage.placement import Place
from reconciler.storage.resource import DatasetLayout

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def layout(named=None, told=None):
    spec = {"datasets": [{"name": "docs"}]}
    if named:
        spec["target"] = {"node": named}
    status = {"node": told} if told else {}
    meta = {"name": "models", "uid": "u", "generation": 1}
    return DatasetLayout.parse(
        {"metadata": meta, "spec": spec, "status": status}
    )


@pytest.mark.parametrize(
    ("named", "told", "may_take", "holds"),
    [
        (None, None, True, False),  # whoever comes first, not yet served
        (None, "a", True, True),
        (None, "b", False, False),
        ("a", None, True, True),
        ("a", "b", True, True),  # moved here
        ("b", "a", False, False),  # moved away
    ],
)
def test_one_of_several_nodes(named, told, may_take, holds):
    here, what = Place("a", alone=False), layout(named, told)
    assert here.may_take(what) == may_take
    assert here.holds(what) == holds


@pytest.mark.parametrize(
    ("named", "told", "ours"),
    [(None, "old-name", True), ("a", "old-name", True), ("b", "a", False)],
)
def test_the_only_node_may_be_renamed(named, told, ours):
    here, what = Place("a"), layout(named, told)
    assert here.may_take(what) == ours
    assert here.holds(what) == ours


async def test_the_first_node_tells_the_others_before_it_acts(tmp_path):
    first, second = (
        DatasetLayoutController(tmp_path / name, Place(name, alone=False))
        for name in ("a", "b")
    )
    seen = layout()
    plan = first.plan(seen, await first.observe(None, seen), NOW)
    assert plan.status.node == "a"
    assert plan.actions
    told = seen.model_copy(update={"status": plan.status})
    other = second.plan(told, await second.observe(None, told), NOW)
    assert other.actions == ()
    assert other.status == told.status
    assert not (tmp_path / "b").exists()
