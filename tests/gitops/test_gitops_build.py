"""Files to objects, and hostile files to errors with a place."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from reconciler.gitops.build import Builder, BuildError, Ownership
from reconciler.gitops.documents import Document, documents
from reconciler.gitops.manifest import ObjectId
from reconciler.gitops.resource import ConfigRepositorySpec

CM = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n"


def build(**files: str) -> list[str]:
    data = {f"{k}.yaml": v.encode() for k, v in files.items()}
    return [str(o.id) for o in Builder("default").build(data)]


def value(text: str) -> object:
    return documents("f.yaml", text.encode())[0].value


def refusal(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(BuildError) as error:
        Builder("default").build({"f.yaml": data})
    return str(error.value)


def test_values_are_those_of_yaml_1_2_as_json() -> None:
    text = (
        "a: yes\nb: 010\nc: 0x1f\nd: 2026-01-01\ne: 1e3\nf: ~\ng:\n"
        "h: 'on'\ni: true\nj: [1, -2.5]\nk: |\n  x\n  y\n1: one\n"
    )
    assert value(text) == {
        "a": "yes",
        "b": 10,
        "c": 31,
        "d": "2026-01-01",
        "e": 1000.0,
        "f": None,
        "g": None,
        "h": "on",
        "i": True,
        "j": [1, -2.5],
        "k": "x\ny\n",
        "1": "one",
    }


def test_anchors_and_merges_expand() -> None:
    text = "a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n"
    assert value(text) == {
        "a": {"p": 1, "q": 2},
        "b": {"p": 1, "q": 2},
        "c": {"p": 1, "q": 3},
    }


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcxyz", min_size=1), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(json_values)
def test_what_json_says_is_what_is_read(wanted: object) -> None:
    assert value(json.dumps({"x": wanted})) == {"x": wanted}


@given(json_values.filter(lambda v: "?" not in repr(v)))
def test_what_a_dumper_writes_is_what_is_read(wanted: object) -> None:
    # ruamel.yaml itself cannot read the ?x that it writes into a flow.
    stream = StringIO()
    YAML(typ="safe", pure=True).dump({"x": wanted}, stream)
    assert value(stream.getvalue()) == {"x": wanted}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: key 'a' appears twice"),
        ("a: {x: 1,\n x: 2}\n", "f.yaml:2: key 'x' appears twice"),
        ("a: b: c\n", "f.yaml:1: mapping values are not allowed"),
        ("a: 'open\n\n", "f.yaml:"),
        ("\n\n\tkey: 1\n", "f.yaml:3: found character '\\t'"),
        ("a: *missing\n", "f.yaml:1: found undefined alias"),
        ("a: !!python/object:os.system x\n", "f.yaml:1: tag"),
        ("a: !custom x\n", "f.yaml:1: tag"),
        ("a: !!binary aGk=\n", "f.yaml:1: tag"),
        ("a: !!set {x, y}\n", "f.yaml:1: tag"),
        ("x: 1\na: .nan\n", "f.yaml:2: .nan is no JSON number"),
        ("a: 99999999999999999999\n", "is no integer of 64 bits"),
        ("? [a, b]\n: 1\n", "f.yaml:1: a key has to be plain text"),
        ("a: 1\n<<: 3\n", "f.yaml:2: << needs a mapping"),
        ('a: "\\ud800"\n', "half of a surrogate pair"),
        ("- 1\n", "f.yaml:1: is not a Kubernetes object"),
        ("just text\n", "f.yaml:1: is not a Kubernetes object"),
        (b"a: 1\nb: \xe9\n", "f.yaml:2: is not UTF-8 text (byte 0xe9)"),
        ("a: 1\n".encode("utf-16"), "f.yaml:1: is not UTF-8"),
        ("a: \x07\n", "f.yaml:1: has a character that YAML forbids"),
        (
            "version https://git-lfs.github.com/spec/v1\n",
            "f.yaml:1: is a Git LFS pointer, and LFS is not supported: take",
        ),
        ("kind: X\n", "f.yaml:1: apiVersion: None is not valid"),
        ("apiVersion: v1\nkind: x\n", "kind: 'x' is not valid"),
        ("apiVersion: v1\nkind: X\n", "metadata: has to be a mapping"),
        (CM.format("A_b"), "metadata.name: 'A_b' is not valid"),
        (CM.format("1"), "metadata.name: 1 is not valid"),
        (CM.format("a") + "  namespace: ../x\n", "metadata.namespace"),
        (CM.format("a") + "  labels: {x: 1}\n", "metadata.labels.x: 1"),
        (CM.format("a") + "  generateName: b\n", "needs a fixed name"),
        (
            "{apiVersion: v1, kind: Namespace, "  # noqa: ISC004
            "metadata: {name: a, namespace: b}}",
            "Namespace has no namespace",
        ),
        (
            "{apiVersion: kustomize.config.k8s.io/v1, "  # noqa: ISC004
            "kind: Kustomization, metadata: {name: a}}",
            "is a kustomization below spec.path",
        ),
    ],
)
def test_refusals_say_file_line_and_reason(
    text: str | bytes, said: str
) -> None:
    found = refusal(text)
    assert found.startswith("f.yaml:")
    assert said in found


def test_second_document_has_its_own_line() -> None:
    text = f"# head\n{CM.format('a')}---\n# comment\n\nkind: Broken\n"
    assert refusal(text).startswith("f.yaml:9: apiVersion")


def test_billion_laughs_is_refused_quickly() -> None:
    lines = ["a0: &a0 lol"]
    for i in range(1, 30):
        inner = ",".join([f"*a{i - 1}"] * 10)
        lines.append(f"a{i}: &a{i} [{inner}]")
    start = time.process_time()
    assert "expands to more than" in refusal("\n".join(lines))
    assert time.process_time() - start < 10


@pytest.mark.filterwarnings("error")
def test_an_alias_means_the_last_anchor_of_its_name() -> None:
    text = b"a: &x 1\nb: *x\nc: &x 2\nd: *x\n"
    (found,) = documents("f.yaml", text)
    assert found.value == {"a": 1, "b": 1, "c": 2, "d": 2}


def test_alias_to_itself_is_refused() -> None:
    assert "is nested more than" in refusal("a: &a [*a]\n")


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 3000, "- " * 4000])
def test_deep_nesting_is_refused(text: str) -> None:
    assert refusal(text).startswith("f.yaml:")


def test_fifty_megabytes_are_refused_quickly() -> None:
    data = b"a: 1\n" * (10 * 1024 * 1024)
    start = time.process_time()
    assert "more than 4 MiB" in refusal(data)
    assert time.process_time() - start < 1


def test_same_object_twice_names_both_places() -> None:
    text = CM.format("a")
    with pytest.raises(BuildError) as error:
        Builder("default").build(
            {"x.yaml": f"---\n{text}".encode(), "y.yaml": text.encode()}
        )
    assert str(error.value) == (
        "y.yaml:1: configmap/default/a is already defined at x.yaml:2"
    )


def test_empty_documents_and_lists() -> None:
    items = "\n".join(
        f"- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: {n}}}}}"
        for n in "ab"
    )
    listed = f"kind: List\napiVersion: v1\nitems:\n{items}\n"
    text = f"---\n---\n# nothing\n---\n{listed}"
    assert build(f=text) == ["configmap/default/a", "configmap/default/b"]


def test_namespaces_are_defaulted_and_cluster_scope_is_known() -> None:
    crd = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: ws.x.org}\n"
        "spec: {group: x.org, scope: Cluster, names: {kind: W}}\n---\n"
        "apiVersion: x.org/v1\nkind: W\nmetadata: {name: w}\n---\n"
        "apiVersion: y.org/v1\nkind: Y\nmetadata: {name: y}\n"
    )
    scopes = frozenset({("y.org", "Y")})
    found = Builder("team", None, scopes).build({"f.yaml": crd.encode()})
    assert [str(o.id) for o in found] == [
        "customresourcedefinition/ws.x.org",
        "w/w",
        "y/y",
    ]
    assert "namespace" not in found[1].body["metadata"]
    cm = Builder("team").build({"f.yaml": CM.format("a").encode()})
    assert cm[0].body["metadata"]["namespace"] == "team"


def test_common_metadata_is_on_every_object_over_what_it_says() -> None:
    spec = ConfigRepositorySpec.model_validate(
        {
            "directory": {"path": "/x"},
            "targetNamespace": "team",
            "commonMetadata": {
                "labels": {"owner": "ada"},
                "annotations": {"example.org/cost": "${NOT} a variable"},
            },
        }
    )
    labelled = CM.format("a") + "  labels: {owner: bob, mine: 'yes'}\n"
    namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n"
    files = {"a.yaml": labelled.encode(), "n.yaml": namespace.encode()}
    owner = Ownership("default", "fleet")
    first, second = Builder.of(spec, None, owner).build(files)
    assert first.body["metadata"]["labels"] == {
        "owner": "ada",
        **owner.labels(),
    }
    assert second.id.namespace == "team"
    assert second.body["metadata"]["labels"] == {
        "owner": "ada",
        "mine": "yes",
        **owner.labels(),
    }
    for item in (first, second):
        assert item.body["metadata"]["annotations"] == {
            "example.org/cost": "${NOT} a variable"
        }


def test_what_the_server_owns_is_left_out_and_labels_are_added() -> None:
    text = CM.format("a") + (
        "  uid: u\n  resourceVersion: '1'\n  managedFields: []\n"
        "  labels: {mine: 'yes'}\nstatus: {x: 1}\n"
    )
    owner = Ownership("default", "fleet")
    (found,) = Builder("default", owner).build({"f.yaml": text.encode()})
    assert found.body == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "a",
            "namespace": "default",
            "labels": {
                "mine": "yes",
                "reconciler.dev/repository": "fleet",
                "reconciler.dev/repository-namespace": "default",
            },
        },
    }
    assert owner.owns(found.body)
    assert not Ownership("other", "fleet").owns(found.body)


def test_only_changed_files_are_parsed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []

    def parse(file: str, *others: Any) -> list[Document]:
        parsed.append(file)
        return documents(file, *others)

    monkeypatch.setattr("reconciler.gitops.build.documents", parse)
    builder = Builder("default")
    files = {f"{i}.yaml": CM.format(f"n{i}").encode() for i in range(9)}
    builder.build(files)
    assert sorted(parsed) == sorted(files)
    files["0.yaml"] = CM.format("other").encode()
    parsed.clear()
    names = {o.id.name for o in builder.build(files)}
    assert parsed == ["0.yaml"]
    assert "other" in names
    assert "n0" not in names


ids = st.builds(
    ObjectId,
    namespace=st.sampled_from(["", "default", "a-b"]),
    name=st.from_regex(r"\A[a-z0-9]([-a-z0-9.:]{0,20}[a-z0-9])?\Z"),
    group=st.sampled_from(["", "reconciler.dev", "x.org"]),
    kind=st.sampled_from(["ConfigMap", "Model"]),
)


@given(ids)
def test_inventory_notation_reads_back(item: ObjectId) -> None:
    assert ObjectId.parse(item.entry("v1").id) == item


@pytest.mark.parametrize("text", ["", "a", "a_b", "a_b_c"])
def test_inventory_notation_refuses_anything_else(text: str) -> None:
    with pytest.raises(ValueError, match="is not namespace"):
        ObjectId.parse(text)


def test_fifty_megabytes_are_refused_unparsed() -> None:
    data = b"a: 'xxxxxxxxxxxxxxx'\n" * (50 * 1024 * 1024 // 21)
    with pytest.raises(BuildError, match="more than 4 MiB"):
        Builder("default").build({"big.yaml": data})


def test_five_thousand_documents_become_five_thousand_objects() -> None:
    text = "---\n".join(CM.format(f"m{i}") for i in range(5000))
    objects = Builder("default").build({"all.yaml": text.encode()})
    assert len(objects) == 5000
    assert objects[-1].id.name == "m999"
    assert {o.line for o in objects} == {
        1 + i * (CM.count("\n") + 1) for i in range(5000)
    }
