"""Names of models in OpenAPI documents, and references to them."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

GVK: Final = "x-kubernetes-group-version-kind"

_API: Final = "io.k8s.api"
PACKAGES: Final = {
    "": f"{_API}.core",
    "admissionregistration.k8s.io": f"{_API}.admissionregistration",
    "apiextensions.k8s.io": (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions"
    ),
    "authentication.k8s.io": f"{_API}.authentication",
    "authorization.k8s.io": f"{_API}.authorization",
    "coordination.k8s.io": f"{_API}.coordination",
    "events.k8s.io": f"{_API}.events",
    "rbac.authorization.k8s.io": f"{_API}.rbac",
}


def model_name(spec: Json, version: str, kind: str) -> str:
    """The name of a kind's model, as clients know it from a cluster.

    Built-in kinds are named after the package that declares them, others
    after their group, reversed.
    """
    group = spec["group"]
    package = PACKAGES.get(group) or ".".join(reversed(group.split(".")))
    return f"{package}.{version}.{kind}"


def identity(spec: Json, version: str, kind: str) -> Json:
    """Which kind a model or an operation is about."""
    return {"group": spec["group"], "version": version, "kind": kind}


def ref(name: str) -> Json:
    """A reference to a model."""
    return {"$ref": f"#/components/schemas/{name}"}
