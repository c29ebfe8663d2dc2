"""Groups that belong to the Kubernetes community: who may define kinds there.

https://github.com/kubernetes/enhancements/pull/1111
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

ANNOTATION = "api-approved.kubernetes.io"
_PROTECTED = ("k8s.io", "kubernetes.io")
_RULE = f'protected groups must have approval annotation "{ANNOTATION}"'
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def check_approval(crd: Json, old: Json | None) -> Iterator[FieldError]:
    """Field errors for a definition in a protected group without approval."""
    given = _given(crd)
    if not _protected(crd["spec"]["group"]) or _approved(given):
        return
    if old is not None and given == _given(old):
        return  # it was so before this rule, or this is a status
    path = f"metadata.annotations[{ANNOTATION}]"
    if not given:
        yield FieldError(path, "FieldValueRequired", f"{_RULE}, {_SEE}")
        return
    why = (
        f'{_RULE} with either a URL or a reason starting with "unapproved", '
        f"{_SEE}"
    )
    yield FieldError(path, "FieldValueInvalid", why, given)


def _given(crd: Json) -> str:
    found: str = (crd["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    return found


def _protected(group: str) -> bool:
    return any(group == p or group.endswith(f".{p}") for p in _PROTECTED)


def _approved(text: str) -> bool:
    if text.startswith("unapproved"):
        return True
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)
