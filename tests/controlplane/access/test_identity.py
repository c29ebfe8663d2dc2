"""Who somebody is: certificates, accounts, and who they ask to be."""

import hashlib

import pytest
from access_support import ACCOUNTS, MAPS, grant, role, rule
from controlplane_support import MERGE

from reconciler.controlplane.access.authenticator import Certificate
from reconciler.controlplane.access.identity import (
    ADMIN,
    account_groups,
    account_of,
)
from reconciler.controlplane.access.impersonation import impersonated
from reconciler.controlplane.errors import ApiError

WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
LONG_AGO, FAR_AWAY = "Jan  1 00:00:00 2020 GMT", "Jan  1 00:00:00 2120 GMT"


def shown(common=("ann",), until=FAR_AWAY):
    names = tuple(((("commonName", name),)) for name in common)
    team = (("organizationName", "team"),)
    return Certificate({"subject": (*names, team), "notAfter": until}, b"DER")


async def whoami(client, **headers):
    code, answer = await client.call("POST", WHO, {}, headers=headers)
    assert code == 201, answer
    return answer["status"]["userInfo"]


async def test_a_certificate_counts_before_a_token(plane):
    authenticator = plane._cluster.authenticator
    token = f"Bearer {plane._cluster.authenticator._expected.decode()}"
    user = authenticator.user("", shown())
    assert (user.name, user.groups) == (
        "ann",
        ("team", "system:authenticated"),
    )
    digest = hashlib.sha256(b"DER").hexdigest()
    assert user.info()["extra"] == {
        "authentication.kubernetes.io/credential-id": [f"X509SHA256={digest}"]
    }
    assert authenticator.user(token, shown()).name == "ann"
    assert authenticator.user("Bearer wrong", shown()).name == "ann"
    assert authenticator.user("", shown(("first", "last"))).name == "last"


@pytest.mark.parametrize("useless", [shown(until=LONG_AGO), shown(common=())])
async def test_a_certificate_that_names_nobody_now(plane, useless):
    """A connection outlives the certificate that it was made with."""
    authenticator = plane._cluster.authenticator
    with pytest.raises(ApiError) as refused:
        authenticator.user("", useless)
    assert refused.value.code == 401
    token = f"Bearer {authenticator._expected.decode()}"
    assert authenticator.user(token, useless).name == "kubernetes-admin"


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("system:serviceaccount:ci:builder", ("ci", "builder")),
        ("system:serviceaccount:ci:a.b", ("ci", "a.b")),
        ("system:serviceaccount:ci:a:b", None),
        ("system:serviceaccount:a.b:c", None),
        ("system:serviceaccount::c", None),
        ("system:serviceaccount:ci:", None),
        ("system:serviceaccount", None),
        ("ann", None),
    ],
)
def test_names_of_accounts(name, account):
    assert account_of(name) == account
    assert bool(account_groups(name)) == (account is not None)


async def test_impersonation_needs_a_rule(widgets, builder):
    as_ann = {"Impersonate-User": "ann", "Impersonate-Group": "team"}
    assert await whoami(widgets, **as_ann) == {
        "username": "ann",
        "groups": ["team", "system:authenticated"],
    }
    code, status = await builder.call("POST", WHO, {}, **as_ann)
    assert code == 403
    assert 'cannot impersonate resource "users"' in status["message"]
    account = {"Impersonate-User": "system:serviceaccount:default:builder"}
    code, _ = await widgets.call("GET", MAPS, headers=account)
    assert code == 403
    code, _ = await widgets.call(
        "GET", MAPS, headers={"Impersonate-Group": "team"}
    )
    assert code == 400


@pytest.mark.parametrize(
    ("name", "asked", "groups"),
    [
        ("ann", [], ["system:authenticated"]),
        ("ann", ["team"], ["team", "system:authenticated"]),
        ("ann", ["system:authenticated"], ["system:authenticated"]),
        ("ann", ["system:unauthenticated"], ["system:unauthenticated"]),
        ("system:anonymous", [], ["system:unauthenticated"]),
        (
            "system:serviceaccount:ci:builder",
            [],
            [
                "system:serviceaccounts",
                "system:serviceaccounts:ci",
                "system:authenticated",
            ],
        ),
        (
            "system:serviceaccount:ci:builder",
            ["team"],
            ["team", "system:authenticated"],
        ),
    ],
)
async def test_the_groups_of_somebody_else(plane, name, asked, groups):
    headers = {"Impersonate-User": name}
    authorizer = plane._cluster.authorizer
    user = impersonated(authorizer, ADMIN, headers, asked)
    assert list(user.groups) == groups


async def test_each_part_of_an_identity_is_asked_for(widgets, builder):
    """In a Role, only accounts can be allowed: users have no namespace."""
    path = f"{ACCOUNTS}/builder"
    account = {"Impersonate-User": "system:serviceaccount:default:builder"}
    await grant(widgets, rule("impersonate", "serviceaccounts"))
    assert await builder.may("POST", WHO, {}, **account)
    assert not await builder.may("GET", path, **account)
    for header in (
        {"Impersonate-Group": "system:masters"},
        {"Impersonate-Uid": "1"},
        {"Impersonate-Extra-Reason": "x"},
        {"Impersonate-User": "system:serviceaccount:default:a:b"},
        {"Impersonate-User": "system:serviceaccount:other:builder"},
    ):
        code, _ = await builder.call("POST", WHO, {}, **account | header)
        assert code == 403, header


async def test_extra_keys_keep_escaped_letters(widgets):
    found = await whoami(
        widgets,
        **{
            "Impersonate-User": "ann",
            "Impersonate-Uid": "7",
            "Impersonate-Extra-Example.dev%2fScope": "x",
            "Impersonate-Extra-%41b": "y",
        },
    )
    assert found["uid"] == "7"
    assert found["extra"] == {"example.dev/scope": ["x"], "Ab": ["y"]}


async def test_the_anonymous_user_is_refused_and_nobody_is_not_known(widgets):
    anonymous = {"Impersonate-User": "system:anonymous"}
    code, status = await widgets.call("GET", MAPS, headers=anonymous)
    assert (code, status["reason"]) == (403, "Forbidden")
    nobody = {"Authorization": ""}
    for headers in (nobody, nobody | anonymous):
        code, status = await widgets.call("GET", MAPS, headers=headers)
        assert (code, status["reason"]) == (401, "Unauthorized")


async def test_a_token_ends_with_an_account_that_is_held(
    widgets, builder, monkeypatch
):
    """A finalizer keeps the account, but its tokens only for a minute."""
    path = f"{ACCOUNTS}/builder"
    merging = {"Content-Type": MERGE}
    held = {"metadata": {"finalizers": ["example.dev/hold"]}}
    await widgets.ok("PATCH", path, held, headers=merging)
    await widgets.ok("DELETE", path)
    assert await builder.may("GET", "/apis")
    from reconciler.controlplane.access import authenticator

    monkeypatch.setattr(authenticator, "_LINGER_SECONDS", -60)
    assert (await builder.call("GET", "/apis"))[0] == 401


async def test_rules_reviews_tell_the_rules_of_bindings(widgets, builder):
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    await grant(widgets, rule("get list", "configmaps"))
    body = {"spec": {"namespace": "default"}}
    _, review = await builder.call("POST", path, body)
    assert {
        "verbs": ["get", "list"],
        "apiGroups": [""],
        "resources": ["configmaps"],
    } in review["status"]["resourceRules"]
    assert review["status"]["incomplete"] is False
    admins = (await widgets.ok("POST", path, body))["status"]
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    assert everything in admins["resourceRules"]
    assert {"verbs": ["*"], "nonResourceURLs": ["*"]} in (
        admins["nonResourceRules"]
    )
    assert (await widgets.refused("POST", path, {"spec": {}}))["code"] == 400


async def test_a_path_is_asked_for_as_it_is(widgets, builder):
    made = role(kind="ClusterRole", name="paths")
    made["rules"] = [{"verbs": ["get"], "nonResourceURLs": ["/metrics"]}]
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    await widgets.ok("POST", roles, made)
    bound = {
        "metadata": {"name": "paths"},
        "roleRef": {"kind": "ClusterRole", "name": "paths"},
        "subjects": [{"kind": "Group", "name": "system:serviceaccounts"}],
    }
    await widgets.ok("POST", f"{roles[:-1]}bindings", bound)
    assert (await builder.call("GET", "/metrics"))[0] == 404
    assert (await builder.call("GET", "/metrics/"))[0] == 403
