"""What Secrets and ConfigMaps do beyond their schemas."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from reconciler.controlplane.errors import bad_request
from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or "
    "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for "
    "validation is '[-._a-zA-Z0-9]+')"
)
MAX_BYTES = 1024 * 1024


def prepare_secret(secret: Json, _old: Json | None) -> None:
    """Fold stringData into data; the default type is Opaque."""
    plain = secret.pop("stringData", None)
    if isinstance(plain, dict) and plain:
        data = secret.get("data") or {}
        secret["data"] = data | {
            key: base64.b64encode(value.encode()).decode()
            for key, value in plain.items()
            if isinstance(value, str)
        }
    if not secret.get("type"):
        secret["type"] = "Opaque"
    _decodable(secret.get("data"), "Secret")


def prepare_config_map(config_map: Json, _old: Json | None) -> None:
    """Refuse binary data that is not base64."""
    _decodable(config_map.get("binaryData"), "ConfigMap")


def _decodable(data: Any, kind: str) -> None:
    for value in data.values() if isinstance(data, dict) else ():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            msg = (
                f'{kind} in version "v1" cannot be handled as a {kind}: '
                "illegal base64 data"
            )
            raise bad_request(msg) from error


def check_secret(secret: Json, old: Json | None) -> list[FieldError]:
    """Keys, size, and what may not change."""
    faults = list(_check_keys(secret, ("data",)))
    if old is not None and secret["type"] != old.get("type"):
        faults.append(
            FieldError(
                "type",
                "FieldValueInvalid",
                "field is immutable",
                secret["type"],
            )
        )
    return faults + list(_check_immutable(secret, old, ("data",)))


def check_config_map(config_map: Json, old: Json | None) -> list[FieldError]:
    """Keys, size, and what may not change."""
    parts = ("data", "binaryData")
    faults = list(_check_keys(config_map, parts))
    twice = set(config_map.get("data") or ()) & set(
        config_map.get("binaryData") or ()
    )
    faults += [
        FieldError(
            f"data[{key}]",
            "FieldValueInvalid",
            "duplicate of key present in binaryData",
            key,
        )
        for key in sorted(twice)
    ]
    return faults + list(_check_immutable(config_map, old, parts))


def _check_keys(obj: Json, parts: tuple[str, ...]) -> Iterator[FieldError]:
    size = 0
    for part in parts:
        for key, value in (obj.get(part) or {}).items():
            size += len(value) if isinstance(value, str) else 0
            if not _KEY.fullmatch(key) or key in (".", ".."):
                path = f"{part}[{key}]"
                yield FieldError(path, "FieldValueInvalid", _KEY_RULE, key)
    if size > MAX_BYTES:
        why = f"may not be more than {MAX_BYTES} bytes"
        yield FieldError(parts[0], "FieldValueTooLong", why)


def _check_immutable(
    obj: Json, old: Json | None, parts: tuple[str, ...]
) -> Iterator[FieldError]:
    if old is None or not old.get("immutable"):
        return
    why = "field is immutable when `immutable` is set"
    for part in ("immutable", *parts):
        if obj.get(part) != old.get(part):
            yield FieldError(part, "FieldValueForbidden", why)
