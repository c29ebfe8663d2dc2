"""What differences cost, as text, JSON and Markdown."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from reconciler.generations.resource import GenerationTemplate
from reconciler.gitops.diff import Difference, difference
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.preview import (
    MAX_COMMENT,
    Preview,
    content,
    markdown,
    text,
)
from reconciler.gitops.price import DEADLINE, RETRIES, Price, price

OURS = "reconciler.dev"


def thing(group: str, kind: str, name: str, **spec: Any) -> DesiredObject:
    where = ObjectId("default", name, group, kind)
    meta = {"name": name, "namespace": "default"}
    body = {"kind": kind, "metadata": meta, "spec": spec}
    return DesiredObject(where, "v1", body, "f.yaml", 1)


def claim(name: str, **spec: Any) -> DesiredObject:
    return thing(OURS, "GPUClaim", name, **spec)


CAPPED = claim(
    "a", count=2, maxHourly="1.50", maxTotal="40", maxLifetime="12h"
)
DATA = thing(OURS, "DatasetLayout", "data")


def priced(
    *new: DesiredObject, old: tuple[DesiredObject, ...] = ()
) -> Preview:
    live = {o.id: o.body for o in old}
    found = difference(new, live, list(live), exact=True)
    return Preview(found, price(found, {o.id: o.body for o in new}, live))


def test_machines_are_bounded_by_cap_or_by_price_and_lifetime() -> None:
    cost = priced(CAPPED, claim("b", maxHourly="2", maxTotal="5")).price
    assert (cost.hourly, cost.total) == (Decimal("3.50"), Decimal(23))
    assert [r.count for r in cost.rents] == [2, 1]


@pytest.mark.parametrize(
    "spec", [{}, {"maxHourly": "x"}, {"maxHourly": 3}, {"maxTotal": "9"}]
)
def test_one_without_a_cap_leaves_the_sum_without(spec: Any) -> None:
    found = priced(CAPPED, claim("b", **spec))
    assert found.price.hourly is None
    assert "rents 3 GPUs, per hour without a cap" in text(found)


def test_what_does_not_change_costs_nothing() -> None:
    found = priced(CAPPED, old=(CAPPED,))
    assert found.price == Price(stored={}, devices={})
    assert text(found) == ""


def test_hours_count_every_attempt_and_schedules_repeat() -> None:
    generation = thing(
        OURS,
        "ModelGeneration",
        "docs-1",
        activeDeadlineSeconds=1800,
        backoffLimit=1,
    )
    schedule = thing(OURS, "TrainingSchedule", "nightly", template={})
    found = priced(generation, schedule)
    assert found.price.hours == 1
    assert "trains at most 1.00 hours\n" in text(found)
    assert (
        "trains at most 4.00 hours a generation: "
        "trainingschedule/default/nightly"
    ) in text(found)


def test_the_defaults_are_those_of_the_kind() -> None:
    fields = GenerationTemplate.model_fields
    assert fields["active_deadline_seconds"].default == DEADLINE
    assert fields["backoff_limit"].default == RETRIES


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("10Gi", 10 * 1024**3),
        ("1.5G", 1_500_000_000),
        ("500", 500),
        (500, 500),
        ("much", 0),
    ],
)
def test_storage_that_is_claimed(quantity: Any, size: int) -> None:
    wanted = {"resources": {"requests": {"storage": quantity}}}
    one = thing("", "PersistentVolumeClaim", "a", **wanted)
    three = thing(
        "apps",
        "StatefulSet",
        "b",
        replicas=3,
        volumeClaimTemplates=[{"spec": wanted}],
    )
    assert priced(one, three).price.bytes == 4 * size


def test_devices_and_what_is_lost() -> None:
    model = thing(OURS, "Model", "docs", serving={"devices": ["NPU", "CPU"]})
    told = text(priced(model, old=(DATA, thing("", "ConfigMap", "c"))))
    assert told.endswith(
        "1 added, 0 changed, 2 pruned\n"
        "asks for NPU, CPU: model/default/docs\n"
        "deletes datasetlayout/default/data, which holds data\n"
        "deletes configmap/default/c"
    )


def test_json_is_complete_and_money_is_text() -> None:
    data = content(priced(CAPPED, old=(DATA,)))
    assert data["summary"] == {"added": 1, "changed": 0, "pruned": 1}
    plan = data["plan"]
    assert (plan["hourlyUSD"], plan["totalUSD"]) == ("1.50", "18.00")
    assert plan["rents"][0]["object"] == "gpuclaim/default/a"
    assert plan["deleted"] == [
        {"object": "datasetlayout/default/data", "holds": "holds data"}
    ]
    first = data["differences"][0]
    assert (first["verb"], first["kind"]) == ("added", "GPUClaim")


def test_markdown_cannot_be_broken_out_of_and_is_cut() -> None:
    evil = thing("", "Pod", "p", x="```\n# <b>hi</b>")
    found = priced(evil, old=(thing("", "Pod", "p", x=""),))
    told = markdown(found)
    assert told.startswith(
        "### reconciler diff: 0 added, 1 changed, 0 pruned\n"
    )
    assert "\n````diff\n" in told
    assert told.endswith("\n````\n")
    many = [thing("", "Pod", f"pod-{i:05}") for i in range(4000)]
    told = markdown(priced(*many))
    assert len(told) < MAX_COMMENT + 100
    assert told.endswith("... cut\n```\n")
    nothing = markdown(Preview((), Price()))
    assert nothing.endswith("Nothing would change.\n")


def test_a_field_that_is_removed_is_a_difference_between_folders() -> None:
    old, new = thing("", "Pod", "p", a=1, b=2), thing("", "Pod", "p", a=1)
    (found,) = priced(new, old=(old,)).differences
    assert [c.describe() for c in found.changes] == ["spec.b: 2 -> (none)"]
    live = {old.id: old.body}
    assert difference([new], live) == ()


def test_no_format_shows_a_secret() -> None:
    last = "kubectl.kubernetes.io/last-applied-configuration"

    def secret(value: str) -> DesiredObject:
        where = ObjectId("default", "s", "", "Secret")
        note = {"annotations": {last: f"data {value}"}}
        body = {
            "kind": "Secret",
            "metadata": {"name": "s", **note},
            "data": {"k": value},
            "stringData": {"l": value},
        }
        return DesiredObject(where, "v1", body)

    found = priced(secret("hunter3"), old=(secret("hunter2"),))
    assert isinstance(found.differences[0], Difference)
    assert len(found.differences[0].changes) == 3
    for told in (text(found), json.dumps(content(found)), markdown(found)):
        assert "hunter" not in told
