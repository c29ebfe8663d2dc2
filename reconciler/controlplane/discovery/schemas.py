"""OpenAPI documents: v3 by group and version, and v2 with all of them."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.kinds.registry import Registry

Json = dict[str, Any]


class Documents:
    """Builds the documents of the registry's kinds, each once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._built: dict[str, tuple[int, bytes]] = {}

    def index(self) -> Json:
        """/openapi/v3: the paths of all documents."""
        paths = _paths(self._registry)
        return {"paths": {path: self._entry(path) for path in paths}}

    def merged(self) -> bytes:
        """/openapi/v2: everything in one Swagger document."""
        from reconciler.controlplane.schema.openapi_v2 import openapi_v2

        texts = [self.document(path) or b"" for path in _paths(self._registry)]
        documents = [orjson.loads(text) for text in texts]
        return orjson.dumps(openapi_v2(documents))

    def _entry(self, path: str) -> Json:
        text = self.document(path) or b""
        digest = hashlib.sha256(text).hexdigest().upper()
        url = f"/openapi/v3/{path}?hash={digest}"
        return {"serverRelativeURL": url}

    def document(self, path: str) -> bytes | None:
        """The document of ``apis/<group>/<version>`` or ``api/v1``."""
        generation = self._registry.generation
        found = self._built.get(path)
        if found is not None and found[0] == generation:
            return found[1]
        kinds = self._kinds(path)
        if not kinds:
            return None
        text = _build(kinds)
        self._built[path] = (generation, text)
        return text

    def _kinds(self, path: str) -> list[ResourceKind]:
        root, _, rest = path.partition("/")
        if root == "api":
            return self._registry.versioned("", rest)
        group, _, version = rest.partition("/")
        return self._registry.versioned(group, version) if group else []


def _paths(registry: Registry) -> list[str]:
    return [
        (f"apis/{group}/{version}" if group else f"api/{version}")
        for group, versions in registry.groups().items()
        for version in versions
    ]


def _build(kinds: list[ResourceKind]) -> bytes:
    from reconciler.controlplane.schema.openapi import openapi_v3

    first = kinds[0]
    definitions = [_definition(kind) for kind in kinds]
    document = openapi_v3(first.group, first.version, *definitions)
    return orjson.dumps(document)


def _definition(kind: ResourceKind) -> Json:
    """A kind, built in or not, in the form of a CRD."""
    subresources: Json = {"status": {}} if kind.status else {}
    if kind.scale is not None:
        subresources["scale"] = {
            "specReplicasPath": kind.scale.spec,
            "statusReplicasPath": kind.scale.status,
        }
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": kind.schema},
        "subresources": subresources,
    }
    return {
        "metadata": {"name": kind.qualified},
        "spec": {
            "group": kind.group,
            "names": {
                "plural": kind.plural,
                "singular": kind.singular,
                "kind": kind.kind,
                "listKind": kind.list_name,
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "verbs": kind.verbs,
            "versions": [version],
        },
    }
