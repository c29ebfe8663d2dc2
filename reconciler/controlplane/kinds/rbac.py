"""Roles and bindings, with the rules of a kube-apiserver for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from reconciler.controlplane.kinds.columns import AGE, NAME
from reconciler.controlplane.kinds.model import Column, Hooks, ResourceKind
from reconciler.controlplane.kinds.selectors import check_selector
from reconciler.controlplane.schema import rbac as schemas
from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = {"ServiceAccount": "", "User": GROUP, "Group": GROUP}
_CREATED = Column(
    "Created At",
    "date",
    lambda obj: obj["metadata"].get("creationTimestamp", ""),
    "When it was created.",
)


def _role_shown(binding: Json) -> str:
    reference = binding.get("roleRef") or {}
    return f"{reference.get('kind', '')}/{reference.get('name', '')}"


_BINDING = (
    NAME,
    Column("Role", "string", _role_shown, "The role that is given."),
    AGE,
)


def kinds() -> list[ResourceKind]:
    """The four kinds."""
    return [
        _kind("Role", Hooks(check=_check_role), (NAME, _CREATED)),
        _kind("ClusterRole", Hooks(check=_check_role), (NAME, _CREATED)),
        _kind("RoleBinding", Hooks(_prepare, _check_binding), _BINDING),
        _kind("ClusterRoleBinding", Hooks(_prepare, _check_binding), _BINDING),
    ]


def _kind(
    name: str, hooks: Hooks, columns: tuple[Column, ...]
) -> ResourceKind:
    schema = {
        "Role": schemas.ROLE,
        "ClusterRole": schemas.CLUSTER_ROLE,
    }.get(name, schemas.BINDING)
    return ResourceKind(
        group=GROUP,
        version="v1",
        plural=f"{name.lower()}s",
        kind=name,
        namespaced=not name.startswith("Cluster"),
        singular=name.lower(),
        columns=columns,
        schema=schema,
        hooks=hooks,
        creates=True,
        name_rule="path",
    )


def _check_role(role: Json, _old: Json | None) -> list[FieldError]:
    namespaced = role["kind"] == "Role"
    faults: list[FieldError] = []
    for index, rule in enumerate(role.get("rules") or ()):
        faults += _check_rule(rule, f"rules[{index}]", namespaced=namespaced)
    return [*faults, *_check_aggregation(role.get("aggregationRule"))]


def _check_aggregation(rule: Json | None) -> Iterator[FieldError]:
    if rule is None:
        return
    path = "aggregationRule.clusterRoleSelectors"
    selectors = rule.get("clusterRoleSelectors") or ()
    if not selectors:
        yield _required(
            path,
            "at least one clusterRoleSelector required if aggregationRule is "
            "non-nil",
        )
    for index, selector in enumerate(selectors):
        yield from check_selector(selector, f"{path}[{index}]")


def _check_rule(
    rule: Json, path: str, *, namespaced: bool
) -> Iterator[FieldError]:
    if not rule.get("verbs"):
        yield _required(
            f"{path}.verbs", "verbs must contain at least one value"
        )
    paths = rule.get("nonResourceURLs") or []
    if paths:
        if namespaced:
            yield FieldError(
                f"{path}.nonResourceURLs",
                "FieldValueInvalid",
                "namespaced rules cannot apply to non-resource URLs",
                paths,
            )
        if any(
            rule.get(k) for k in ("apiGroups", "resources", "resourceNames")
        ):
            yield FieldError(
                f"{path}.nonResourceURLs",
                "FieldValueInvalid",
                "rules cannot apply to both regular resources and "
                "non-resource URLs",
                paths,
            )
        return
    if not rule.get("apiGroups"):
        yield _required(
            f"{path}.apiGroups",
            "resource rules must supply at least one api group",
        )
    if not rule.get("resources"):
        yield _required(
            f"{path}.resources",
            "resource rules must supply at least one resource",
        )


def _required(path: str, why: str) -> FieldError:
    return FieldError(path, "FieldValueRequired", why)


def _prepare(binding: Json, _old: Json | None) -> None:
    """Set the API groups that are clear from the kinds."""
    reference = binding.get("roleRef")
    if isinstance(reference, dict) and not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    subjects = binding.get("subjects")
    for subject in subjects if isinstance(subjects, list) else ():
        # The schema has not been looked at yet.
        known = isinstance(subject, dict) and isinstance(
            subject.get("kind"), str
        )
        group = _SUBJECTS.get(subject["kind"]) if known else None
        if group and not subject.get("apiGroup"):
            subject["apiGroup"] = group


def _check_binding(binding: Json, old: Json | None) -> list[FieldError]:
    namespaced = binding["kind"] == "RoleBinding"
    reference = binding["roleRef"]
    faults = list(_check_reference(reference, namespaced=namespaced))
    for index, subject in enumerate(binding.get("subjects") or ()):
        faults += _check_subject(
            subject, f"subjects[{index}]", namespaced=namespaced
        )
    if old is not None and reference != old.get("roleRef"):
        faults.append(
            FieldError(
                "roleRef",
                "FieldValueInvalid",
                "cannot change roleRef",
                json.loads(json.dumps(reference)),
            )
        )
    return faults


def _check_reference(
    reference: Json, *, namespaced: bool
) -> Iterator[FieldError]:
    if reference["apiGroup"] != GROUP:
        yield FieldError(
            "roleRef.apiGroup",
            "FieldValueNotSupported",
            f'supported values: "{GROUP}"',
            reference["apiGroup"],
        )
    allowed = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if reference["kind"] not in allowed:
        shown = ", ".join(f'"{kind}"' for kind in sorted(allowed))
        yield FieldError(
            "roleRef.kind",
            "FieldValueNotSupported",
            f"supported values: {shown}",
            reference["kind"],
        )
    if not reference["name"]:
        yield FieldError("roleRef.name", "FieldValueRequired")


def _check_subject(
    subject: Json, path: str, *, namespaced: bool
) -> Iterator[FieldError]:
    if not subject["name"]:
        yield FieldError(f"{path}.name", "FieldValueRequired")
    group = _SUBJECTS.get(subject["kind"])
    if group is None:
        shown = ", ".join(f'"{kind}"' for kind in sorted(_SUBJECTS))
        yield FieldError(
            f"{path}.kind",
            "FieldValueNotSupported",
            f"supported values: {shown}",
            subject["kind"],
        )
        return
    if (subject.get("apiGroup") or "") != group:
        yield FieldError(
            f"{path}.apiGroup",
            "FieldValueNotSupported",
            f'supported values: "{group}"',
            subject.get("apiGroup"),
        )
    account = subject["kind"] == "ServiceAccount"
    if account and not namespaced and not subject.get("namespace"):
        yield FieldError(f"{path}.namespace", "FieldValueRequired")
