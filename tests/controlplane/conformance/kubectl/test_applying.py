"""create, apply, diff and kustomize: objects from files."""

import json

import pytest
from controlplane_support import config_map, widget


def conformance(behaviour):
    return pytest.mark.conformance("kubectl", behaviour)


@pytest.fixture
def named(kubectl):
    """How kubectl calls an object: ``widget.<group>/<name>``."""
    return f"widget.{kubectl.names.group}"


def made(kubectl, name="a", size=1, **metadata):
    return widget(name, size, kubectl.names, **metadata)


def shown(kubectl, what):
    return json.loads(kubectl("get", *what.split("/"), "-o", "json"))


@conformance("apply: created, unchanged, configured")
def test_apply(kubectl, named):
    for size, word in ((1, "created"), (1, "unchanged"), (2, "configured")):
        out = kubectl("apply", "-f", "-", given=made(kubectl, size=size))
        assert out == f"{named}/a {word}\n"


@conformance("apply: three-way merge keeps what others set, drops the rest")
def test_three_way_merge(kubectl):
    mine = {"labels": {"mine": "1", "going": "1"}}
    kubectl("apply", "-f", "-", given=config_map("m", **mine))
    kubectl("label", "cm", "m", "theirs=2")
    given = config_map("m", labels={"mine": "3"})
    kubectl("apply", "-f", "-", given=given)
    metadata = shown(kubectl, "cm/m")["metadata"]
    assert metadata["labels"] == {"mine": "3", "theirs": "2"}
    last = "kubectl.kubernetes.io/last-applied-configuration"
    assert json.loads(metadata["annotations"][last])["data"] == given["data"]
    out = kubectl("apply", "view-last-applied", "cm/m", "-o", "json")
    assert json.loads(out)["metadata"]["labels"] == {"mine": "3"}


@conformance("apply --server-side, --force-conflicts, named managers")
def test_server_side_apply(kubectl, named):
    one = ("apply", "--server-side", "--field-manager=one", "-f", "-")
    two = ("apply", "--server-side", "--field-manager=two", "-f", "-")
    out = kubectl(*one, given=made(kubectl, size=3))
    assert out == f"{named}/a serverside-applied\n"
    refused = kubectl.fails(*two, given=made(kubectl, size=4))
    assert (
        'Apply failed with 1 conflict: conflict with "one": .spec.size'
        in refused
    )
    assert "--force-conflicts" in refused
    kubectl(*two, "--force-conflicts", given=made(kubectl, size=4))
    fields = kubectl(
        *("get", kubectl.names.short, "a", "--show-managed-fields"),
        *("-o", "jsonpath={range .metadata.managedFields[*]}{.manager} {end}"),
    )
    assert "two" in fields.split()


@conformance("apply of a List: each item is checked and applied")
def test_lists(kubectl, named):
    items = [config_map("m"), made(kubectl)]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    out = kubectl("apply", "-f", "-", given=listed)
    assert out == f"configmap/m created\n{named}/a created\n"
    items[0]["dota"] = items[1]["spec"]["sighs"] = 1
    refused = kubectl.fails("apply", "-f", "-", given=listed)
    assert 'unknown field "dota"' in refused
    assert 'unknown field "sighs"' in refused


@conformance("apply --prune with an allow list and a selector")
def test_prune(kubectl):
    both = [config_map(n, labels={"app": "p"}) for n in ("kept", "gone")]
    for item in both:
        kubectl("apply", "-f", "-", given=item)
    out = kubectl(
        *("apply", "--prune", "-l", "app=p", "-f", "-"),
        *("--prune-allowlist", "core/v1/ConfigMap"),
        *("-n", kubectl.namespace),
        given=both[0],
    )
    assert "configmap/gone pruned" in out
    assert kubectl("get", "cm", "-l", "app=p", "-o", "name") == (
        "configmap/kept\n"
    )


@conformance("apply -k and kustomize output as input")
def test_kustomize(kubectl, tmp_path):
    (tmp_path / "kustomization.yaml").write_text(
        "namePrefix: dev-\n"
        "resources: [m.json]\n"
        "configMapGenerator: [{name: made, literals: [a=b]}]\n"
    )
    (tmp_path / "m.json").write_text(json.dumps(config_map("m")))
    out = kubectl("apply", "-k", str(tmp_path))
    assert "configmap/dev-m created" in out
    assert "configmap/dev-made-" in out
    again = kubectl("kustomize", str(tmp_path))
    assert kubectl("apply", "-f", "-", given=again).count("unchanged") == 2
    assert "deleted" in kubectl("delete", "-k", str(tmp_path))


@conformance("create, create --dry-run=server, AlreadyExists")
def test_create(kubectl, named):
    dry = ("create", "--dry-run=server", "-f", "-")
    out = kubectl(*dry, given=made(kubectl))
    assert out == f"{named}/a created (server dry run)\n"
    assert kubectl("get", kubectl.names.short, "-o", "name") == ""
    assert kubectl("create", "-f", "-", given=made(kubectl)) == (
        f"{named}/a created\n"
    )
    assert kubectl.fails("create", "-f", "-", given=made(kubectl)) == (
        'Error from server (AlreadyExists): error when creating "STDIN": '
        f'{kubectl.names.qualified} "a" already exists\n'
    )
    named_by_server = made(kubectl)
    del named_by_server["metadata"]["name"]
    named_by_server["metadata"]["generateName"] = "g-"
    out = kubectl("create", "-f", "-", given=named_by_server)
    assert out.startswith(f"{named}/g-")


@conformance("objects that are invalid: field, reason and value are named")
def test_invalid_objects(kubectl):
    refused = kubectl.fails("apply", "-f", "-", given=made(kubectl, size=0))
    assert refused.startswith(
        'The Widget "a" is invalid: spec.size: Invalid value: 0: '
        "spec.size in body should be greater than or equal to 1"
    )
    broken = made(kubectl)
    del broken["spec"]["size"]
    refused = kubectl.fails("create", "-f", "-", given=broken)
    assert 'The Widget "a" is invalid: spec.size: Required value' in refused


@conformance("--validate=strict|warn|ignore: unknown and duplicate fields")
def test_validation(kubectl):
    odd = made(kubectl)
    odd["spec"]["shape"] = "round"
    refused = kubectl.fails("create", "-f", "-", given=odd)
    assert (
        'Widget in version "v1" cannot be handled as a Widget: strict '
        'decoding error: unknown field "spec.shape"'
    ) in refused
    warn = ("create", "--validate=warn", "-f", "-")
    code, _, error = kubectl.run(*warn, given=odd)
    assert code == 0
    assert 'Warning: unknown field "spec.shape"' in error
    assert "shape" not in shown(kubectl, f"{kubectl.names.short}/a")["spec"]
    ignore = ("replace", "--validate=ignore", "-f", "-")
    assert kubectl.run(*ignore, given=odd)[2] == ""


@conformance("diff: exit code 1 and the changed lines")
def test_diff(kubectl):
    assert kubectl.run("diff", "-f", "-", given=made(kubectl))[0] == 1
    kubectl("apply", "-f", "-", given=made(kubectl))
    same = kubectl.run("diff", "-f", "-", given=made(kubectl))
    assert same[:2] == (0, "")
    code, out, _ = kubectl.run("diff", "-f", "-", given=made(kubectl, size=2))
    assert code == 1
    assert "-  size: 1\n+  size: 2" in out
    server = ("diff", "--server-side", "-f", "-", "--force-conflicts")
    code, out, _ = kubectl.run(*server, given=made(kubectl, size=3))
    assert code == 1
    assert "+  size: 3" in out
