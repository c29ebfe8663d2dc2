"""Lists, tables, discovery."""

import pytest
from conformance_support import TABLE, names_of, secret


def conformance(behaviour):
    return pytest.mark.conformance("lists and discovery", behaviour)


@conformance("limit and continue read one snapshot")
async def test_chunked_list_is_one_snapshot(api):
    for index in range(5):
        await api.ok("POST", api.secrets, secret(f"m{index}"))
    page = await api.ok("GET", f"{api.secrets}?limit=2")
    assert page["metadata"]["remainingItemCount"] == 3
    await api.ok("DELETE", f"{api.secrets}/m3")
    await api.ok("POST", api.secrets, secret("m2a"))
    names = names_of(page)
    while token := page["metadata"].get("continue"):
        page = await api.ok("GET", f"{api.secrets}?limit=2&continue={token}")
        names += names_of(page)
    assert names == ["m0", "m1", "m2", "m3", "m4"]


@conformance("resourceVersionMatch=Exact; versions of the future (504)")
async def test_list_at_a_revision(api):
    obj = await api.ok("POST", api.secrets, secret("a"))
    version = obj["metadata"]["resourceVersion"]
    await api.ok("POST", api.secrets, secret("b"))
    exact = (
        f"{api.secrets}?resourceVersion={version}&resourceVersionMatch=Exact"
    )
    page = await api.ok("GET", exact)
    assert names_of(page) == ["a"]
    future = int(version) + 10**9
    status = await api.refused(
        "GET", f"{api.secrets}?resourceVersion={future}"
    )
    assert (status["code"], status["reason"]) == (504, "Timeout")


@conformance("selectors with limit; malformed selectors (400)")
async def test_selector_limits_and_errors(api):
    for index in range(6):
        body = secret(f"m{index}", labels={"odd": str(index % 2)})
        await api.ok("POST", api.secrets, body)
    page = await api.ok("GET", f"{api.secrets}?limit=2&labelSelector=odd%3D1")
    assert names_of(page) == ["m1", "m3"]
    token = page["metadata"]["continue"]
    page = await api.ok(
        "GET", f"{api.secrets}?limit=2&labelSelector=odd%3D1&continue={token}"
    )
    assert names_of(page) == ["m5"]
    assert "continue" not in page["metadata"]
    for query in ("labelSelector=%3D%3D", "fieldSelector=data", "limit=x"):
        status = await api.refused("GET", f"{api.secrets}?{query}")
        assert status["code"] == 400


FORBIDDEN = (
    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden"
)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "resourceVersionMatch=Exact",
            f"{FORBIDDEN} unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Odd&resourceVersion=1",
            (
                'resourceVersionMatch: Unsupported value: "Odd": supported '
                'values: "Exact", "NotOlderThan", ""'
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            (
                "resourceVersionMatch: Forbidden: resourceVersionMatch "
                '"exact" is forbidden for resourceVersion "0"'
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
            f"{FORBIDDEN} when continue is provided",
        ),
        (
            "sendInitialEvents=true",
            (
                "sendInitialEvents: Forbidden: sendInitialEvents is forbidden "
                "for list"
            ),
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            f"{FORBIDDEN} for watch unless sendInitialEvents is provided",
        ),
        (
            "watch=1&sendInitialEvents=true",
            (
                "resourceVersionMatch: Forbidden: sendInitialEvents requires "
                "setting resourceVersionMatch to NotOlderThan"
            ),
        ),
    ],
)
@conformance("list options that do not go together (422)")
async def test_list_options_that_do_not_go_together(api, query, message):
    status = await api.refused("GET", f"{api.secrets}?{query}")
    assert (status["code"], status["message"]) == (
        422,
        f'ListOptions.meta.k8s.io "" is invalid: {message}',
    )


@conformance("Table and PartialObjectMetadata")
async def test_table_and_partial_forms(api):
    await api.ok("POST", api.widgets, api.widget(size=3))
    table = await api.ok("GET", api.widgets, headers={"Accept": TABLE})
    assert table["kind"] == "Table"
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names == ["Name", "Size", "Ready", "Color"]
    assert table["rows"][0]["cells"] == ["a", 3, None, "red"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    partial = (
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    )
    slim = await api.ok("GET", api.widgets, headers={"Accept": partial})
    assert slim["kind"] == "PartialObjectMetadataList"
    assert "spec" not in slim["items"][0]


@conformance("aggregated (v2) and legacy discovery agree")
async def test_aggregated_and_legacy_discovery_agree(api):
    form = (
        "application/json;g=apidiscovery.k8s.io;v=v2;"
        "as=APIGroupDiscoveryList,application/json"
    )
    whole = await api.ok("GET", "/apis", headers={"Accept": form})
    assert api.headers["Content-Type"].endswith("APIGroupDiscoveryList")
    found = {
        (group["metadata"]["name"], version["version"], resource["resource"])
        for group in whole["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }
    legacy = set()
    for group in (await api.ok("GET", "/apis"))["groups"]:
        for version in group["versions"]:
            listed = await api.ok("GET", f"/apis/{version['groupVersion']}")
            legacy |= {
                (group["name"], version["version"], resource["name"])
                for resource in listed["resources"]
                if "/" not in resource["name"]
            }
    assert found == legacy
    assert (api.names.group, "v1", api.names.plural) in found


@conformance("OpenAPI v3 documents of every group")
async def test_openapi_documents_cover_every_group(api):
    index = await api.ok("GET", "/openapi/v3")
    assert f"apis/{api.names.group}/v1" in index["paths"]
    for entry in index["paths"].values():
        document = await api.ok("GET", entry["serverRelativeURL"])
        assert document["openapi"].startswith("3.")
