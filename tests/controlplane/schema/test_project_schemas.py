"""The project's own CRDs: structural, and strict with the documentation."""

import copy
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.controlplane.schema import CompiledSchema, check_structural

ROOT = Path(__file__).parents[3]
YAML_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)


def read(text):
    return YAML(typ="safe").load(text)


CRDS = {
    crd["spec"]["names"]["kind"]: crd
    for crd in (read(p.read_text()) for p in ROOT.glob("crds/*.yaml"))
    if crd.get("kind") == "CustomResourceDefinition"
}
SCHEMAS = {
    kind: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for kind, crd in CRDS.items()
}


def documented():
    """Return every complete object of ours in the documentation."""
    return [
        pytest.param(obj, id=_name(page, obj))
        for page in sorted(ROOT.glob("docs/*.md"))
        for block in YAML_BLOCK.findall(page.read_text())
        for obj in YAML(typ="safe").load_all(block)
        if isinstance(obj, dict) and obj.get("kind") in CRDS
    ]


def _name(page, obj):
    return f"{page.stem}-{obj['kind']}-{obj['metadata'].get('name')}"


EXAMPLES = documented()


def test_there_is_something_to_test():
    assert len(SCHEMAS) >= 5
    assert {e.values[0]["kind"] for e in EXAMPLES} >= {
        "DatasetLayout",
        "EvaluationSuite",
        "FeedbackStore",
        "Model",
    }


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_schema_is_structural_and_its_rules_compile(kind):
    assert [e.message() for e in check_structural(SCHEMAS[kind])] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_documented_object_is_complete_and_valid(example):
    schema = CompiledSchema.compile(SCHEMAS[example["kind"]])
    obj = schema.default(copy.deepcopy(example))
    assert schema.prune(obj) == []
    assert [e.message() for e in schema.validate(obj, None)] == []
    again = schema.default(copy.deepcopy(obj))
    assert again == obj
    assert schema.validate(obj, copy.deepcopy(obj)) == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_unknown_field_of_a_documented_object_is_named(example):
    schema = CompiledSchema.compile(SCHEMAS[example["kind"]])
    obj = copy.deepcopy(example)
    obj["spec"]["noSuchField"] = 1
    assert schema.prune(obj) == ["spec.noSuchField"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_spec_of_another_type_is_refused(example):
    schema = CompiledSchema.compile(SCHEMAS[example["kind"]])
    obj = {**copy.deepcopy(example), "spec": "text"}
    messages = [e.message() for e in schema.validate(obj, None)]
    assert (
        'spec: Invalid value: "string": spec in body must be of type '
        'object: "string"'
    ) in messages


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_field_of_a_documented_object_is_checked(example):
    schema = CompiledSchema.compile(SCHEMAS[example["kind"]])
    for name in example["spec"]:
        obj = schema.default(copy.deepcopy(example))
        obj["spec"][name] = [[None]]
        errors = schema.validate(obj, None)
        assert any(e.field.startswith(f"spec.{name}") for e in errors), name


def layout():
    return {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "DatasetLayout",
        "metadata": {"name": "models"},
        "spec": {"target": {}, "datasets": [{"name": "a"}]},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"datasets": []},
            (
                "spec.datasets: Invalid value: 0: spec.datasets in body "
                "should have at least 1 items"
            ),
        ),
        (
            {"datasets": [{"name": "a"}, {"name": "a"}]},
            'spec.datasets[1]: Duplicate value: {"name":"a"}',
        ),
        (
            {"datasets": [{}]},
            "spec.datasets[0].name: Required value",
        ),
        (
            {"target": {"backend": "floppy"}},
            (
                'spec.target.backend: Unsupported value: "floppy": supported '
                'values: "auto", "tree"'
            ),
        ),
        (
            {"datasets": [{"name": "a", "retention": {"keepLast": 0}}]},
            (
                "spec.datasets[0].retention.keepLast: Invalid value: 0: "
                "spec.datasets[0].retention.keepLast in body should be "
                "greater than or equal to 1"
            ),
        ),
    ],
)
def test_wrong_layout_is_refused_in_the_words_of_the_server(change, message):
    schema = CompiledSchema.compile(SCHEMAS["DatasetLayout"])
    obj = layout()
    obj["spec"].update(change)
    found = [e.message() for e in schema.validate(schema.default(obj), None)]
    assert message in found


def test_target_of_a_layout_cannot_change():
    schema = CompiledSchema.compile(SCHEMAS["DatasetLayout"])
    old, new = schema.default(layout()), schema.default(layout())
    new["spec"]["target"]["path"] = "/elsewhere"
    assert [e.message() for e in schema.validate(new, old)] == [
        (
            "spec.target: Forbidden: target is immutable: create a new "
            "DatasetLayout"
        )
    ]
    assert schema.validate(new, None) == []
