"""From pydantic's JSON Schema to what a CustomResourceDefinition allows.

Structural schemas know no references, no unions and no ``null``; they say
``exclusiveMinimum`` in the way of OpenAPI 3.0. What cannot be expressed is
an error at generation time, never a weaker schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The exclusive bounds are translated together with the inclusive ones.
_DROPPED = frozenset(
    {
        "title",
        "$defs",
        "examples",
        "deprecated",
        "exclusiveMinimum",
        "exclusiveMaximum",
    }
)
_COPIED = frozenset(
    {
        "type",
        "format",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "multipleOf",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
        "enum",
    }
)


@dataclass(frozen=True)
class Bounds:
    """Limits for what declares none, and whether defaults are kept."""

    string: int
    items: int
    properties: int
    defaults: bool


class UnsupportedSchemaError(ValueError):
    """A model says something that a structural schema cannot say."""


def structural(schema: Mapping[str, Any], bounds: Bounds) -> dict[str, Any]:
    """The structural form of a model's JSON Schema.

    Raises:
        UnsupportedSchemaError: it has none.
    """
    return _Conversion(schema.get("$defs", {}), bounds).node(schema, "")


@dataclass(frozen=True)
class _Conversion:
    definitions: Mapping[str, Any]
    bounds: Bounds

    def node(self, schema: Mapping[str, Any], path: str) -> dict[str, Any]:
        flat = self._flatten(schema, path)
        result: dict[str, Any] = {}
        for key, value in flat.items():
            result |= self._keyword(key, value, path)
        result |= _exclusive(flat)
        self._limit(result)
        return result

    def _flatten(self, schema: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Resolve references and optional types; nearer keys win."""
        outer = dict(schema)
        if "$ref" in outer:
            name = outer.pop("$ref").rpartition("/")[2]
            return self._flatten({**self.definitions[name], **outer}, path)
        for union in ("anyOf", "oneOf", "allOf"):
            if union not in outer:
                continue
            variants = [v for v in outer.pop(union) if v.get("type") != "null"]
            if len(variants) != 1:
                msg = f"{path or '.'}: a union of {len(variants)} types"
                raise UnsupportedSchemaError(msg)
            return self._flatten({**variants[0], **outer}, path)
        return outer

    def _keyword(self, key: str, value: Any, path: str) -> dict[str, Any]:
        if key == "description":
            return {key: one_paragraph(value)}
        if key.startswith("x-") or key in _COPIED:
            return {key: value}
        if key in _DROPPED:
            return {}
        return self._translated(key, value, path)

    def _translated(self, key: str, value: Any, path: str) -> dict[str, Any]:
        match key:
            case "properties":
                return {key: self._properties(value, path)}
            case "items":
                return {key: self.node(value, f"{path}[]")}
            case "const":
                return {"enum": [value]}
            case "additionalProperties":
                return self._additional(value, path)
            case "default":
                return self._default(value)
            case _:
                msg = f"{path or '.'}: {key} has no structural form"
                raise UnsupportedSchemaError(msg)

    def _properties(
        self, properties: Mapping[str, Any], path: str
    ) -> dict[str, Any]:
        return {
            name: self.node(schema, f"{path}.{name}")
            for name, schema in properties.items()
        }

    def _additional(self, value: Any, path: str) -> dict[str, Any]:
        # Unknown fields of an object are pruned or refused by the server.
        if isinstance(value, bool):
            return {}
        return {"additionalProperties": self.node(value, f"{path}.*")}

    def _default(self, value: Any) -> dict[str, Any]:
        if value is None or not self.bounds.defaults:
            return {}
        return {"default": _without_nulls(value)}

    def _limit(self, result: dict[str, Any]) -> None:
        match result.get("type"):
            case "string" if "enum" not in result:
                result.setdefault("maxLength", self.bounds.string)
            case "array":
                result.setdefault("maxItems", self.bounds.items)
            case "object" if "additionalProperties" in result:
                result.setdefault("maxProperties", self.bounds.properties)
            case "integer":
                result.setdefault("format", "int64")
            case "number":
                result.setdefault("format", "double")
            case _:
                pass


def _exclusive(flat: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for side in ("Minimum", "Maximum"):
        if f"exclusive{side}" in flat:
            found[side.lower()] = flat[f"exclusive{side}"]
            found[f"exclusive{side}"] = True
    return found


def one_paragraph(text: str) -> str:
    """A description on one line; of a docstring its first paragraph."""
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_nulls(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
