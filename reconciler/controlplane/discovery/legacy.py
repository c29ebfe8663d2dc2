"""Discovery one document per group and version."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.kinds.registry import Registry

Json = dict[str, Any]


def core_versions(address: str) -> Json:
    """/api: the versions of the core group."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [
            {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
        ],
    }


def group_list(registry: Registry) -> Json:
    """/apis: all groups but the core group."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            _group(name, versions)
            for name, versions in registry.groups().items()
            if name
        ],
    }


def group(registry: Registry, name: str) -> Json | None:
    """/apis/<group>, or None if there is none of that name."""
    versions = registry.groups().get(name)
    if not name or versions is None:
        return None
    head = {"kind": "APIGroup", "apiVersion": "v1"}
    return head | _group(name, versions)


def _group(name: str, versions: list[str]) -> Json:
    entries = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in versions
    ]
    return {
        "name": name,
        "versions": entries,
        "preferredVersion": entries[0],
    }


def resource_list(registry: Registry, group: str, version: str) -> Json | None:
    """/api/<version> or /apis/<group>/<version>; None if not served."""
    kinds = registry.versioned(group, version)
    if not kinds:
        return None
    resources: list[Json] = []
    for kind in kinds:
        resources += _resources(kind)
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": resources,
    }


def _resources(kind: ResourceKind) -> list[Json]:
    main: Json = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
    }
    if kind.short_names:
        main["shortNames"] = list(kind.short_names)
    if kind.categories:
        main["categories"] = list(kind.categories)
    main["storageVersionHash"] = _storage_hash(kind)
    return [main, *(_subresource(kind, name) for name in subresources(kind))]


def _storage_hash(kind: ResourceKind) -> str:
    import base64
    import hashlib

    text = f"{kind.stored_api_version}/{kind.kind}".encode()
    return base64.b64encode(hashlib.sha256(text).digest()[:8]).decode()


def subresources(kind: ResourceKind) -> list[str]:
    """The subresources that a kind has."""
    scale = ["scale"] if kind.scale else []
    status = ["status"] if kind.status else []
    return scale + status + (["token"] if kind.token else [])


def _subresource(kind: ResourceKind, name: str) -> Json:
    entry: Json = {
        "name": f"{kind.plural}/{name}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": ["get", "patch", "update"],
    }
    if name == "scale":
        entry |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    if name == "token":
        entry |= {
            "group": "authentication.k8s.io",
            "version": "v1",
            "kind": "TokenRequest",
            "verbs": ["create"],
        }
    return entry
