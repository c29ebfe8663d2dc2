"""Schemas of the kinds of rbac.authorization.k8s.io/v1."""

from __future__ import annotations

from typing import Final

from reconciler.controlplane.schema.object_meta import (
    Schema,
    string_map,
    text,
    top_level,
)


def _texts(description: str) -> Schema:
    return _list(description, {"type": "string"})


def _list(description: str, items: Schema) -> Schema:
    return {
        "type": "array",
        "description": description,
        "items": items,
        "x-kubernetes-list-type": "atomic",
    }


_RULES: Final = _list(
    "What the role allows.",
    {
        "type": "object",
        "description": "Verbs on resources, or on paths.",
        "required": ["verbs"],
        "properties": {
            "verbs": _texts("get, list, watch and others; * is all."),
            "apiGroups": _texts("API groups; '' is the core group, * all."),
            "resources": _texts("Plurals, or plural/subresource; * is all."),
            "resourceNames": _texts("Only these objects; empty is any."),
            "nonResourceURLs": _texts("Paths that are no resources."),
        },
    },
)
_SUBJECTS: Final = _list(
    "Who has the role.",
    {
        "type": "object",
        "description": "A user, a group or a ServiceAccount.",
        "required": ["kind", "name"],
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "kind": text("User, Group or ServiceAccount."),
            "apiGroup": text("rbac.authorization.k8s.io; '' for accounts."),
            "name": text("Name of the subject."),
            "namespace": text("Namespace of the account."),
        },
    },
)
_ROLE_REF: Final[Schema] = {
    "type": "object",
    "description": "The role; it can never be changed.",
    "required": ["kind", "name"],
    "x-kubernetes-map-type": "atomic",
    "properties": {
        "apiGroup": text("rbac.authorization.k8s.io."),
        "kind": text("Role or ClusterRole."),
        "name": text("Name of the role."),
    },
}
_REQUIREMENT: Final[Schema] = {
    "type": "object",
    "description": "One term.",
    "required": ["key", "operator"],
    "properties": {
        "key": text("The label."),
        "operator": text("In, NotIn, Exists or DoesNotExist."),
        "values": _texts("Values for In and NotIn."),
    },
}
LABEL_SELECTOR: Final[Schema] = {
    "type": "object",
    "description": "Which labels.",
    "x-kubernetes-map-type": "atomic",
    "properties": {
        "matchLabels": string_map("Labels that must have these values."),
        "matchExpressions": _list("Terms that must all hold.", _REQUIREMENT),
    },
}

ROLE: Final = top_level("Permissions in one namespace.", rules=_RULES)
CLUSTER_ROLE: Final = top_level(
    "Permissions everywhere, or in the namespace of a RoleBinding.",
    rules=_RULES,
    aggregationRule={
        "type": "object",
        "description": "Takes the rules of other ClusterRoles.",
        "properties": {
            "clusterRoleSelectors": _list("Which ones.", LABEL_SELECTOR)
        },
    },
)
BINDING: Final = {
    **top_level(
        "Gives a role to subjects.", subjects=_SUBJECTS, roleRef=_ROLE_REF
    ),
    "required": ["roleRef"],
}
