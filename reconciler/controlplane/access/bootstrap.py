"""The ClusterRoles and bindings that every cluster has from the start.

Names and meaning are those of a kube-apiserver, as far as this server has
the resources. What is missing is made at each start; what is there stays.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_TO = f"{RBAC}/aggregate-to-"


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Json:
    return {"verbs": verbs, "apiGroups": groups, "resources": resources}


def _paths(paths: list[str]) -> Json:
    return {"verbs": ["get"], "nonResourceURLs": paths}


_HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]
_SELF_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
_VIEW = _rule(["", "events.k8s.io"], ["configmaps", "events"], _READ)
_VIEW_ACCOUNTS = _rule([""], ["namespaces", "serviceaccounts"], _READ)

_RULES: dict[str, list[Json]] = {
    "cluster-admin": [_rule(["*"], ["*"], ["*"]), _paths(["*"])],
    "system:aggregate-to-view": [_VIEW, _VIEW_ACCOUNTS],
    "system:aggregate-to-edit": [
        _rule([""], ["secrets"], _READ),
        _rule([""], ["serviceaccounts"], ["impersonate"]),
        _rule([""], ["configmaps", "secrets", "serviceaccounts"], _WRITE),
        _rule([""], ["serviceaccounts/token"], ["create"]),
        _rule(["coordination.k8s.io"], ["leases"], _READ + _WRITE),
    ],
    "system:aggregate-to-admin": [
        _rule(
            ["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"]
        ),
        _rule([RBAC], ["rolebindings", "roles"], _READ + _WRITE),
    ],
    "system:basic-user": [
        _rule(["authorization.k8s.io"], _SELF_REVIEWS, ["create"]),
        _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ],
    "system:discovery": [_paths([*_HEALTH, *_DISCOVERY])],
    "system:public-info-viewer": [_paths(_HEALTH)],
    "system:service-account-issuer-discovery": [
        _paths(["/.well-known/openid-configuration", "/openid/v1/jwks"])
    ],
    "system:auth-delegator": [
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ],
}
_RULES["cluster-admin"][1]["verbs"] = ["*"]

_AGGREGATED: dict[str, Json] = {
    "view": {f"{_TO}edit": "true"},
    "edit": {f"{_TO}admin": "true"},
    "admin": {},
}
"""Names, and the labels that say what else they are a part of."""
_GROUPS = {
    "cluster-admin": ["system:masters"],
    "system:basic-user": ["system:authenticated"],
    "system:discovery": ["system:authenticated"],
    "system:public-info-viewer": [
        "system:authenticated",
        "system:unauthenticated",
    ],
    "system:service-account-issuer-discovery": ["system:serviceaccounts"],
}


def cluster_roles() -> list[Json]:
    """The ClusterRoles."""
    made = []
    for name, rules in _RULES.items():
        part = name.removeprefix("system:aggregate-to-")
        labels = {f"{_TO}{part}": "true"} if part != name else {}
        made.append(_object("ClusterRole", name, labels, rules=rules))
    for name, labels in _AGGREGATED.items():
        selector = {"matchLabels": {f"{_TO}{name}": "true"}}
        rule = {"clusterRoleSelectors": [selector]}
        made.append(_object("ClusterRole", name, labels, aggregationRule=rule))
    return made


def cluster_bindings() -> list[Json]:
    """The ClusterRoleBindings."""
    return [
        _object(
            "ClusterRoleBinding",
            name,
            {},
            roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            subjects=[
                {"kind": "Group", "apiGroup": RBAC, "name": group}
                for group in groups
            ],
        )
        for name, groups in _GROUPS.items()
    ]


def _object(kind: str, name: str, labels: Json, **rest: Any) -> Json:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults", **labels}
    metadata = {"name": name, "labels": labels}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": metadata,
        **rest,
    }
