"""ClusterRoles that are made of others."""

import pytest
from access_support import RBAC, role, rule
from controlplane_support import MERGE, eventually

from reconciler.controlplane.lifecycle.aggregation import combined

ROLES = f"{RBAC}/clusterroles"
READ, WRITE = rule("get", "configmaps"), rule("create", "configmaps")


def part(name, *rules, selects=(), **labels):
    made = role(*rules, name=name, kind="ClusterRole")
    made["metadata"]["labels"] = labels
    selectors = [{"matchLabels": {label: "true"}} for label in selects]
    if selectors:
        made["aggregationRule"] = {"clusterRoleSelectors": selectors}
    return made


def sum_of(name, *roles):
    by_name = {one["metadata"]["name"]: one for one in roles}
    return combined(by_name[name], dict(sorted(by_name.items())))


def test_the_rules_of_all_parts_each_once():
    roles = (
        part("sum", WRITE, selects=["x", "y"]),
        part("b", WRITE, READ, x="true"),
        part("a", READ, y="true", x="true"),
        part("c", rule("*", "*"), x="false"),
    )
    assert sum_of("sum", *roles) == [READ, WRITE]


def test_parts_of_parts_and_circles():
    roles = (
        part("a", selects=["b"], a="true", b="true"),
        part("b", selects=["c"], b="true"),
        part("c", selects=["a"], c="true"),
        part("leaf", READ, a="true"),
    )
    for name in "abc":
        assert sum_of(name, *roles) == [READ]


async def test_the_roles_for_people_are_complete_from_the_start(client):
    async def verbs(name):
        found = await client.ok("GET", f"{ROLES}/{name}")
        return {
            verb
            for one in found["rules"]
            for verb in one["verbs"]
            if "configmaps" in one["resources"]
        }

    assert await verbs("view") == {"get", "list", "watch"}
    assert await verbs("edit") > await verbs("view")
    assert await verbs("admin") == await verbs("edit")


async def test_rules_follow_labels(client):
    async def rules():
        return (await client.ok("GET", f"{ROLES}/sum"))["rules"]

    async def are(wanted):
        await eventually(lambda: is_(wanted))

    async def is_(wanted):
        return await rules() == wanted

    await client.ok("POST", ROLES, part("leaf", READ))
    await client.ok("POST", ROLES, part("sum", WRITE, selects=["x"]))
    await are([])
    merging = {"Content-Type": MERGE}
    body = {"metadata": {"labels": {"x": "true"}}}
    await client.ok("PATCH", f"{ROLES}/leaf", body, headers=merging)
    await are([READ])
    # Who writes them loses them, and is told whose they are.
    body = {"rules": [WRITE]}
    await client.ok("PATCH", f"{ROLES}/sum", body, headers=merging)
    await are([READ])
    found = await client.ok("GET", f"{ROLES}/sum")
    managers = {one["manager"] for one in found["metadata"]["managedFields"]}
    assert "clusterrole-aggregation-controller" in managers
    await client.ok("DELETE", f"{ROLES}/leaf")
    await are([])


@pytest.mark.parametrize(
    ("aggregation", "words"),
    [
        ({}, "at least one clusterRoleSelector required"),
        (
            {
                "clusterRoleSelectors": [
                    {"matchExpressions": [{"key": "a", "operator": "Is"}]}
                ]
            },
            '.operator: Invalid value: "Is": not a valid selector operator',
        ),
        (
            {
                "clusterRoleSelectors": [
                    {"matchExpressions": [{"key": "a", "operator": "In"}]}
                ]
            },
            "matchExpressions[0].values: Required value",
        ),
    ],
)
async def test_selectors_that_make_no_sense(client, aggregation, words):
    body = part("sum") | {"aggregationRule": aggregation}
    status = await client.refused("POST", ROLES, body)
    assert status["code"] == 422
    assert words in status["message"]
