from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

import celpy
import pytest
from pydantic import Field

from reconciler.cli.crds import main
from reconciler.cli.kinds import KINDS
from reconciler.engine.crd import (
    place_rules,
    render_crd,
    render_yaml,
    write_crds,
)
from reconciler.engine.resource import (
    Definition,
    Part,
    Resource,
    Rule,
    Status,
    StatusPart,
)
from reconciler.engine.schema import (
    Bounds,
    UnsupportedSchemaError,
    structural,
)

SPEC = Bounds(string=100, items=10, properties=5, defaults=True)
STATUS = Bounds(string=100, items=10, properties=5, defaults=False)


class Inner(Part):
    """What is inside.

    Not shown to anybody.
    """

    max_size: int = 3
    note: str | None = None


class Outer(Part):
    level: Literal["Low", "High"] = "Low"
    only: Literal["One"] = "One"
    inner: Inner = Field(default=Inner(), description="Inside,\n  on one line")
    maybe: Inner | None = None
    names: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    required_one: int
    many: tuple[Inner, ...] = Field(
        default=(),
        max_length=3,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["maxSize"],
        },
    )


def outer(bounds=SPEC):
    return structural(Outer.model_json_schema(by_alias=True), bounds)


def field(name, bounds=SPEC):
    return outer(bounds)["properties"][name]


def nodes(schema):
    """A schema and every schema inside it."""
    yield schema
    for child in schema.get("properties", {}).values():
        yield from nodes(child)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key])


def test_references_are_inlined_and_the_nearer_description_wins():
    inner = field("inner")
    assert inner["description"] == "Inside, on one line"
    assert inner["properties"]["maxSize"]["type"] == "integer"
    assert field("maybe")["description"] == "What is inside."


def test_optional_means_absent_not_null():
    assert field("maybe")["type"] == "object"
    assert "default" not in field("maybe")
    assert outer()["required"] == ["requiredOne"]
    assert field("inner")["properties"]["note"]["type"] == "string"


def test_defaults_are_json_in_camel_case_without_nulls():
    assert field("inner")["default"] == {"maxSize": 3}
    assert field("names")["default"] == []
    assert field("level")["default"] == "Low"


def test_statuses_have_no_defaults_of_fields():
    assert not any("default" in node for node in nodes(outer(STATUS)))


def test_enums_numbers_and_limits():
    assert field("level") == {
        "type": "string",
        "enum": ["Low", "High"],
        "default": "Low",
    }
    assert field("only")["enum"] == ["One"]
    assert field("requiredOne")["format"] == "int64"
    share = field("share")
    assert (share["minimum"], share["exclusiveMinimum"]) == (0, True)
    assert (share["maximum"], share["format"]) == (1, "double")
    assert field("names")["maxItems"] == 10
    assert field("names")["items"]["maxLength"] == 100
    assert field("labels")["additionalProperties"]["maxLength"] == 100
    assert field("labels")["maxProperties"] == 5


def test_own_limits_and_extra_keys_are_kept():
    many = field("many")
    assert many["maxItems"] == 3
    assert many["x-kubernetes-list-map-keys"] == ["maxSize"]


def test_what_cannot_be_said_is_an_error():
    class Union(Part):
        value: int | str

    class Pair(Part):
        pair: tuple[int, str]

    with pytest.raises(UnsupportedSchemaError, match=r"\.value: a union of 2"):
        structural(Union.model_json_schema(), SPEC)
    with pytest.raises(UnsupportedSchemaError, match=r"\.pair: prefixItems"):
        structural(Pair.model_json_schema(), SPEC)


def test_the_definition_of_a_kind(widget_kind):
    crd = render_crd(widget_kind)
    assert crd["metadata"]["name"] == "widgets.reconciler.dev"
    assert crd["spec"]["names"] == {
        "kind": "Widget",
        "listKind": "WidgetList",
        "plural": "widgets",
        "singular": "widget",
        "shortNames": ["wdg"],
        "categories": ["reconciler"],
    }
    (version,) = crd["spec"]["versions"]
    assert version["subresources"] == {"status": {}}
    assert version["selectableFields"] == [{"jsonPath": ".spec.partner"}]
    columns = [c["name"] for c in version["additionalPrinterColumns"]]
    assert columns == ["Ready", "Reason", "Size", "Status", "Age"]
    schema = version["schema"]["openAPIV3Schema"]
    assert schema["required"] == ["spec"]
    assert schema["description"] == "A thing with a size."
    status = schema["properties"]["status"]
    assert status["default"] == {"observedGeneration": -1}
    conditions = status["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert schema["properties"]["spec"]["x-kubernetes-validations"] == [
        {"rule": "self.size != 13", "message": "13 is refused"}
    ]


def test_rules_find_their_place_also_in_lists_and_at_the_root():
    schema = {
        "properties": {
            "spec": {"properties": {"many": {"items": {"properties": {}}}}}
        }
    }
    rules = (
        Rule("", "root", "m"),
        Rule("spec.many[]", "item", "m", "FieldValueForbidden", ".x"),
    )
    place_rules(schema, Definition("K", "ks", "k", (), rules))
    assert schema["x-kubernetes-validations"][0]["rule"] == "root"
    item = schema["properties"]["spec"]["properties"]["many"]["items"]
    assert item["x-kubernetes-validations"] == [
        {
            "rule": "item",
            "message": "m",
            "reason": "FieldValueForbidden",
            "fieldPath": ".x",
        }
    ]


def test_a_rule_that_points_nowhere_is_an_error():
    class Lost(Resource):
        definition: ClassVar[Definition] = Definition(
            "Lost", "losts", "lost", (), (Rule("spec.nowhere", "x", "m"),)
        )
        spec: Inner
        status: Status = Status()

    with pytest.raises(ValueError, match=r"Lost has no spec\.nowhere"):
        render_crd(Lost)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.definition.kind)
def test_every_kind_keeps_the_rules_of_structural_schemas(kind):
    (version,) = render_crd(kind)["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    properties = dict(root["properties"])
    for name in ("apiVersion", "kind"):  # the server knows their limits
        del properties[name]
    for node in nodes({**root, "properties": properties}):
        assert node["type"] in {
            "object",
            "array",
            "string",
            "integer",
            "number",
            "boolean",
        }
        assert not {"$ref", "anyOf", "oneOf", "allOf", "title"} & set(node)
        assert not ("properties" in node and "additionalProperties" in node)
        match node["type"]:
            case "array":
                assert node["maxItems"] <= 10000
            case "string" if "enum" not in node:
                assert node["maxLength"] <= 1 << 20
            case "object" if "additionalProperties" in node:
                assert node["maxProperties"] <= 10000
        keys = node.get("x-kubernetes-list-map-keys", ())
        assert set(keys) <= set(node.get("items", {}).get("required", ()))


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.definition.kind)
def test_every_kind_has_its_rules_columns_and_status_default(kind):
    (version,) = render_crd(kind)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    placed = [
        rule["rule"]
        for node in nodes(schema)
        for rule in node.get("x-kubernetes-validations", ())
    ]
    declared = Counter(rule.rule for rule in kind.definition.rules)
    assert declared <= Counter(placed)  # parts may bring their own
    for rule in placed:
        celpy.Environment().compile(rule)
    columns = [c["name"] for c in version["additionalPrinterColumns"]]
    assert columns[:2] == ["Ready", "Reason"]
    assert columns[-2:] == ["Status", "Age"]
    assert len(set(columns)) == len(columns)
    assert schema["properties"]["status"]["default"] == {
        "observedGeneration": -1
    }
    assert "default" not in schema["properties"]["spec"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.definition.kind)
def test_columns_and_selectable_fields_point_at_fields(kind):
    (version,) = render_crd(kind)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    paths = [c["jsonPath"] for c in version["additionalPrinterColumns"]]
    paths += [f["jsonPath"] for f in version.get("selectableFields", ())]
    for path in paths:
        node = schema
        for step in filter(None, path.partition("[")[0].split(".")):
            if step == "metadata":
                break
            assert step in node["properties"], f"{path} leads nowhere"
            node = node["properties"][step]


def test_the_bytes_do_not_depend_on_the_process():
    program = (
        "from reconciler.cli.kinds import KINDS\n"
        "from reconciler.engine.crd import render_yaml\n"
        "print(''.join(map(render_yaml, KINDS)), end='')"
    )
    here = "".join(map(render_yaml, KINDS))
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        there = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            env=env,
            text=True,
            timeout=60,
        ).stdout
        assert there == here


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.definition.kind)
def test_every_field_of_a_spec_is_explained(kind):
    (version,) = render_crd(kind)["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    pending = [("spec", spec)]
    while pending:
        path, node = pending.pop()
        assert node.get("description"), f"{path} has no description"
        for name, child in node.get("properties", {}).items():
            pending.append((f"{path}.{name}", child))


def test_files_are_written_once_and_checked(tmp_path, widget_kind):
    both = ["kustomization.yaml", "widgets.yaml"]
    assert write_crds([widget_kind], tmp_path, check=True) == both
    assert list(tmp_path.iterdir()) == []
    assert write_crds([widget_kind], tmp_path, check=False) == both
    assert write_crds([widget_kind], tmp_path, check=False) == []
    path = tmp_path / "widgets.yaml"
    path.write_text(path.read_text().replace("wdg", "gdw"))
    assert write_crds([widget_kind], tmp_path, check=True) == ["widgets.yaml"]


def test_files_of_kinds_that_are_no_more_are_removed(tmp_path, widget_kind):
    write_crds([widget_kind], tmp_path, check=False)
    (tmp_path / "mine.yaml").write_text("by hand: true\n")
    both = ["kustomization.yaml", "widgets.yaml"]
    assert write_crds([], tmp_path, check=True) == both
    assert write_crds([], tmp_path, check=False) == both
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"kustomization.yaml", "mine.yaml"}


def test_the_command_says_what_is_out_of_date(tmp_path, capsys):
    assert main(["--check", str(tmp_path)]) == 1
    assert "models.yaml: out of date" in capsys.readouterr().out
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0


def test_the_committed_files_are_up_to_date(pytestconfig):
    assert main(["--check", str(pytestconfig.rootpath / "crds")]) == 0


def test_unknown_keywords_are_not_dropped_silently():
    schema: dict[str, Any] = {"type": "string", "contentEncoding": "base64"}
    with pytest.raises(UnsupportedSchemaError, match="contentEncoding"):
        structural(schema, SPEC)


def test_status_parts_need_no_description():
    class Quiet(StatusPart):
        value: str

    assert structural(Quiet.model_json_schema(), STATUS)["properties"] == {
        "value": {"type": "string", "maxLength": 100}
    }
