"""What makes a CustomResourceDefinition valid, beyond its schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from reconciler.controlplane.kinds.approval import check_approval
from reconciler.controlplane.kinds.definitions import condition
from reconciler.controlplane.objects.names import (
    DNS_LABEL,
    LABEL_1035_RULE,
    check_name,
    name_faults,
)
from reconciler.controlplane.schema import FieldError, check_structural
from reconciler.controlplane.schema.jsonpath import JSONPathError, jsonpath
from reconciler.controlplane.schema.models import PACKAGES

Json = dict[str, Any]

RESERVED = frozenset((*PACKAGES, "autoscaling")) - {""}
"""Groups of built-in kinds. A definition with one of their names would take
their place, and their rules with it: those of roles above all."""

_KIND = re.compile(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?", re.ASCII)
_TYPES = ("boolean", "date", "integer", "number", "string")
_SCHEMA = "schema"
_COLUMNS = "additionalPrinterColumns"
_SELECTABLE = "selectableFields"
_SUBRESOURCES = "subresources"
_OLDER_NAMES = {_SCHEMA: "validation"}


def check(crd: Json, old: Json | None) -> list[FieldError]:
    """Everything that is wrong with a CRD whose schema is satisfied."""
    spec = crd.get("spec")
    missing = list(_missing(spec))
    if missing or spec is None:
        return missing
    faults = [
        *_check_group(spec["group"]),
        *check_approval(crd, old),
        *_check_names(crd),
        *_check_versions(spec["versions"]),
        *_check_conversion(spec),
    ]
    if old is not None:
        faults += _check_changes(crd, old)
    return faults


def _missing(spec: Json | None) -> Iterator[FieldError]:
    """Required fields that are absent; nothing else can be judged then."""
    if spec is None:
        yield FieldError("spec", "FieldValueRequired")
        return
    yield from _require(spec["names"], "spec.names", ("plural", "kind"))
    versions = spec["versions"]
    for path, columns in _parts(versions, _COLUMNS):
        for index, column in enumerate(columns):
            at = f"{path}[{index}]"
            yield from _require(column, at, ("name", "type"))
            if not column.get("jsonPath"):
                yield FieldError(f"{at}.JSONPath", "FieldValueRequired")
    for path, selectable in _parts(versions, _SELECTABLE):
        for index, field in enumerate(selectable):
            yield from _require(field, f"{path}[{index}]", ("jsonPath",))
    for path, subresources in _parts(versions, _SUBRESOURCES):
        scale = subresources.get("scale")
        if scale is not None:
            fields = ("specReplicasPath", "statusReplicasPath")
            yield from _require(scale, f"{path}.scale", fields)


def _require(
    obj: Json, path: str, fields: tuple[str, ...]
) -> Iterator[FieldError]:
    for field in fields:
        if not obj.get(field):
            yield FieldError(f"{path}.{field}", "FieldValueRequired")


def _parts(versions: list[Json], name: str) -> Iterator[tuple[str, Any]]:
    """A part of all versions, with its path.

    The server validates an older form of definitions, in which a part that
    is the same in all versions stands in the spec, under an older name.
    """
    parts = [version.get(name) for version in versions]
    if parts and all(part == parts[0] for part in parts):
        parts = parts[:1]
        paths = [f"spec.{_OLDER_NAMES.get(name, name)}"]
    else:
        paths = [f"spec.versions[{i}].{name}" for i in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        if part:
            yield path, part


def _check_group(group: str) -> Iterator[FieldError]:
    path = "spec.group"
    if not group:
        yield FieldError(path, "FieldValueRequired")
        return
    for fault in name_faults(group):
        yield FieldError(path, "FieldValueInvalid", fault, group)
    if "." not in group:
        why = "should be a domain with at least one dot"
        yield FieldError(path, "FieldValueInvalid", why, group)
    if group in RESERVED:
        why = "the group is served by the control plane itself"
        yield FieldError(path, "FieldValueForbidden", why)


def _check_names(crd: Json) -> Iterator[FieldError]:
    names, path = crd["spec"]["names"], "spec.names"
    for field in ("plural", "singular"):
        if not DNS_LABEL.fullmatch(names.get(field, "")):
            yield FieldError(
                f"{path}.{field}",
                "FieldValueInvalid",
                LABEL_1035_RULE,
                names.get(field, ""),
            )
    for field in ("kind", "listKind"):
        if not _KIND.fullmatch(names.get(field, "")):
            yield FieldError(
                f"{path}.{field}",
                "FieldValueInvalid",
                "may have mixed case, but should otherwise match: "
                + LABEL_1035_RULE,
                names.get(field, ""),
            )
    if names.get("kind") == names.get("listKind"):
        yield FieldError(
            f"{path}.listKind",
            "FieldValueInvalid",
            "kind and listKind may not be the same",
            names.get("listKind"),
        )
    for field in ("shortNames", "categories"):
        for index, name in enumerate(names.get(field) or ()):
            yield from check_name(name, f"{path}.{field}[{index}]", "label")
    wanted = f"{names['plural']}.{crd['spec']['group']}"
    if crd["metadata"].get("name") != wanted:
        yield FieldError(
            "metadata.name",
            "FieldValueInvalid",
            'must be spec.names.plural+"."+spec.group',
            crd["metadata"].get("name", ""),
        )


def _check_versions(versions: list[Json]) -> Iterator[FieldError]:
    path = "spec.versions"
    names = [version["name"] for version in versions]
    if not versions:
        yield FieldError(
            path, "FieldValueRequired", "must have at least one version"
        )
    elif sum(version["storage"] is True for version in versions) != 1:
        yield FieldError(
            path,
            "FieldValueInvalid",
            "must have exactly one version marked as storage version",
            versions,
        )
    if len(set(names)) != len(names):
        why = "must contain unique version names"
        yield FieldError(path, "FieldValueInvalid", why, versions)
    for index, version in enumerate(versions):
        at = f"{path}[{index}]"
        yield from check_name(version["name"], f"{at}.name", "label")
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            path = f"{at}.schema.openAPIV3Schema"
            why = "schemas are required"
            yield FieldError(path, "FieldValueRequired", why)
    yield from _check_parts(versions)


def _check_parts(versions: list[Json]) -> Iterator[FieldError]:
    for path, schema in _parts(versions, _SCHEMA):
        if schema.get("openAPIV3Schema"):
            at = f"{path}.openAPIV3Schema"
            yield from check_structural(schema["openAPIV3Schema"], at)
    for path, columns in _parts(versions, _COLUMNS):
        for index, column in enumerate(columns):
            yield from _check_column(column, f"{path}[{index}]")
    for path, selectable in _parts(versions, _SELECTABLE):
        for index, field in enumerate(selectable):
            at = f"{path}[{index}].jsonPath"
            yield from _check_path(field["jsonPath"], at)
    for path, subresources in _parts(versions, _SUBRESOURCES):
        for field, value in (subresources.get("scale") or {}).items():
            yield from _check_scale(field, value, f"{path}.scale.{field}")


def _check_column(column: Json, at: str) -> Iterator[FieldError]:
    if column["type"] not in _TYPES:
        why = "must be one of " + ",".join(_TYPES)
        yield FieldError(
            f"{at}.type", "FieldValueInvalid", why, column["type"]
        )
    yield from _check_path(column["jsonPath"], f"{at}.JSONPath")


def _check_scale(field: str, value: str, at: str) -> Iterator[FieldError]:
    faults = list(_check_path(value, at))
    yield from faults
    below = ".status." if field == "statusReplicasPath" else ".spec."
    free = field == "labelSelectorPath"
    if not faults and not free and not value.startswith(below):
        why = f"should be a json path under {below.rstrip('.')}"
        yield FieldError(at, "FieldValueInvalid", why, value)


def _check_path(text: Any, path: str) -> Iterable[FieldError]:
    try:
        jsonpath(text)
    except JSONPathError as error:
        return [FieldError(path, "FieldValueInvalid", str(error), text)]
    if not text.startswith("."):
        why = "must be a simple json path starting with ."
        return [FieldError(path, "FieldValueInvalid", why, text)]
    return []


def _check_conversion(spec: Json) -> Iterator[FieldError]:
    if spec["scope"] not in ("Cluster", "Namespaced"):
        yield FieldError(
            "spec.scope",
            "FieldValueNotSupported",
            'supported values: "Cluster", "Namespaced"',
            spec["scope"],
        )
    strategy = (spec.get("conversion") or {}).get("strategy")
    if strategy != "None":
        yield FieldError(
            "spec.conversion.strategy",
            "FieldValueNotSupported",
            'supported values: "None"',
            strategy,
        )
    if spec.get("preserveUnknownFields"):
        yield FieldError(
            "spec.preserveUnknownFields",
            "FieldValueInvalid",
            "must be false in order to use defaults in the schema",
            True,  # noqa: FBT003 - the offending value
        )


def _check_changes(crd: Json, old: Json) -> Iterator[FieldError]:
    new_spec, old_spec = crd["spec"], old["spec"]
    fixed = [
        ("spec.group", new_spec["group"], old_spec["group"]),
        (
            "spec.names.plural",
            new_spec["names"]["plural"],
            old_spec["names"]["plural"],
        ),
    ]
    if condition(old, "Established") == "True":
        fixed += [
            ("spec.scope", new_spec["scope"], old_spec["scope"]),
            (
                "spec.names.kind",
                new_spec["names"]["kind"],
                old_spec["names"]["kind"],
            ),
        ]
    for path, value, live in fixed:
        if value != live:
            why = "field is immutable"
            yield FieldError(path, "FieldValueInvalid", why, value)
    yield from _check_stored(crd)


def _check_stored(crd: Json) -> Iterator[FieldError]:
    names = {version["name"] for version in crd["spec"]["versions"]}
    stored = (crd.get("status") or {}).get("storedVersions") or ()
    for index, version in enumerate(stored):
        if version not in names:
            yield FieldError(
                f"status.storedVersions[{index}]",
                "FieldValueInvalid",
                f"missing from spec.versions; {version} was previously a "
                "storage version, and must remain in spec.versions until a "
                "storage migration ensures no data remains persisted in "
                f"{version} and removes {version} from "
                "status.storedVersions",
                version,
            )
