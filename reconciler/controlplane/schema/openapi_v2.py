"""Swagger 2.0, for clients that do not know OpenAPI v3."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

Json = dict[str, Any]

_UNKNOWN: Final = ("anyOf", "nullable", "not", "oneOf")
"""Keywords that Swagger 2.0 does not have."""

_RULES: Final = "x-kubernetes-validations"
_SCALARS: Final = ("type", "format", "uniqueItems")
_MAPS: Final = ("definitions", "properties")


def openapi_v2(documents: Iterable[Json]) -> Json:
    """One Swagger document of OpenAPI v3 documents.

    Args:
        documents: what `openapi_v3` made, one for each group and version.
    """
    paths: Json = {}
    definitions: Json = {}
    for document in documents:
        for path, item in document["paths"].items():
            paths[path] = _item(item)
        for name, schema in document["components"]["schemas"].items():
            definitions[name] = _schema(schema)
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "definitions": definitions,
    }


def _item(item: Json) -> Json:
    operations = {
        method: _operation(operation)
        for method, operation in item.items()
        if method != "parameters"
    }
    named = [_parameter(one) for one in item["parameters"]]
    return operations | {"parameters": named}


def _operation(operation: Json) -> Json:
    parameters = [_parameter(one) for one in operation.get("parameters", ())]
    changed: Json = {
        key: value
        for key, value in operation.items()
        if key.startswith("x-kubernetes")
    }
    if body := operation.get("requestBody"):
        content: Json = body["content"]
        schema = _schema(next(iter(content.values()))["schema"])
        parameters.append(
            {"in": "body", "name": "body", "required": True, "schema": schema}
        )
        changed["consumes"] = list(content)
    responses = {
        code: _response(answer)
        for code, answer in operation["responses"].items()
    }
    changed |= {"produces": ["application/json"], "responses": responses}
    return changed | ({"parameters": parameters} if parameters else {})


def _response(answer: Json) -> Json:
    schema = answer["content"]["application/json"]["schema"]
    return {"description": answer["description"], "schema": _schema(schema)}


def _parameter(parameter: Json) -> Json:
    schema = parameter["schema"]
    flat = {key: schema[key] for key in _SCALARS if key in schema}
    head = {key: parameter[key] for key in ("name", "in", "required")}
    # Swagger gives uniqueItems no meaning outside arrays.
    flat.pop("uniqueItems", None)
    return head | flat


def _schema(schema: Any) -> Any:
    """A schema without what Swagger does not know; references point here."""
    if not isinstance(schema, dict):
        return schema
    reference = _reference(schema)
    if reference:
        return reference
    if schema.get("x-kubernetes-preserve-unknown-fields") is True and (
        "properties" not in schema
    ):
        return _open(schema)
    changed: Json = {}
    for key, value in schema.items():
        if key in _UNKNOWN or key == _RULES:
            continue
        if key in _MAPS:
            changed[key] = {name: _schema(sub) for name, sub in value.items()}
        elif key in ("items", "additionalProperties"):
            changed[key] = _schema(value)
        elif key == "allOf":
            changed[key] = [_schema(sub) for sub in value]
        else:
            changed[key] = value
    return changed


def _open(schema: Json) -> Json:
    return {
        key: value
        for key, value in schema.items()
        if key in ("description", "type") or key.startswith("x-kubernetes")
    }


def _reference(schema: Json) -> Json:
    """The reference that a schema is, or is but for its description."""
    only = schema.get("allOf") or [{}]
    found = schema.get("$ref") or (only[0].get("$ref") if only else None)
    if not found:
        return {}
    target = found.removeprefix("#/components/schemas/")
    described = {k: v for k, v in schema.items() if k == "description"}
    return described | {"$ref": f"#/definitions/{target}"}
