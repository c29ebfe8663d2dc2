"""CustomResourceDefinitions: defaults, conditions, and the kinds they add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.controlplane.kinds.columns import custom_columns
from reconciler.controlplane.kinds.model import ResourceKind, ScalePaths
from reconciler.controlplane.objects.metadata import now_text

Json = dict[str, Any]
Taken = Callable[[str, str], set[str]]
"""Names in use in a group by others than the CRD of that name."""

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_SPEC_NAMES = ("plural", "singular", "kind", "listKind")


def prepare(crd: Json, old: Json | None, taken: Taken) -> None:
    """Fill in names and, from the names in use, the status."""
    spec = crd.get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(names, dict):
        return
    if not isinstance(names.get("kind"), str):
        return
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    spec.setdefault("conversion", {"strategy": "None"})
    if old is None:
        finalizers = crd["metadata"].setdefault("finalizers", [])
        if FINALIZER not in finalizers:
            finalizers.append(FINALIZER)
        crd["status"] = {"conditions": [], "storedVersions": []}
    accept(crd, taken)


def accept(crd: Json, taken: Taken) -> None:
    """Judge the names; a CRD whose names are free is established."""
    spec = crd["spec"]
    names = spec["names"]
    status = crd.setdefault("status", {})
    clash = _clash(crd, taken)
    established = not clash or condition(crd, "Established") == "True"
    if not clash:
        status["acceptedNames"] = {**names}
    status.setdefault("acceptedNames", {"plural": "", "kind": ""})
    _observe(status, "NamesAccepted", not clash, *_names_reason(clash))
    _observe(status, "Established", established, *_established(established))
    stored = status.setdefault("storedVersions", [])
    stored += [
        version["name"]
        for version in _versions(spec)
        if version.get("storage") is True and version["name"] not in stored
    ]


def _versions(spec: Json) -> list[Json]:
    versions = spec.get("versions")
    return [
        version
        for version in (versions if isinstance(versions, list) else ())
        if isinstance(version, dict) and isinstance(version.get("name"), str)
    ]


def _clash(crd: Json, taken: Taken) -> str:
    spec = crd["spec"]
    group, names = spec.get("group"), spec["names"]
    used = taken(str(group), crd["metadata"].get("name", ""))
    mine = [names.get(field) for field in _SPEC_NAMES]
    mine += names.get("shortNames") or []
    return next((name for name in mine if name in used), "")


def _names_reason(clash: str) -> tuple[str, str]:
    if clash:
        return "NamesConflict", f'"{clash}" is already in use'
    return "NoConflicts", "no conflicts found"


def _established(established: bool) -> tuple[str, str]:
    if established:
        return "InitialNamesAccepted", "the initial names have been accepted"
    return "NotAccepted", "not all names are accepted"


def _observe(
    status: Json, kind: str, true: bool, reason: str, message: str
) -> None:
    verdict = "True" if true else "False"
    conditions = status.setdefault("conditions", [])
    found = next((c for c in conditions if c.get("type") == kind), None)
    if found is None:
        found = {"type": kind, "lastTransitionTime": now_text()}
        conditions.append(found)
    elif found.get("status") != verdict:
        found["lastTransitionTime"] = now_text()
    found |= {"status": verdict, "reason": reason, "message": message}


def condition(crd: Json, kind: str) -> str:
    """The status of a condition of a CRD: True, False or Unknown."""
    conditions = (crd.get("status") or {}).get("conditions") or ()
    for found in conditions:
        if found.get("type") == kind:
            return str(found.get("status"))
    return "Unknown"


def mark_terminating(crd: Json) -> None:
    """Say that the instances are being deleted."""
    why = "CustomResource deletion is in progress"
    _observe(
        crd["status"],
        "Terminating",
        true=True,
        reason="InstanceDeletionInProgress",
        message=why,
    )


def kinds_of(crd: Json) -> list[ResourceKind]:
    """The kinds to serve for a CRD; none unless it is established."""
    if condition(crd, "Established") != "True":
        return []
    spec = crd["spec"]
    storage = next(v["name"] for v in spec["versions"] if v["storage"])
    return [
        _kind(crd, version, storage)
        for version in spec["versions"]
        if version["served"]
    ]


def _kind(crd: Json, version: Json, storage: str) -> ResourceKind:
    spec = crd["spec"]
    names = crd["status"]["acceptedNames"]
    subresources = version.get("subresources") or {}
    return ResourceKind(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular", ""),
        list_kind=names.get("listKind", ""),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        storage_version=storage,
        status="status" in subresources,
        scale=_scale(subresources.get("scale")),
        columns=custom_columns(version.get("additionalPrinterColumns") or []),
        selectable=tuple(
            field["jsonPath"].lstrip(".")
            for field in version.get("selectableFields") or ()
        ),
        schema=version["schema"]["openAPIV3Schema"],
        custom=True,
        counted=True,
        unconditional=False,
        since=int(crd["metadata"]["resourceVersion"]),
        warning=_warning(spec, version, names["kind"]),
    )


def _scale(paths: Json | None) -> ScalePaths | None:
    if not paths:
        return None
    return ScalePaths(
        paths["specReplicasPath"],
        paths["statusReplicasPath"],
        paths.get("labelSelectorPath"),
    )


def _warning(spec: Json, version: Json, kind: str) -> str | None:
    if not version.get("deprecated"):
        return None
    default = f"{spec['group']}/{version['name']} {kind} is deprecated"
    return version.get("deprecationWarning") or default
