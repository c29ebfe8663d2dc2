"""Discovery of all groups in one document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.controlplane.discovery.legacy import subresources
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.kinds.registry import Registry

Json = dict[str, Any]

FORMS = (("APIGroupDiscoveryList", "v2"),)


def document(registry: Registry, *, core: bool) -> Json:
    """/api (the core group) or /apis (all others) in the aggregated form."""
    wanted: Callable[[str], bool] = (lambda name: not name) if core else bool
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            _group(registry, name, versions)
            for name, versions in registry.groups().items()
            if wanted(name)
        ],
    }


def _group(registry: Registry, name: str, versions: list[str]) -> Json:
    metadata = {"name": name} if name else {}
    return {
        "metadata": metadata | {"creationTimestamp": None},
        "versions": [
            {
                "version": version,
                "resources": [
                    _resource(kind)
                    for kind in registry.versioned(name, version)
                ],
                "freshness": "Current",
            }
            for version in versions
        ],
    }


def _resource(kind: ResourceKind) -> Json:
    entry: Json = {
        "resource": kind.plural,
        "responseKind": _kind(kind.group, kind.version, kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    parts = [_subresource(kind, name) for name in subresources(kind)]
    return entry | ({"subresources": parts} if parts else {})


def _subresource(kind: ResourceKind, name: str) -> Json:
    shown = _kind(kind.group, kind.version, kind.kind)
    verbs = ["get", "patch", "update"]
    if name == "scale":
        shown = _kind("autoscaling", "v1", "Scale")
    elif name == "token":
        shown = _kind("authentication.k8s.io", "v1", "TokenRequest")
        verbs = ["create"]
    return {"subresource": name, "responseKind": shown, "verbs": verbs}


def _kind(group: str, version: str, kind: str) -> Json:
    return {"group": group, "version": version, "kind": kind}
