"""RBAC over HTTPS: what accounts and certificates may do."""

import asyncio

import aiohttp
import pytest
from access_support import (
    ACCOUNTS,
    BINDINGS,
    MAPS,
    ROLES,
    Account,
    binding,
    grant,
    role,
    rule,
    token_request,
)
from controlplane_support import (
    APPLY,
    MERGE,
    WIDGETS,
    Client,
    config_map,
    eventually,
    widget,
)

from reconciler.controlplane.cli import main


async def test_without_a_role_an_account_may_nothing(builder):
    code, status = await builder.call("GET", f"{MAPS}/a")
    assert code == 403
    assert status["message"] == (
        'configmaps "a" is forbidden: User '
        '"system:serviceaccount:default:builder" cannot get resource '
        '"configmaps" in API group "" in the namespace "default"'
    )
    assert status["reason"] == "Forbidden"
    assert status["details"] == {"name": "a", "kind": "configmaps"}
    code, status = await builder.call("GET", "/apis/example.dev/v1/widgets")
    assert status["message"] == (
        "widgets.example.dev is forbidden: User "
        '"system:serviceaccount:default:builder" cannot list resource '
        '"widgets" in API group "example.dev" at the cluster scope'
    )
    code, status = await builder.call("GET", "/metrics")
    assert (code, status["message"]) == (
        403,
        (
            'forbidden: User "system:serviceaccount:default:builder" cannot '
            'get path "/metrics"'
        ),
    )
    assert await builder.may("GET", "/apis")


VERBS = {
    "get": ("GET", f"{WIDGETS}/a", None, {}),
    "list": ("GET", WIDGETS, None, {}),
    "create": ("POST", WIDGETS, widget("b"), {}),
    "update": ("PUT", f"{WIDGETS}/a", widget("a"), {}),
    "patch": ("PATCH", f"{WIDGETS}/a", {}, {"Content-Type": MERGE}),
    "delete": ("DELETE", f"{WIDGETS}/a", None, {}),
    "deletecollection": ("DELETE", WIDGETS, None, {}),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_each_verb_alone(widgets, builder, verb):
    await grant(widgets, rule(verb, "widgets", "example.dev"))
    for other, (method, path, body, headers) in VERBS.items():
        await widgets.call("POST", WIDGETS, widget("a"))
        allowed = await builder.may(method, path, body, **headers)
        assert allowed == (other == verb), other


async def test_watch_is_a_verb_of_its_own(widgets, builder):
    await grant(widgets, rule("list", "widgets", "example.dev"))
    path = f"{WIDGETS}?watch=1&timeoutSeconds=1"
    assert not await builder.may("GET", path)
    await grant(widgets, rule("watch", "widgets", "example.dev"))
    async with widgets.session.get(
        widgets.url + path, headers=builder.headers
    ) as response:
        assert response.status == 200
    assert not await builder.may("GET", WIDGETS)


@pytest.mark.parametrize("flag", ["t", "TRUE", "True", "1", "T"])
async def test_no_spelling_of_the_flag_makes_a_list_a_watch(
    widgets, builder, flag
):
    await widgets.ok("POST", WIDGETS, widget("a"))
    await grant(widgets, rule("get list", "widgets", "example.dev"))
    assert not await builder.may("GET", f"{WIDGETS}?watch={flag}")
    # An object by its path is never watched.
    assert (await builder.call("GET", f"{WIDGETS}/a?watch={flag}"))[0] == 200
    assert await builder.may("GET", f"{WIDGETS}?watch=F")


@pytest.mark.parametrize(
    "subjects", ["x", {"kind": "User"}, ["x"], [None], [{"kind": []}], [{}]]
)
async def test_subjects_of_another_shape_are_refused(widgets, subjects):
    body = binding() | {"subjects": subjects}
    status = await widgets.refused("POST", BINDINGS, body)
    assert status["code"] in (400, 422)


@pytest.mark.parametrize("reference", ["x", None, {}, {"kind": 1}, []])
async def test_role_references_of_another_shape_are_refused(
    widgets, reference
):
    body = binding() | {"roleRef": reference}
    status = await widgets.refused("POST", BINDINGS, body)
    assert status["code"] in (400, 422)


@pytest.mark.parametrize("rules", ["x", [None], ["x"], [{"verbs": [1]}], {}])
async def test_rules_of_another_shape_are_refused(widgets, rules):
    status = await widgets.refused("POST", ROLES, role() | {"rules": rules})
    assert status["code"] in (400, 422)


async def test_subresources_are_allowed_apart(widgets, builder):
    await widgets.ok("POST", WIDGETS, widget("a"))
    await grant(widgets, rule("get", "widgets/status", "example.dev"))
    assert await builder.may("GET", f"{WIDGETS}/a/status")
    assert not await builder.may("GET", f"{WIDGETS}/a")
    assert not await builder.may("GET", f"{WIDGETS}/a/scale")


async def test_a_list_limited_to_one_name_may_be_allowed(widgets, builder):
    await grant(widgets, rule("get list watch", "configmaps", names=["a"]))
    assert await builder.may("GET", f"{MAPS}/a")
    assert not await builder.may("GET", f"{MAPS}/b")
    assert not await builder.may("GET", MAPS)
    selector = "fieldSelector=metadata.name%3D"
    assert await builder.may("GET", f"{MAPS}?{selector}a")
    assert not await builder.may("GET", f"{MAPS}?{selector}b")
    both = f"{MAPS}?{selector}a,metadata.namespace%3Ddefault"
    assert await builder.may("GET", both)
    assert not await builder.may("GET", f"{MAPS}?fieldSelector=metadata.name")
    # A name does not limit what may be deleted together.
    await grant(widgets, rule("deletecollection", "configmaps", names=["a"]))
    assert not await builder.may("DELETE", f"{MAPS}?{selector}a")


async def test_applying_a_new_object_needs_create(widgets, builder):
    path = f"{MAPS}/new?fieldManager=m"
    headers = {"Content-Type": APPLY}
    await grant(widgets, rule("patch", "configmaps"))
    assert not await builder.may("PATCH", path, config_map("new"), **headers)
    await grant(widgets, rule("patch create", "configmaps"))
    code, _ = await builder.call("PATCH", path, config_map("new"), **headers)
    assert code == 201


async def test_an_update_that_creates_needs_create(widgets, builder):
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    lease = {"metadata": {"name": "late"}}
    await grant(widgets, rule("update", "leases", "coordination.k8s.io"))
    assert not await builder.may("PUT", f"{leases}/late", lease)
    rules = rule("update create", "leases", "coordination.k8s.io")
    await grant(widgets, rules)
    code, _ = await builder.call("PUT", f"{leases}/late", lease)
    assert code == 201


async def test_rights_end_with_their_binding(widgets, builder):
    await grant(widgets, rule("list", "configmaps"))
    assert await builder.may("GET", MAPS)
    await widgets.ok("DELETE", f"{BINDINGS}/b")
    assert not await builder.may("GET", MAPS)


async def test_a_token_ends_with_its_account(widgets, builder):
    await widgets.ok("DELETE", f"{ACCOUNTS}/builder")
    code, _ = await builder.call("GET", "/apis")
    assert code == 401
    await widgets.ok("POST", ACCOUNTS, {"metadata": {"name": "builder"}})
    code, _ = await builder.call("GET", "/apis")
    assert code == 401


@pytest.mark.usefixtures("builder")
async def test_a_token_ends_with_the_secret_that_it_is_bound_to(widgets):
    secrets = "/api/v1/namespaces/default/secrets"
    await widgets.ok("POST", secrets, {"metadata": {"name": "s"}})
    bound = token_request(boundObjectRef={"kind": "Secret", "name": "s"})
    answer = await widgets.ok("POST", f"{ACCOUNTS}/builder/token", bound)
    account = Account(widgets, answer["status"]["token"])
    assert await account.may("GET", "/apis")
    bound["spec"]["boundObjectRef"]["uid"] = "another"
    status = await widgets.refused("POST", f"{ACCOUNTS}/builder/token", bound)
    assert status["reason"] == "Conflict"
    await widgets.ok("DELETE", f"{secrets}/s")
    assert (await account.call("GET", "/apis"))[0] == 401


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"expirationSeconds": 10}, 422, "less than 10 minutes"),
        ({"expirationSeconds": 1 << 33}, 422, "larger than 2^32"),
        ({"expirationSeconds": "1h"}, 400, "integer"),
        ({"audiences": "x"}, 400, "list of strings"),
        ({"boundObjectRef": {"kind": "Pod", "name": "p"}}, 400, "only Secret"),
        ({"boundObjectRef": "Secret"}, 400, "must be an object"),
        (
            {
                "boundObjectRef": {
                    "kind": "Secret",
                    "apiVersion": "example.dev/v1",
                    "name": "p",
                }
            },
            400,
            "to type example.dev/v1, Kind=Secret",
        ),
        (
            {"boundObjectRef": {"kind": "Secret", "name": "p"}},
            404,
            "not found",
        ),
    ],
)
@pytest.mark.usefixtures("builder")
async def test_token_requests_that_are_refused(widgets, spec, code, words):
    path = f"{ACCOUNTS}/builder/token"
    status = await widgets.refused("POST", path, token_request(**spec))
    assert status["code"] == code
    assert words in status["message"]


async def test_a_token_for_another_audience_is_not_for_us(widgets, builder):
    asked = token_request(audiences=["vault"])
    answer = await widgets.ok("POST", f"{ACCOUNTS}/builder/token", asked)
    token = answer["status"]["token"]
    account = Account(widgets, token)
    assert (await account.call("GET", "/apis"))[0] == 401
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    body = {"spec": {"token": token, "audiences": ["vault", "other"]}}
    review = await widgets.ok("POST", reviews, body)
    assert review["status"]["authenticated"] is True
    assert review["status"]["audiences"] == ["vault"]
    assert review["status"]["user"]["username"] == (
        "system:serviceaccount:default:builder"
    )
    review = await widgets.ok("POST", reviews, {"spec": {"token": "x"}})
    assert "authenticated" not in review["status"]
    status = await widgets.refused("POST", reviews, {"spec": {}})
    assert (status["code"], status["reason"]) == (400, "BadRequest")
    assert await builder.may("GET", "/apis")


async def test_the_admins_token_is_for_this_server_only(widgets):
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    token = widgets.session.headers["Authorization"].removeprefix("Bearer ")
    ours = {"spec": {"token": token}}
    review = await widgets.ok("POST", reviews, ours)
    assert review["status"]["user"]["username"] == "kubernetes-admin"
    ours["spec"]["audiences"] = ["vault"]
    review = await widgets.ok("POST", reviews, ours)
    assert "authenticated" not in review["status"]


async def test_a_bindings_role_cannot_be_changed(widgets):
    await widgets.ok("POST", ROLES, role())
    await widgets.ok("POST", BINDINGS, binding())
    status = await widgets.refused(
        "PUT", f"{BINDINGS}/b", binding(target="other")
    )
    assert status["code"] == 422
    assert "cannot change roleRef" in status["message"]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"verbs": []}, "rules[0].verbs: Required value"),
        ({"verbs": ["get"]}, "rules[0].apiGroups: Required value"),
        (
            {"verbs": ["get"], "apiGroups": [""]},
            "rules[0].resources: Required value",
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/x"]},
            "namespaced rules cannot apply to non-resource URLs",
        ),
    ],
)
async def test_rules_that_make_no_sense(widgets, part, words):
    status = await widgets.refused("POST", ROLES, role(part))
    assert status["code"] == 422
    assert words in status["message"]


async def test_reviews_ask_the_rules(widgets, builder):
    await grant(widgets, rule("list", "configmaps"))
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"verb": "list", "resource": "configmaps", "namespace": "default"}
    body = {"spec": {"resourceAttributes": asked}}
    _, review = await builder.call("POST", path, body)
    assert review["status"]["allowed"] is True
    assert review["status"]["reason"] == (
        'RBAC: allowed by RoleBinding "b/default" of Role "r" to '
        'ServiceAccount "builder/default"'
    )
    asked["verb"] = "watch"
    _, review = await builder.call("POST", path, body)
    assert review["status"] == {"allowed": False}
    other = path.replace("selfsubject", "subject")
    body["spec"]["user"] = "system:serviceaccount:default:builder"
    assert not await builder.may("POST", other, body)
    review = await widgets.ok("POST", other, body)
    assert review["status"]["allowed"] is False
    status = await widgets.refused("POST", path, {"spec": {}})
    assert status["code"] == 422


async def test_each_namespace_has_a_default_account(client):
    path = "/api/v1/namespaces/{}/serviceaccounts/default"

    async def there(namespace="default"):
        code, account = await client.call("GET", path.format(namespace))
        return code == 200 and account["metadata"]["uid"]

    first = await eventually(there)
    await client.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    await eventually(lambda: there("n"))
    await client.ok("DELETE", path.format("default"))

    async def anew():
        uid = await there()
        return uid and uid != first

    await eventually(anew)
    await client.ok("DELETE", "/api/v1/namespaces/n")

    async def gone():
        return (await client.call("GET", "/api/v1/namespaces/n"))[0] == 404

    await eventually(gone)


async def test_a_client_certificate_names_user_and_groups(plane, tmp_path):
    state, file = tmp_path / "state", tmp_path / "ann.yaml"
    words = ["user", "ann", "--state", str(state), "-o", str(file)]
    code = await asyncio.to_thread(main, [*words, "--group", "team"])
    assert code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        "auth",
        "whoami",
        "-o",
        "json",
        env={"KUBECONFIG": str(file), "PATH": "/usr/bin:/bin", "HOME": "/"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert b'"username": "ann"' in out
    assert b'"team"' in out
    assert plane.url.encode() in file.read_bytes()


async def test_a_certificate_of_another_authority_is_refused(
    plane, tmp_path, client
):
    from reconciler.controlplane import credentials

    credentials.ensure(tmp_path / "other" / "identity")
    (tmp_path / "other" / "url").write_text(plane.url)
    file = tmp_path / "eve.yaml"
    words = ["user", "eve", "--state", str(tmp_path / "other")]
    words += ["-o", str(file), "--group", "system:masters"]
    assert await asyncio.to_thread(main, words) == 0
    import base64
    import json
    import ssl

    user = json.loads(file.read_text())["users"][0]["user"]
    pem = tmp_path / "eve.pem"
    pem.write_bytes(
        base64.b64decode(user["client-certificate-data"])
        + base64.b64decode(user["client-key-data"])
    )
    context = ssl.create_default_context(
        cadata=(tmp_path / "state/identity/ca.crt").read_text()
    )
    context.load_cert_chain(pem)
    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await session.get(f"{plane.url}/apis", ssl=context)
    assert (await client.call("GET", "/livez"))[0] == 200


def test_who_was_never_served_has_no_users(tmp_path, capsys):
    words = ["user", "ann", "--state", str(tmp_path), "-o", "x"]
    assert main(words) == 1
    assert "no server was ever started" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_other_machines_are_let_in_only_on_purpose(tmp_path, address, capsys):
    words = ["serve", "--state", str(tmp_path), "--listen", address]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert f"{address} is no loopback address" in error
    assert "--remote-name" in error
    assert not (tmp_path / "identity").exists()


def test_a_remote_name_is_one(tmp_path, capsys):
    words = ["serve", "--state", str(tmp_path), "--listen", "192.0.2.1"]
    with pytest.raises(SystemExit):
        main([*words, "--remote-name", "https://laptop"])
    assert "no host name and no address" in capsys.readouterr().err


async def test_a_remote_name_is_in_the_certificate(tmp_path):
    from reconciler.controlplane.server import ControlPlane

    plane = ControlPlane(
        tmp_path,
        host="0.0.0.0",  # noqa: S104 - what is tested
        names=["localhost", "127.0.0.9"],
    )
    await plane.start()
    try:
        assert plane.url.startswith("https://localhost:")
        client = Client(plane.kubeconfig)
        await client.ok("GET", "/apis")
        client.url = client.url.replace("localhost", "127.0.0.9")
        await client.ok("GET", "/apis")
        await client.refused("GET", "/apis", headers={"Authorization": ""})
        await client.close()
    finally:
        await plane.stop()
