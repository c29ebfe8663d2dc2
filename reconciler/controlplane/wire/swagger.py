"""Swagger 2.0 in the protobuf form that kubectl asks /openapi/v2 for.

kubectl checks lists and old kinds on its own side, by this document, and
takes it in no other form. Messages are those of gnostic's OpenAPIv2.proto;
keys that it has no field for (``x-...``) go to its vendor extensions.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

Json = dict[str, Any]
Encode = Callable[[Any], bytes]
Fields = Mapping[str, Encode]

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
ANSWERED = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_VARINT, _DOUBLE, _BYTES = 0, 1, 2


def document(swagger: Json) -> bytes:
    """The whole document."""
    return _message(swagger, _DOCUMENT)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _bytes(number: int, content: bytes) -> bytes:
    return _tag(number, _BYTES) + _varint(len(content)) + content


def _text(number: int) -> Encode:
    return lambda value: _bytes(number, str(value).encode())


def _texts(number: int) -> Encode:
    return lambda values: b"".join(
        _bytes(number, str(value).encode()) for value in values
    )


def _integer(number: int) -> Encode:
    """Of integers and booleans."""
    return lambda value: _tag(number, _VARINT) + _varint(int(value))


def _number(number: int) -> Encode:
    return lambda value: _tag(number, _DOUBLE) + struct.pack("<d", value)


def _any(value: Any) -> bytes:
    """``Any`` as YAML, of which JSON is a part."""
    return _bytes(2, orjson.dumps(value))


def _value(number: int) -> Encode:
    return lambda value: _bytes(number, _any(value))


def _values(number: int) -> Encode:
    return lambda values: b"".join(
        _bytes(number, _any(value)) for value in values
    )


def _part(number: int, encode: Encode) -> Encode:
    return lambda value: _bytes(number, encode(value))


def _parts(number: int, encode: Encode) -> Encode:
    return lambda values: b"".join(
        _bytes(number, encode(value)) for value in values
    )


def _named(number: int, items: Mapping[str, Any], encode: Encode) -> bytes:
    """Repeated pairs of a name and a message."""
    return b"".join(
        _bytes(number, _bytes(1, name.encode()) + _bytes(2, encode(value)))
        for name, value in items.items()
    )


def _message(value: Json, fields: Fields, extensions: int = 0) -> bytes:
    out = [
        fields[name](part) for name, part in value.items() if name in fields
    ]
    if extensions:
        others = {k: v for k, v in value.items() if k.startswith("x-")}
        out.append(_named(extensions, others, _any))
    return b"".join(out)


def _schema(value: Json) -> bytes:
    return _message(value, _SCHEMA, 31)


def _schemas(values: Iterable[tuple[str, Json]]) -> bytes:
    return _named(1, dict(values), _schema)


def _additional(value: Json | bool) -> bytes:
    if isinstance(value, bool):
        return _integer(2)(value)
    return _bytes(1, _schema(value))


def _response(value: Json) -> bytes:
    fields: Fields = {
        "description": _text(1),
        "schema": _part(2, lambda schema: _bytes(1, _schema(schema))),
    }
    return _bytes(1, _message(value, fields, 5))


def _parameter(value: Json) -> bytes:
    """``ParametersItem``: of a body, a query or a path."""
    if value["in"] == "body":
        return _bytes(1, _bytes(1, _message(value, _BODY, 6)))
    query = value["in"] == "query"
    fields = _QUERY if query else _PATH
    inner = _message(value, fields, 23 if query else 22)
    return _bytes(1, _bytes(2, _bytes(3 if query else 4, inner)))


def _operation(value: Json) -> bytes:
    return _message(value, _OPERATION, 13)


_SCHEMA: Fields = {
    "$ref": _text(1),
    "format": _text(2),
    "title": _text(3),
    "description": _text(4),
    "default": _value(5),
    "multipleOf": _number(6),
    "maximum": _number(7),
    "exclusiveMaximum": _integer(8),
    "minimum": _number(9),
    "exclusiveMinimum": _integer(10),
    "maxLength": _integer(11),
    "minLength": _integer(12),
    "pattern": _text(13),
    "maxItems": _integer(14),
    "minItems": _integer(15),
    "uniqueItems": _integer(16),
    "maxProperties": _integer(17),
    "minProperties": _integer(18),
    "required": _texts(19),
    "enum": _values(20),
    "additionalProperties": _part(21, _additional),
    "type": _part(22, _text(1)),
    "items": _part(23, lambda value: _bytes(1, _schema(value))),
    "allOf": _parts(24, _schema),
    "properties": _part(25, lambda value: _schemas(value.items())),
}
_BODY: Fields = {
    "description": _text(1),
    "name": _text(2),
    "in": _text(3),
    "required": _integer(4),
    "schema": _part(5, _schema),
}
_QUERY: Fields = {
    "required": _integer(1),
    "in": _text(2),
    "description": _text(3),
    "name": _text(4),
    "type": _text(6),
}
_PATH: Fields = {
    "required": _integer(1),
    "in": _text(2),
    "description": _text(3),
    "name": _text(4),
    "type": _text(5),
}
_OPERATION: Fields = {
    "description": _text(3),
    "operationId": _text(5),
    "produces": _texts(6),
    "consumes": _texts(7),
    "parameters": _parts(8, _parameter),
    "responses": _part(9, lambda value: _named(1, value, _response)),
}
_PATH_ITEM: Fields = {
    "get": _part(2, _operation),
    "put": _part(3, _operation),
    "post": _part(4, _operation),
    "delete": _part(5, _operation),
    "patch": _part(8, _operation),
    "parameters": _parts(9, _parameter),
}
_INFO: Fields = {"title": _text(1), "version": _text(2)}
_DOCUMENT: Fields = {
    "swagger": _text(1),
    "info": _part(2, lambda value: _message(value, _INFO)),
    "paths": _part(
        8,
        lambda value: _named(
            2, value, lambda item: _message(item, _PATH_ITEM, 10)
        ),
    ),
    "definitions": _part(9, lambda value: _schemas(value.items())),
}
