"""Schemas of the webhook configurations of admissionregistration.k8s.io/v1."""

from __future__ import annotations

from typing import Final

from reconciler.controlplane.schema.object_meta import (
    Schema,
    map_list,
    number,
    text,
    top_level,
)
from reconciler.controlplane.schema.rbac import LABEL_SELECTOR


def _texts(description: str) -> Schema:
    return {
        "type": "array",
        "description": description,
        "items": {"type": "string"},
        "x-kubernetes-list-type": "atomic",
    }


_RULE: Final[Schema] = {
    "type": "object",
    "description": "Operations on resources.",
    "properties": {
        "apiGroups": _texts("API groups; '' is the core group, * all."),
        "apiVersions": _texts("API versions; * is all."),
        "operations": _texts("CREATE, UPDATE, DELETE, CONNECT or *."),
        "resources": _texts("Plurals, or plural/subresource; */* is all."),
        "scope": text("Cluster, Namespaced or * (default).", default="*"),
    },
}
_SERVICE: Final[Schema] = {
    "type": "object",
    "description": "A Service; the embedded control plane reaches none.",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": text("Namespace of the Service."),
        "name": text("Name of the Service."),
        "path": text("Path of the URL."),
        "port": number("Port, 443 unless given.") | {"default": 443},
    },
}
_CLIENT: Final[Schema] = {
    "type": "object",
    "description": "Where the webhook answers.",
    "properties": {
        "url": text("https URL."),
        "service": _SERVICE,
        "caBundle": text(
            "PEM certificates that its certificate is checked with; the "
            "system's if there are none.",
            format="byte",
        ),
    },
}
_CONDITION: Final[Schema] = {
    "type": "object",
    "description": "A CEL expression that must hold.",
    "required": ["name", "expression"],
    "properties": {
        "name": text("Name of the condition."),
        "expression": text(
            "CEL over object, oldObject and request; a boolean."
        ),
    },
}


def _webhook(**more: Schema) -> Schema:
    return {
        "type": "object",
        "description": "One webhook.",
        "required": [
            "name",
            "clientConfig",
            "sideEffects",
            "admissionReviewVersions",
        ],
        "properties": {
            "name": text("Qualified name, as in hook.example.com."),
            "clientConfig": _CLIENT,
            "rules": {
                "type": "array",
                "description": "Which requests it is asked about.",
                "items": _RULE,
                "x-kubernetes-list-type": "atomic",
            },
            "failurePolicy": text(
                "What if it cannot be asked: Fail or Ignore.", default="Fail"
            ),
            "matchPolicy": text(
                "Exact, or Equivalent: other versions of the same too.",
                default="Equivalent",
            ),
            "namespaceSelector": LABEL_SELECTOR
            | {"default": {}, "description": "Labels of the namespace."},
            "objectSelector": LABEL_SELECTOR
            | {"default": {}, "description": "Labels of the object."},
            "sideEffects": text("None or NoneOnDryRun."),
            "timeoutSeconds": number("1 to 30.") | {"default": 10},
            "admissionReviewVersions": _texts("Of AdmissionReview: v1."),
            "matchConditions": map_list(
                "CEL expressions that must all hold.", ["name"], _CONDITION
            ),
            **more,
        },
    }


def _configuration(description: str, webhook: Schema) -> Schema:
    return top_level(
        description,
        webhooks=map_list("The webhooks, by name.", ["name"], webhook),
    )


VALIDATING: Final = _configuration(
    "Webhooks that may refuse requests.", _webhook()
)
MUTATING: Final = _configuration(
    "Webhooks that may change objects before they are stored.",
    _webhook(
        reinvocationPolicy=text(
            "Never, or IfNeeded: again if others changed the object.",
            default="Never",
        )
    ),
)
