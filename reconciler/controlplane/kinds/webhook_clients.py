"""Rules for the clientConfig of webhooks: a URL, or a Service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from reconciler.controlplane.objects.names import name_faults
from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

_LAST_PORT = 65535
_FORM = "; desired format: https://host[/path]"


def check_client(client: Json, path: str) -> Iterator[FieldError]:
    """Field errors for a ``WebhookClientConfig``."""
    if ("url" in client) == ("service" in client):
        yield FieldError(
            path,
            "FieldValueRequired",
            "exactly one of url or service is required",
        )
    elif "url" in client:
        yield from _check_url(client["url"], f"{path}.url")
    else:
        yield from _check_service(client["service"], f"{path}.service")


def _check_url(url: str, path: str) -> Iterator[FieldError]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        why = f"url must be a valid URL: {error}{_FORM}"
        yield FieldError(path, "FieldValueRequired", why)
        return
    user, at, host = parts.netloc.rpartition("@")
    for wrong, value, why in (
        (
            parts.scheme != "https",
            parts.scheme,
            f"'https' is the only allowed URL scheme{_FORM}",
        ),
        (not host, host, f"host must be specified{_FORM}"),
        (at, user, "user information is not permitted in the URL"),
        (
            parts.fragment,
            parts.fragment,
            "fragments are not permitted in the URL",
        ),
        (
            parts.query,
            parts.query,
            "query parameters are not permitted in the URL",
        ),
    ):
        if wrong:
            yield FieldError(path, "FieldValueInvalid", why, value)


def _check_service(service: Json, path: str) -> Iterator[FieldError]:
    for name in ("name", "namespace"):
        if not service[name]:
            why = f"service {name} is required"
            yield FieldError(f"{path}.{name}", "FieldValueRequired", why)
    if not 1 <= service["port"] <= _LAST_PORT:
        why = "port is not valid: must be between 1 and 65535, inclusive"
        yield FieldError(
            f"{path}.port", "FieldValueInvalid", why, service["port"]
        )
    for why in _path_faults(service.get("path") or "/"):
        yield FieldError(
            f"{path}.path", "FieldValueInvalid", why, service["path"]
        )


def _path_faults(text: str) -> Iterator[str]:
    if text == "/":
        return
    if text == "//":
        yield "segment[0] may not be empty"
        return
    if not text.startswith("/"):
        yield "must start with a '/'"
    for index, segment in enumerate(text[1:].removesuffix("/").split("/")):
        if not segment:
            yield f"segment[{index}] may not be empty"
            continue
        for fault in name_faults(segment):
            yield f"segment[{index}]: {fault}"
