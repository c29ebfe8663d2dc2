"""Nobody gives away what they do not have."""

import pytest
from access_support import (
    BINDINGS,
    RBAC,
    ROLES,
    binding,
    grant,
    role,
    rule,
)
from controlplane_support import MERGE

GROUP = "rbac.authorization.k8s.io"
CLUSTER_ROLES = f"{RBAC}/clusterroles"
MANAGE = rule("create update patch", "roles rolebindings", GROUP)
MERGING = {"Content-Type": MERGE}


async def grant_everywhere(client, *rules):
    """Give the builder these rules in the whole cluster."""
    made = role(*rules, name="everywhere", kind="ClusterRole")
    await client.ok("POST", CLUSTER_ROLES, made)
    bound = binding("everywhere", "everywhere", "ClusterRole")
    bound["kind"] = "ClusterRoleBinding"
    await client.ok("POST", f"{RBAC}/clusterrolebindings", bound)


async def test_nobody_gives_away_what_they_do_not_have(widgets, builder):
    await grant(widgets, rule("get", "configmaps"), MANAGE)
    harmless = role(rule("get", "configmaps"), name="harmless")
    assert await builder.may("POST", ROLES, harmless)
    more = role(rule("get list", "secrets"), name="more")
    code, status = await builder.call("POST", ROLES, more)
    assert code == 403
    assert status["message"] == (
        'roles.rbac.authorization.k8s.io "more" is forbidden: user '
        '"system:serviceaccount:default:builder" '
        '(groups=["system:serviceaccounts" "system:serviceaccounts:default" '
        '"system:authenticated"]) is attempting to grant RBAC permissions '
        'not currently held:\n{APIGroups:[""], Resources:["secrets"], '
        'Verbs:["get" "list"]}'
    )
    admin = binding("mine", "cluster-admin", "ClusterRole")
    assert not await builder.may("POST", BINDINGS, admin)
    assert await builder.may("POST", BINDINGS, binding("ok", "harmless"))
    bind = rule("bind", "clusterroles", GROUP, ["cluster-admin"])
    await grant(widgets, MANAGE, bind)
    # `bind` in a Role is about the namespace of the binding.
    assert await builder.may("POST", BINDINGS, admin)


async def test_escalate_for_one_name_is_not_for_new_roles(widgets, builder):
    escalate = rule("escalate", "roles", GROUP, ["more"])
    await grant(widgets, MANAGE, escalate)
    more = role(rule("get", "secrets"), name="more")
    assert not await builder.may("POST", ROLES, more)
    await widgets.ok("POST", ROLES, role(name="more"))
    assert await builder.may("PUT", f"{ROLES}/more", more)
    other = role(rule("get", "secrets"), name="r")
    assert not await builder.may("PUT", f"{ROLES}/r", other)


async def test_a_label_gives_rights_away_too(widgets, builder):
    """It can make a role a part of one that many have."""
    powerful = role(rule("*", "*"), name="powerful", kind="ClusterRole")
    await widgets.ok("POST", CLUSTER_ROLES, powerful)
    await grant_everywhere(
        widgets, rule("update patch", "clusterroles", GROUP)
    )
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    path = f"{CLUSTER_ROLES}/powerful"
    body = {"metadata": {"labels": labels}}
    assert not await builder.may("PATCH", path, body, **MERGING)
    body = {"metadata": {"finalizers": ["example.dev/hold"]}}
    assert await builder.may("PATCH", path, body, **MERGING)
    body = {"metadata": {"finalizers": None}}
    assert await builder.may("PATCH", path, body, **MERGING)


async def test_only_who_may_everything_aggregates(widgets, builder):
    resources = rule("*", "*", "*")
    await grant_everywhere(widgets, resources)
    # `*` includes the verb escalate; rules for paths are another matter.
    asked = role(kind="ClusterRole", name="sum") | {
        "aggregationRule": {
            "clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]
        }
    }
    assert await builder.may("POST", CLUSTER_ROLES, asked)
    await widgets.ok("DELETE", f"{CLUSTER_ROLES}/everywhere")
    await widgets.ok("DELETE", f"{RBAC}/clusterrolebindings/everywhere")
    asked["metadata"]["name"] = "sum2"
    await grant_everywhere(widgets, rule("create", "clusterroles", GROUP))
    code, status = await builder.call("POST", CLUSTER_ROLES, asked)
    assert code == 403
    assert status["message"].endswith(
        "must have cluster-admin privileges to use the aggregationRule"
    )


@pytest.mark.parametrize("name", ["absent", "r"])
async def test_a_binding_to_an_absent_role(widgets, builder, name):
    await grant(widgets, MANAGE)
    bound = binding("late", name, "ClusterRole")
    code, status = await builder.call("POST", BINDINGS, bound)
    assert code == 404
    assert status["message"] == (
        f'clusterroles.rbac.authorization.k8s.io "{name}" not found'
    )
