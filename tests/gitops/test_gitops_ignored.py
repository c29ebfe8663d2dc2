"""Fields that are left to others."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reconciler.gitops.ignored import IgnoreRules
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.resource import ConfigRepositorySpec
from reconciler.gitops.selection import SelectionError

BODY = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "annotations": {"x.org/a~b": "file"}},
    "spec": {
        "replicas": 1,
        "containers": [{"name": "a", "image": "one"}],
    },
}


def rules(*paths: str, **target: str) -> IgnoreRules:
    rule: dict[str, Any] = {"paths": paths}
    if target:
        rule["target"] = target
    return IgnoreRules.of(
        ConfigRepositorySpec.model_validate(
            {"directory": {"path": "/x"}, "ignore": [rule]}
        )
    )


def adjusted(found: IgnoreRules, live: dict[str, Any] | None) -> Any:
    where = ObjectId("default", "web", "apps", "Deployment")
    item = DesiredObject(where, "v1", copy.deepcopy(BODY))
    body = found.adjusted(item, live).body
    assert item.body == BODY  # never changed in place
    return body


def live(managers: dict[str, Any] | None = None, **spec: Any) -> Any:
    body = copy.deepcopy(BODY)
    body["spec"] |= spec  # type: ignore[operator]
    body["metadata"]["managedFields"] = [  # type: ignore[index]
        {"manager": name, "fieldsV1": fields}
        for name, fields in (managers or {}).items()
    ]
    return body


def test_a_field_of_ours_alone_is_applied_as_it_is() -> None:
    found = adjusted(
        rules("/spec/replicas"),
        live({"reconciler": {"f:spec": {"f:replicas": {}}}}, replicas=7),
    )
    assert found["spec"]["replicas"] == 7


def test_a_field_of_somebody_else_is_left_out() -> None:
    """So that a value that changes in between is not written over."""
    scaler = {"autoscaler": {"f:spec": {"f:replicas": {}}}}
    found = adjusted(rules("/spec/replicas"), live(scaler, replicas=7))
    assert "replicas" not in found["spec"]
    part = {"other": {"f:spec": {".": {}, "f:replicas": {}}}}
    whole = adjusted(rules("/spec"), live(part, replicas=7))
    assert whole["spec"]["containers"] == BODY["spec"]["containers"]  # type: ignore[index]


def test_an_object_that_is_missing_is_created_as_written() -> None:
    assert adjusted(rules("/spec/replicas"), None) == BODY


def test_a_field_that_was_removed_stays_removed() -> None:
    there = live()
    del there["spec"]["replicas"]
    assert "replicas" not in adjusted(rules("/spec/replicas"), there)["spec"]


def test_what_the_file_does_not_name_is_nothing_to_ignore() -> None:
    paths = ("/spec/absent", "/spec/replicas/deeper", "/spec/containers/5")
    assert adjusted(rules(*paths), live(absent=1)) == BODY


def test_pointers_into_lists_and_escaped_names() -> None:
    there = live(containers=[{"name": "a", "image": "two"}])
    there["metadata"]["annotations"]["x.org/a~b"] = "live"
    found = adjusted(
        rules("/spec/containers/0/image", "/metadata/annotations/x.org~1a~0b"),
        there,
    )
    assert found["spec"]["containers"] == [{"name": "a", "image": "two"}]
    assert found["metadata"]["annotations"] == {"x.org/a~b": "live"}
    assert "managedFields" not in found["metadata"]


def test_only_for_the_target() -> None:
    there = live(replicas=7)
    assert adjusted(rules("/spec/replicas", kind="Job"), there) == BODY
    found = adjusted(rules("/spec/replicas", kind="Deployment"), there)
    assert found["spec"]["replicas"] == 7


def test_a_wrong_pattern_names_its_field() -> None:
    with pytest.raises(SelectionError, match=r"spec\.ignore\[0\]\.target\.na"):
        rules("/spec", name="[")
