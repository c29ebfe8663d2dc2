"""Our own kinds' generated schemas, judged by the embedded validator."""

import copy
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler.cli.kinds import KINDS
from reconciler.controlplane.kinds import definition_rules, definitions
from reconciler.controlplane.schema import CompiledSchema, check_structural
from reconciler.engine.crd import render_crd

EXAMPLES = Path(__file__).parents[3] / "examples" / "quickstart"
NAMES = [kind.__name__ for kind in KINDS]
ONE_SOURCE = (
    "exactly one of directory, feedbackStoreRef and datasetRef is needed"
)
NEEDS_PATH = "path is required if type is SentenceTransformers, and only then"
DIGEST = "sha256:" + "0" * 64


def repository(**source):
    return {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "ConfigRepository",
        "metadata": {"name": "config"},
        "spec": {**source, "path": "./", "interval": "30s"},
    }


def generation():
    return {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "ModelGeneration",
        "metadata": {"name": "docs-assistant-1"},
        "spec": {
            "modelRef": {"name": "docs-assistant"},
            "suiteRef": {"name": "house-style"},
            "number": 1,
            "algorithm": "SFT",
            "data": {"corpus": {"name": "python-docstrings"}},
            "training": {
                "steps": 300,
                "batchSize": 32,
                "learningRate": "0.004",
            },
            "architecture": {
                "vocabularySize": 1024,
                "hiddenSize": 192,
                "layers": 2,
                "heads": 4,
                "contextLength": 128,
            },
            "seed": 1,
        },
    }


@cache
def _examples():
    found = {}
    files = sorted(EXAMPLES.glob("*.yaml"))
    more = [
        EXAMPLES.parent / f"{name}.yaml" for name in ("alert", "vectorindex")
    ]
    for path in (*more, *files):
        for obj in YAML(typ="safe").load_all(path.read_text()):
            found[obj["kind"]] = obj
    found["ConfigRepository"] = repository(directory={"path": "/srv/config"})
    found["ModelGeneration"] = generation()
    return found


def example(kind):
    """A valid object of a kind."""
    return copy.deepcopy(_examples()[kind])


@cache
def crd(kind):
    return render_crd(next(k for k in KINDS if k.__name__ == kind))


def raw(kind):
    return crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@cache
def schema(kind):
    return CompiledSchema.compile(raw(kind))


def admitted(kind, obj):
    """An object as the server completes it, and what it says."""
    new = copy.deepcopy(obj)
    schema(kind).prune(new)
    schema(kind).default(new)
    return new, schema(kind).validate(new, None)


def complete(kind):
    obj, errors = admitted(kind, example(kind))
    assert [e.message() for e in errors] == []
    return obj


@pytest.mark.parametrize("kind", NAMES)
def test_schemas_are_structural(kind):
    assert [e.message() for e in check_structural(raw(kind))] == []


@pytest.mark.parametrize("kind", NAMES)
def test_definitions_are_accepted(kind):
    definition = copy.deepcopy(crd(kind))
    definitions.prepare(definition, None, lambda _group, _name: set())
    faults = definition_rules.check(definition, None)
    assert [fault.message() for fault in faults] == []


@pytest.mark.parametrize("kind", NAMES)
def test_valid_objects_are_accepted_and_complete(kind):
    obj = complete(kind)
    again, errors = admitted(kind, obj)
    assert errors == []
    assert again == obj
    assert obj["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", NAMES)
def test_nothing_of_an_example_is_unknown(kind):
    assert schema(kind).prune(example(kind)) == []


@pytest.mark.parametrize("kind", NAMES)
def test_unknown_fields_are_found(kind):
    obj = example(kind)
    obj["spec"]["surprise"] = 1
    assert schema(kind).prune(obj) == ["spec.surprise"]


@pytest.mark.parametrize("kind", NAMES)
def test_a_spec_is_required(kind):
    obj = example(kind)
    del obj["spec"]
    _, errors = admitted(kind, obj)
    assert "spec: Required value" in [e.message() for e in errors]


# Every rule of every field that the examples use, broken one by one.


def walk(value, node, at=()):
    """Places of a value with their schemas, outermost first."""
    yield at, value, node
    if isinstance(value, dict):
        for name, item in value.items():
            below = node.get("properties", {}).get(name)
            below = below or node.get("additionalProperties")
            if isinstance(below, dict):
                yield from walk(item, below, (*at, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, node["items"], (*at, index))


def put(obj, at, value):
    """A copy of an object with another value at a place."""
    new = copy.deepcopy(obj)
    here = new
    for step in at[:-1]:
        here = here[step]
    here[at[-1]] = value
    return new


def path(at):
    text = ""
    for step in at:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


WRONG = {
    "string": 5,
    "integer": "text",
    "number": "text",
    "boolean": "text",
    "array": {},
    "object": [],
}


def broken(value, node):
    """Values that a field must not have, and the type of the error."""
    if node.get("type") in WRONG:
        yield WRONG[node["type"]], "FieldValueTypeInvalid"
    if "enum" in node:
        yield "no such value", "FieldValueNotSupported"
    yield from broken_scalars(node)
    yield from broken_collections(value, node)


def broken_scalars(node):
    if "minimum" in node:
        yield int(node["minimum"]) - 1, "FieldValueInvalid"
    if "maximum" in node:
        yield int(node["maximum"]) + 1, "FieldValueInvalid"
    if node.get("minLength"):
        yield "", "FieldValueInvalid"
    if "maxLength" in node:
        yield "x" * (node["maxLength"] + 1), "FieldValueTooLong"
    if "pattern" in node:
        yield "\n!", "FieldValueInvalid"


def broken_collections(value, node):
    if "maxItems" in node and value:
        yield [value[0]] * (node["maxItems"] + 1), "FieldValueTooMany"
    if node.get("minItems"):
        yield [], "FieldValueInvalid"
    if "maxProperties" in node and value:
        item = next(iter(value.values()))
        many = {f"k{n}": item for n in range(node["maxProperties"] + 1)}
        yield many, "FieldValueTooMany"


def breakages(kind):
    obj = complete(kind)
    spec = raw(kind)["properties"]["spec"]
    for at, value, node in walk(obj["spec"], spec, ("spec",)):
        for wrong, reason in broken(value, node):
            yield at, wrong, reason
        for name in node.get("required", ()):
            less = {k: v for k, v in value.items() if k != name}
            yield at, less, f"FieldValueRequired:{name}"


@pytest.mark.parametrize("kind", NAMES)
def test_every_rule_of_every_field_refuses(kind):
    obj = complete(kind)
    tried = 0
    for at, wrong, what in breakages(kind):
        reason, _, missing = what.partition(":")
        errors = schema(kind).validate(put(obj, at, wrong), None)
        field = path((*at, missing) if missing else at)
        assert (field, reason) in {(e.field, e.type) for e in errors}, (
            field,
            wrong,
            [e.message() for e in errors],
        )
        tried += 1
    assert tried >= 10


def texts(errors):
    return [error.message() for error in errors]


# Rules over several fields.

ABSENT = object()


@pytest.mark.parametrize(
    "ref",
    [{"tag": "v1"}, {"semver": ">=1"}, {"name": "refs/tags/v1"}],
    ids=str,
)
def test_a_tag_that_is_named_can_be_verified(ref):
    obj = complete("ConfigRepository")
    del obj["spec"]["directory"]
    verify = {"mode": "Tag", "secretRef": {"name": "signers"}}
    url = "https://git.example/a"
    obj["spec"]["git"] = {"url": url, "ref": ref, "verify": verify}
    schema("ConfigRepository").default(obj)
    assert texts(schema("ConfigRepository").validate(obj, None)) == []


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (
            "ConfigRepository",
            {"git": {"url": "https://git.example/a", "branch": "main"}},
            "exactly one of git and directory is required",
        ),
        (
            "ConfigRepository",
            {"writeBack": {"enabled": True}},
            "writeBack needs a git source",
        ),
        *(
            (
                "ConfigRepository",
                {
                    "directory": ABSENT,
                    "git": {
                        "url": "https://git.example/a",
                        "ref": ref,
                        "verify": {"mode": mode, "secretRef": {"name": "s"}},
                    },
                },
                (
                    "git.verify.mode Tag and TagAndHEAD need a tag: "
                    "git.ref.tag, git.ref.semver or git.ref.name "
                    "refs/tags/..., and no git.ref.commit"
                ),
            )
            for mode in ("Tag", "TagAndHEAD")
            for ref in (
                {"branch": "main"},
                {"tag": "v1", "commit": "0" * 40},
                {"tag": "v1", "name": "refs/heads/main"},
            )
        ),
        (
            "ConfigRepository",
            {
                "directory": ABSENT,
                "git": {
                    "url": "https://git.example/a",
                    "verify": {"secretRef": {"name": "signers"}},
                },
                "writeBack": {"enabled": True},
            },
            (
                "with git.verify, unsigned commits would be refused: "
                "writeBack needs signingKeySecretRef"
            ),
        ),
        (
            "FeedbackStore",
            {"engine": "External"},
            "connection is required if engine is External, and only then",
        ),
        *(
            (
                "VectorIndex",
                {place: change},
                message,
            )
            for place, change, message in (
                ("source", {}, ONE_SOURCE),
                (
                    "source",
                    {
                        "directory": {"path": "/docs"},
                        "feedbackStoreRef": {"name": "answers"},
                    },
                    ONE_SOURCE,
                ),
                ("embedder", {"type": "SentenceTransformers"}, NEEDS_PATH),
                (
                    "embedder",
                    {"type": "MiniLM", "path": "/model"},
                    NEEDS_PATH,
                ),
                (
                    "chunking",
                    {"minCharacters": 200, "maxCharacters": 100},
                    "minCharacters must not be above maxCharacters",
                ),
            )
        ),
        (
            "ModelGeneration",
            {"parentRef": {"name": "docs-assistant-0"}},
            "exactly one of parentRef and architecture is required",
        ),
    ],
)
def test_rules_over_several_fields(kind, change, message):
    obj = complete(kind)
    obj["spec"].update(change)
    if obj["spec"].get("directory") is ABSENT:
        del obj["spec"]["directory"]
    schema(kind).default(obj)
    found = texts(schema(kind).validate(obj, None))
    at = "spec" if kind != "VectorIndex" else f"spec.{next(iter(change))}"
    assert f'{at}: Invalid value: "object": {message}' in found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"provider": {"type": "slack"}},
            (
                'spec.provider: Invalid value: "object": an address is '
                "needed, here or in the Secret"
            ),
        ),
        (
            {"provider": {"type": "gitlab", "address": "https://x.org/a/b"}},
            (
                'spec.provider: Invalid value: "object": this type needs a '
                "token: secretRef is missing"
            ),
        ),
        (
            {"eventSources": [{"kind": "Model"}, {"kind": "Alert"}]},
            (
                'spec.eventSources: Invalid value: "array": an Alert does '
                "not tell of Alerts"
            ),
        ),
    ],
)
def test_rules_of_an_alert(change, message):
    obj = complete("Alert")
    obj["spec"].update(change)
    schema("Alert").default(obj)
    assert message in texts(schema("Alert").validate(obj, None))


@pytest.mark.parametrize(
    ("kind", "at", "value", "message"),
    [
        (
            "ModelGeneration",
            ("spec", "seed"),
            2,
            "spec is immutable: create a new object instead",
        ),
        (
            "DatasetLayout",
            ("spec", "target", "backend"),
            "tree",
            "target is immutable: create a new DatasetLayout",
        ),
    ],
)
def test_immutable_parts(kind, at, value, message):
    old = complete(kind)
    assert schema(kind).validate(copy.deepcopy(old), old) == []
    new = put(old, at, value)
    found = texts(schema(kind).validate(new, old))
    assert any(text.endswith(message) for text in found), found
    assert schema(kind).validate(new, None) == []


@pytest.mark.parametrize("kind", NAMES)
def test_conditions_are_a_list_by_type(kind):
    one = {
        "type": "Ready",
        "status": "True",
        "reason": "Succeeded",
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    obj = complete(kind)
    obj["status"]["conditions"] = [one, {**one, "type": "Stalled"}]
    assert texts(schema(kind).validate(obj, None)) == []
    obj["status"]["conditions"] = [one, one]
    assert texts(schema(kind).validate(obj, None)) == [
        'status.conditions[1]: Duplicate value: {"type":"Ready"}'
    ]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(st.sampled_from(NAMES), st.data())
def test_no_value_anywhere_breaks_the_validator(kind, data):
    obj = complete(kind)
    places = [
        at
        for at, _, _ in walk(
            obj["spec"], raw(kind)["properties"]["spec"], ("spec",)
        )
    ]
    at = data.draw(st.sampled_from(places))
    new = put(obj, at, data.draw(JUNK))
    schema(kind).prune(new)
    schema(kind).default(new)
    for error in schema(kind).validate(new, obj):
        assert error.message() != ""
