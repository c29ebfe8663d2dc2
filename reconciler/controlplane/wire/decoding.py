"""From protobuf bodies to the JSON form of the same objects."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

from reconciler.controlplane.errors import bad_request, unsupported_media
from reconciler.controlplane.wire.messages import MESSAGES, TOP, Field

Json = dict[str, Any]

MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BITS = 64
_DEPTH = 16


def decode(body: bytes) -> Json:
    """An object from its protobuf envelope.

    Raises:
        ApiError: 400, the bytes are malformed; 415, a kind that clients have
            to send as JSON.
    """
    try:
        return _decode(body)
    except (
        IndexError,
        UnicodeDecodeError,
        ValueError,
        OverflowError,
    ) as error:
        msg = f"malformed protobuf: {error}"
        raise bad_request(msg) from error


def _decode(body: bytes) -> Json:
    if not body.startswith(MAGIC):
        raise ValueError("the magic number is missing")
    envelope = dict(_fields(body[len(MAGIC) :]))
    types = dict(_fields(_bytes(envelope.get(1, b""))))
    version = _bytes(types.get(1, b"")).decode()
    kind = _bytes(types.get(2, b"")).decode()
    if (version, kind) not in TOP:
        raise unsupported_media(("application/json", "application/yaml"))
    content = _message(_bytes(envelope.get(2, b"")), kind, _DEPTH)
    return {"apiVersion": version, "kind": kind, **content}


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes are expected")  # noqa: TRY004
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift >= _VARINT_BITS:
            raise ValueError("a number is too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and raw values of a message's fields."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            size, at = _varint(data, at)
        if size is None or at + size > len(data):
            raise ValueError("the message is cut short")
        yield number, data[at : at + size]
        at += size


def _message(data: bytes, name: str, depth: int) -> Json:
    if depth == 0:
        raise ValueError("nested too deeply")
    shape = MESSAGES[name]
    found: Json = {}
    for number, raw in _fields(data):
        field = shape.get(number)
        if field is None:
            continue
        if field.mapped:
            key, value = _entry(_bytes(raw), field, depth)
            found.setdefault(field.name, {})[key] = value
            continue
        value = _value(raw, field, depth)
        if field.repeated:
            found.setdefault(field.name, []).append(value)
        elif value not in ("", None, {}):
            # Go sends empty strings and structs for what is not set.
            found[field.name] = value
    return found


def _entry(data: bytes, field: Field, depth: int) -> tuple[str, Any]:
    parts = dict(_fields(data))
    key = _bytes(parts.get(1, b"")).decode()
    return key, _value(parts.get(2, b""), field, depth)


def _value(raw: int | bytes, field: Field, depth: int) -> Any:
    convert = _SCALARS.get(field.type)
    if convert is not None:
        return convert(raw)
    return _message(_bytes(raw), field.type, depth - 1)


def _signed(raw: int | bytes) -> int:
    if isinstance(raw, bytes):
        raise ValueError("bytes where a number is expected")  # noqa: TRY004
    value = raw & (1 << _VARINT_BITS) - 1
    return value - (1 << _VARINT_BITS) if value >> _VARINT_BITS - 1 else value


def _time(data: bytes, precision: str) -> str | None:
    parts = dict(_fields(data))
    if not parts:
        return None
    moment = dt.datetime.fromtimestamp(_signed(parts.get(1, 0)), dt.UTC)
    moment += dt.timedelta(microseconds=_signed(parts.get(2, 0)) // 1000)
    text = moment.replace(tzinfo=None).isoformat(timespec=precision)
    return text + "Z"


_SCALARS: dict[str, Callable[[int | bytes], Any]] = {
    "text": lambda raw: _bytes(raw).decode(),
    "bytes": lambda raw: base64.b64encode(_bytes(raw)).decode(),
    "int": _signed,
    "bool": bool,
    "time": lambda raw: _time(_bytes(raw), "seconds"),
    "micro": lambda raw: _time(_bytes(raw), "microseconds"),
}
