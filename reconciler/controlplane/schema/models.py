"""Names of models in OpenAPI documents, and references to them."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

GVK: Final = "x-kubernetes-group-version-kind"


def model_name(spec: Json, version: str, kind: str) -> str:
    """The name of a kind's model: the group reversed, version, kind."""
    labels = reversed(spec["group"].split(".")) if spec["group"] else ("core",)
    return ".".join([*labels, version, kind])


def identity(spec: Json, version: str, kind: str) -> Json:
    """Which kind a model or an operation is about."""
    return {"group": spec["group"], "version": version, "kind": kind}


def ref(name: str) -> Json:
    """A reference to a model."""
    return {"$ref": f"#/components/schemas/{name}"}
