"""The kinds that every control plane serves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from reconciler.controlplane.kinds import (
    columns,
    definition_rules,
    definitions,
    event_forms,
    rbac,
    secrets,
    webhooks,
)
from reconciler.controlplane.kinds.model import Column, Hooks, ResourceKind
from reconciler.controlplane.kinds.registry import Registry
from reconciler.controlplane.schema import builtins as schemas

Json = dict[str, Any]

EVENTS = "/events"
NAMESPACES = "/namespaces"
DEFINITIONS = "apiextensions.k8s.io/customresourcedefinitions"
NAMESPACE_LABEL = "kubernetes.io/metadata.name"

_SUBJECT_FIELDS = tuple(
    f"involvedObject.{name}"
    for name in (
        "kind",
        "namespace",
        "name",
        "uid",
        "apiVersion",
        "resourceVersion",
        "fieldPath",
    )
)


def builtin_registry() -> Registry:
    """A registry with the built-in kinds."""
    registry = Registry()
    kinds = [
        *_core(),
        *_events(),
        _lease(),
        *rbac.kinds(),
        *webhooks.kinds(),
        _definition(_taken(registry)),
        *_reviews(),
    ]
    registry.register("", kinds)
    return registry


def _taken(registry: Registry) -> definitions.Taken:
    def taken(group: str, source: str) -> set[str]:
        mine = {id(kind) for kind in registry.of_source(source)}
        return {
            name
            for kind in registry
            if kind.group == group and id(kind) not in mine
            for name in (
                kind.plural,
                kind.singular,
                kind.kind,
                kind.list_name,
                *kind.short_names,
            )
        }

    return taken


def prepare_namespace(namespace: Json, old: Json | None) -> None:
    """Keep the label, the finalizer and the phase that the server sets."""
    metadata = namespace["metadata"]
    labels = metadata.setdefault("labels", {})
    labels[NAMESPACE_LABEL] = metadata.get("name", "")
    if old is None:
        namespace["spec"] = {"finalizers": ["kubernetes"]}
        namespace["status"] = {"phase": "Active"}
    else:
        namespace["spec"] = old.get("spec") or {}
        namespace.setdefault("status", {}).setdefault("phase", "Active")


def _core() -> list[ResourceKind]:
    return [
        ResourceKind(
            group="",
            version="v1",
            plural="namespaces",
            kind="Namespace",
            namespaced=False,
            singular="namespace",
            short_names=("ns",),
            verbs=tuple(
                verb
                for verb in ResourceKind.verbs
                if verb != "deletecollection"
            ),
            status=True,
            columns=columns.NAMESPACE,
            selectable=("status.phase",),
            schema=schemas.NAMESPACE,
            name_rule="label",
            hooks=Hooks(prepare=prepare_namespace),
        ),
        ResourceKind(
            group="",
            version="v1",
            plural="secrets",
            kind="Secret",
            namespaced=True,
            singular="secret",
            columns=columns.SECRET,
            selectable=("type",),
            schema=schemas.SECRET,
            hooks=Hooks(secrets.prepare_secret, secrets.check_secret),
        ),
        ResourceKind(
            group="",
            version="v1",
            plural="configmaps",
            kind="ConfigMap",
            namespaced=True,
            singular="configmap",
            short_names=("cm",),
            columns=columns.CONFIG_MAP,
            schema=schemas.CONFIG_MAP,
            hooks=Hooks(secrets.prepare_config_map, secrets.check_config_map),
        ),
        ResourceKind(
            group="",
            version="v1",
            plural="serviceaccounts",
            kind="ServiceAccount",
            namespaced=True,
            singular="serviceaccount",
            short_names=("sa",),
            columns=columns.SERVICE_ACCOUNT,
            schema=schemas.SERVICE_ACCOUNT,
            unconditional=False,
            token=True,
        ),
    ]


def _events() -> list[ResourceKind]:
    core = ResourceKind(
        group="",
        version="v1",
        plural="events",
        creates=True,
        kind="Event",
        namespaced=True,
        singular="event",
        short_names=("ev",),
        columns=columns.CORE_EVENT,
        selectable=(
            *_SUBJECT_FIELDS,
            "reason",
            "reportingComponent",
            "source=source.component",
            "type",
        ),
        schema=schemas.CORE_EVENT,
        hooks=Hooks(check=event_forms.check_core),
    )
    new = dataclasses.replace(
        core,
        group="events.k8s.io",
        stored_as=EVENTS,
        columns=tuple(_of_core(column) for column in columns.CORE_EVENT),
        selectable=(
            *(
                f.replace("involvedObject", "regarding")
                for f in _SUBJECT_FIELDS
            ),
            "reason",
            "reportingController",
            "type",
        ),
        schema=schemas.EVENT,
        hooks=Hooks(
            check=event_forms.check_new,
            read=event_forms.from_core,
            write=event_forms.to_core,
        ),
    )
    return [core, new]


def _of_core(column: Column) -> Column:
    read: Callable[[Json], Any] = column.read
    return dataclasses.replace(
        column, read=lambda event: read(event_forms.to_core(event))
    )


def _lease() -> ResourceKind:
    return ResourceKind(
        group="coordination.k8s.io",
        version="v1",
        plural="leases",
        kind="Lease",
        namespaced=True,
        singular="lease",
        columns=columns.LEASE,
        unconditional=False,
        creates=True,
        schema=schemas.LEASE,
    )


def _definition(taken: definitions.Taken) -> ResourceKind:
    return ResourceKind(
        group="apiextensions.k8s.io",
        version="v1",
        plural="customresourcedefinitions",
        kind="CustomResourceDefinition",
        namespaced=False,
        singular="customresourcedefinition",
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        status=True,
        counted=True,
        columns=columns.DEFINITION,
        schema=schemas.CUSTOM_RESOURCE_DEFINITION,
        hooks=Hooks(
            lambda crd, old: definitions.prepare(crd, old, taken),
            definition_rules.check,
        ),
    )


def _reviews() -> list[ResourceKind]:
    """Questions that are answered and not stored."""
    return [
        ResourceKind(
            group=group,
            version="v1",
            plural=kind.lower() + "s",
            kind=kind,
            namespaced=kind.startswith("Local"),
            singular=kind.lower(),
            verbs=("create",),
        )
        for group, kind in (
            ("authorization.k8s.io", "LocalSubjectAccessReview"),
            ("authorization.k8s.io", "SelfSubjectAccessReview"),
            ("authorization.k8s.io", "SelfSubjectRulesReview"),
            ("authorization.k8s.io", "SubjectAccessReview"),
            ("authentication.k8s.io", "SelfSubjectReview"),
            ("authentication.k8s.io", "TokenReview"),
        )
    ]
