"""Checks that a schema is structural, when a CRD is created."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from reconciler.controlplane.schema.compiled import CompiledSchema
from reconciler.controlplane.schema.errors import (
    FieldError,
    forbidden,
    invalid,
    not_supported,
    required,
)
from reconciler.controlplane.schema.go_regex import PatternError, compile_regex
from reconciler.controlplane.schema.node import Schema
from reconciler.controlplane.schema.structural_lists import list_type_faults
from reconciler.controlplane.schema.structural_rules import rule_errors

ROOT: Final = "spec.validation.openAPIV3Schema"
"""Where the server says that the schema is, if it is told no other place."""

_TYPES: Final = ["array", "boolean", "integer", "number", "object", "string"]
_JUNCTORS: Final = ("allOf", "anyOf", "oneOf")
_UNSUPPORTED: Final = (
    "$ref",
    "definitions",
    "dependencies",
    "deprecated",
    "discriminator",
    "id",
    "patternProperties",
    "readOnly",
    "writeOnly",
    "xml",
    "additionalItems",
)
_NESTED_FORBIDDEN: Final = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (
        "x-kubernetes-preserve-unknown-fields",
        "must be false to be structural",
    ),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)
_INT_OR_STRING: Final = [{"type": "integer"}, {"type": "string"}]


def check_structural(schema: Schema, at: str = ROOT) -> list[FieldError]:
    """Return what keeps a schema from being structural; sorted.

    Args:
        schema: the ``openAPIV3Schema`` of a version.
        at: where it is in the CustomResourceDefinition.
    """
    errors = list(_place(schema, at, "root"))
    if not errors:
        errors += _defaults(schema, at)
    if not errors:
        errors += rule_errors(CompiledSchema.compile(schema).root, at)
    return sorted(errors, key=FieldError.message)


def _place(schema: Any, at: str, level: str) -> Iterator[FieldError]:
    if not isinstance(schema, dict):
        yield invalid(at, schema, "must be a schema")
        return
    yield from _type(schema, at, level)
    yield from _keywords(schema, at)
    yield from _extensions(schema, at)
    yield from list_type_faults(schema, at)
    yield from _junctors(schema, at, schema)
    yield from _below(schema, at, level)


def _below(schema: Schema, at: str, level: str) -> Iterator[FieldError]:
    properties = schema.get("properties")
    if properties is not None and not isinstance(properties, dict):
        yield invalid(f"{at}.properties", properties, "must be a map")
    elif properties:
        for name, sub in properties.items():
            if not (level == "root" and name == "metadata"):
                yield from _place(sub, f"{at}.properties[{name}]", "field")
        yield from _metadata(properties, at, level)
    additional = schema.get("additionalProperties")
    if additional is not None and level == "root":
        detail = "must not be used at the root"
        yield forbidden(f"{at}.additionalProperties", detail)
    if additional is not None and properties:
        detail = "additionalProperties and properties are mutual exclusive"
        yield forbidden(f"{at}.additionalProperties", detail)
    if isinstance(additional, dict):
        yield from _place(additional, f"{at}.additionalProperties", "field")
    if "items" in schema:
        yield from _items(schema["items"], at)


def _items(items: Any, at: str) -> Iterator[FieldError]:
    if isinstance(items, list):
        detail = "items must be a schema object and not an array"
        yield forbidden(f"{at}.items", detail)
        return
    yield from _place(items, f"{at}.items", "item")


def _metadata(properties: Schema, at: str, level: str) -> Iterator[FieldError]:
    for name in ("apiVersion", "kind"):
        sub = properties.get(name)
        kind = sub.get("type") if isinstance(sub, dict) else "string"
        if level == "root" and kind != "string":
            at_type = f"{at}.properties[{name}].type"
            yield invalid(at_type, kind, "must be string")
    metadata = properties.get("metadata")
    if level != "root" or not isinstance(metadata, dict):
        return
    here = f"{at}.properties[metadata]"
    if metadata.get("type") != "object":
        yield invalid(f"{here}.type", metadata.get("type"), "must be object")
    more = set(metadata) - {"type", "description", "properties"}
    names = set(metadata.get("properties") or ())
    if more or names - {"name", "generateName"}:
        yield forbidden(
            here,
            "must not specify anything other than name and generateName, "
            "but metadata is implicitly specified",
        )


_NAMES: Final = {
    "root": "at the root",
    "item": "for specified array items",
    "field": "for specified object fields",
}


def _type(schema: Schema, at: str, level: str) -> Iterator[FieldError]:
    kind = schema.get("type")
    open_ended = schema.get("x-kubernetes-int-or-string") or schema.get(
        "x-kubernetes-preserve-unknown-fields"
    )
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        if kind:
            yield invalid(f"{at}.type", kind, detail)
        else:
            yield required(f"{at}.type", detail)
    elif not kind:
        if not open_ended:
            detail = f"must not be empty {_NAMES[level]}"
            yield required(f"{at}.type", detail)
    elif kind not in _TYPES:
        yield not_supported(f"{at}.type", kind, _TYPES)
    elif level == "root" and kind != "object":
        yield invalid(f"{at}.type", kind, "must be object at the root")
    if kind == "array" and "items" not in schema:
        yield required(f"{at}.items", "must be specified")


def _keywords(schema: Schema, at: str) -> Iterator[FieldError]:
    for name in _UNSUPPORTED:
        if schema.get(name):
            yield forbidden(f"{at}.{name}", f"{name} is not supported")
    if schema.get("uniqueItems"):
        yield forbidden(
            f"{at}.uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity "
            "becomes quadratic",
        )
    yield from _pattern(schema, at)


def _pattern(schema: Schema, at: str) -> Iterator[FieldError]:
    pattern = schema.get("pattern")
    if pattern:
        try:
            compile_regex(str(pattern))
        except PatternError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            yield invalid(f"{at}.pattern", pattern, detail)


def _extensions(schema: Schema, at: str) -> Iterator[FieldError]:
    preserve = schema.get("x-kubernetes-preserve-unknown-fields")
    if preserve is False:
        detail = "must be true or undefined"
        name = f"{at}.x-kubernetes-preserve-unknown-fields"
        yield invalid(name, preserve, detail)
    embedded = schema.get("x-kubernetes-embedded-resource")
    if schema.get("x-kubernetes-int-or-string"):
        detail = "must be false if x-kubernetes-int-or-string is true"
        if preserve:
            name = f"{at}.x-kubernetes-preserve-unknown-fields"
            yield invalid(name, preserve, detail)
        if embedded:
            name = f"{at}.x-kubernetes-embedded-resource"
            yield invalid(name, embedded, detail)
        if schema.get("type"):
            yield forbidden(
                f"{at}.type",
                "must be empty if x-kubernetes-int-or-string is true",
            )
    if embedded and schema.get("additionalProperties") is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden(f"{at}.additionalProperties", detail)
    if embedded and not preserve and not schema.get("properties"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true "
            "without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{at}.properties", detail)


def _junctors(schema: Schema, at: str, spine: Schema) -> Iterator[FieldError]:
    for word in _JUNCTORS:
        for index, sub in enumerate(schema.get(word) or ()):
            here = f"{at}.{word}[{index}]"
            if _is_int_or_string(schema, word, sub):
                continue
            yield from _nested(sub, here, spine)
    if "not" in schema:
        yield from _nested(schema["not"], f"{at}.not", spine)


def _is_int_or_string(schema: Schema, word: str, sub: Any) -> bool:
    if not schema.get("x-kubernetes-int-or-string"):
        return False
    if word == "anyOf":
        return bool(schema["anyOf"] == _INT_OR_STRING)
    return word == "allOf" and bool(sub == {"anyOf": _INT_OR_STRING})


def _nested(sub: Any, at: str, spine: Schema) -> Iterator[FieldError]:
    """Check a value validation: it may only restrict what exists."""
    if not isinstance(sub, dict):
        yield invalid(at, sub, "must be a schema")
        return
    for word, detail in _NESTED_FORBIDDEN:
        if sub.get(word):
            yield forbidden(f"{at}.{word}", detail)
    yield from _pattern(sub, at)
    if "metadata" in (sub.get("properties") or {}):
        detail = "must not be specified in a nested context"
        yield forbidden(f"{at}.properties[metadata]", detail)
    declared = spine.get("properties") or {}
    fields = sub.get("properties") or {}
    for name in fields:
        here = f"{at}.properties[{name}]"
        if name not in declared and "additionalProperties" not in spine:
            detail = f"because it is defined in {here}"
            yield required(f"{_spine_path(at)}.properties[{name}]", detail)
        else:
            below = declared.get(name) or {}
            yield from _nested(fields[name], here, below)
    if isinstance(sub.get("items"), dict):
        items = spine.get("items")
        below = items if isinstance(items, dict) else {}
        yield from _nested(sub["items"], f"{at}.items", below)
    yield from _junctors(sub, at, spine)


def _spine_path(at: str) -> str:
    return re.sub(r"\.(allOf|anyOf|oneOf)\[\d+\]|\.not(?=\.|$)", "", at)


def _defaults(schema: Schema, at: str) -> Iterator[FieldError]:
    if schema.get("default") is not None:
        yield from _default(schema, at)
    for name, sub in (schema.get("properties") or {}).items():
        yield from _defaults(sub, f"{at}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from _defaults(schema[word], f"{at}.{word}")


def _default(schema: Schema, at: str) -> Iterator[FieldError]:
    """Check that a default is itself pruned and valid."""
    here = f"{at}.default"
    holder = {"value": deepcopy(schema["default"])}
    place = {"type": "object", "properties": {"value": schema}}
    compiled = CompiledSchema.compile(place)
    if compiled.prune(holder):
        yield invalid(here, schema["default"], "must not have unknown fields")
        return
    compiled.default(holder)
    for error in compiled.validate(holder, None):
        path = here + error.field.removeprefix("value")
        detail = error.detail.replace("value in body", f"{here} in body", 1)
        yield FieldError(path, error.type, detail, error.bad_value)
