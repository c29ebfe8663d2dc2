"""Targets: patterns of RE2 and selectors."""

from __future__ import annotations

import time
from typing import Any

import pytest

from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.resource import Target
from reconciler.gitops.selection import Selection, SelectionError

ITEM = DesiredObject(
    ObjectId("team", "web-1", "apps", "Deployment"),
    "v1",
    {
        "metadata": {
            "labels": {"app": "web", "x.org/tier": "a"},
            "annotations": {"owner": "ada"},
        }
    },
)


def target(**fields: Any) -> Target:
    return Target.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({}, True),
        ({"group": "apps", "version": "v1", "kind": "Deployment"}, True),
        ({"kind": "Deploy"}, False),
        ({"kind": "Deploy.*"}, True),
        ({"group": "batch"}, False),
        ({"version": "v2"}, False),
        ({"namespace": "team"}, True),
        ({"namespace": "tea"}, False),
        ({"name": "web-[0-9]+"}, True),
        ({"name": "eb-1"}, False),
        ({"labelSelector": "app=web"}, True),
        ({"labelSelector": "app==web, x.org/tier"}, True),
        ({"labelSelector": "app!=web"}, False),
        ({"labelSelector": "other!=web"}, True),
        ({"labelSelector": "!app"}, False),
        ({"labelSelector": "!old,app in (api, web),x.org/tier"}, True),
        ({"labelSelector": "app notin (api,web)"}, False),
        ({"labelSelector": "gone notin (api)"}, True),
        ({"labelSelector": "gone in (api)"}, False),
        ({"annotationSelector": "owner=ada"}, True),
        ({"annotationSelector": "owner=bob"}, False),
        ({"annotationSelector": "app=web"}, False),
    ],
)
def test_targets(fields: dict[str, str], meant: bool) -> None:
    assert Selection.of(target(**fields)).matches(ITEM) is meant


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "["},
        {"kind": r"(a)\1"},
        {"name": "(?=x)"},
        {"labelSelector": "a=b=c"},
        {"labelSelector": "a in b"},
        {"annotationSelector": "a > 1"},
    ],
)
def test_what_is_not_understood_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(SelectionError, match=f"target.{next(iter(fields))}"):
        Selection.of(target(**fields))


def test_no_pattern_takes_exponential_time() -> None:
    """With backtracking this one would not end before the sun does."""
    hostile = Selection.of(target(name="(a+)+b"))
    name = ObjectId("team", "a" * 200, "apps", "Deployment")
    item = DesiredObject(name, "v1", {"metadata": {}})
    before = time.process_time()
    assert not hostile.matches(item)
    assert time.process_time() - before < 10
