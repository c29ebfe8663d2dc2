"""Schemas of the built-in kinds that the control plane serves.

Written by us, with the fields that matter; fields left out are kept where
the kind is marked to preserve them.
"""

from __future__ import annotations

from typing import Any, Final

from reconciler.controlplane.schema.object_meta import (
    Schema,
    flag,
    map_list,
    moment,
    number,
    string_map,
    text,
    top_level,
)

_OPEN: Final = "x-kubernetes-preserve-unknown-fields"


def _object(description: str, /, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
    }


def _reference(description: str) -> Schema:
    return {
        **_object(
            description,
            apiVersion=text("API version of the object."),
            kind=text("Kind of the object."),
            name=text("Name of the object."),
            namespace=text("Namespace of the object."),
            uid=text("UID of the object."),
            resourceVersion=text("Version of the object that is meant."),
            fieldPath=text("Part of the object that is meant."),
        ),
        "x-kubernetes-map-type": "atomic",
    }


def conditions(description: str) -> Schema:
    """Return the schema of a list of conditions, keyed by type."""
    return map_list(
        description,
        ["type"],
        {
            **_object(
                "One aspect of the state.",
                type=text("Name of the aspect."),
                status=text("True, False or Unknown."),
                reason=text("CamelCase reason of the last transition."),
                message=text("What a person should know."),
                lastTransitionTime=moment("When the status last changed."),
                observedGeneration=number(
                    "Generation that the condition is about.", "int64"
                ),
            ),
            "required": ["type", "status"],
        },
    )


NAMESPACE: Final = top_level(
    "A scope for names: objects in it die with it.",
    spec=_object(
        "Desired state of the namespace.",
        finalizers={
            "type": "array",
            "description": "Names that must go before the namespace can.",
            "items": {"type": "string"},
            "x-kubernetes-list-type": "atomic",
        },
    ),
    status=_object(
        "Observed state of the namespace.",
        phase=text("Active or Terminating."),
        conditions=conditions("Why a deletion is not finished."),
    ),
)

SECRET: Final = top_level(
    "Confidential values, such as passwords and keys.",
    data=string_map(
        "Values in base64, by name.",
        additionalProperties={"type": "string", "format": "byte"},
    ),
    stringData=string_map("Plain values, merged into data; write only."),
    type=text("What the Secret is for, for example Opaque."),
    immutable=flag("Whether the data can never change again."),
)

CONFIG_MAP: Final = top_level(
    "Configuration values that are not confidential.",
    data=string_map("Values as text, by name."),
    binaryData=string_map(
        "Values in base64, by name.",
        additionalProperties={"type": "string", "format": "byte"},
    ),
    immutable=flag("Whether the data can never change again."),
)

SERVICE_ACCOUNT: Final = top_level(
    "An identity for processes.",
    secrets=map_list(
        "Secrets that processes may use.",
        ["name"],
        _reference("A Secret in the same namespace."),
    ),
    imagePullSecrets=map_list(
        "Secrets for pulling images.",
        ["name"],
        {
            **_object("A Secret.", name=text("Name of the Secret.")),
            "x-kubernetes-map-type": "atomic",
        },
    ),
    automountServiceAccountToken=flag("Whether pods get a token mounted."),
)

LEASE: Final = top_level(
    "A lock with an expiry, held by one process.",
    spec=_object(
        "Who holds the lease and since when.",
        holderIdentity=text("Identity of the holder."),
        leaseDurationSeconds=number("Seconds until the lease expires."),
        acquireTime=moment("When the holder got the lease."),
        renewTime=moment("When the holder last renewed the lease."),
        leaseTransitions=number("How often the holder changed."),
        strategy=text("How the holder is elected."),
        preferredHolder=text("Whom the lease should go to."),
    ),
)

_CORE_SERIES: Final = _object(
    "Repetitions of the event.",
    count=number("How often it happened."),
    lastObservedTime=moment("When it last happened."),
)

CORE_EVENT: Final = top_level(
    "Something that happened to an object.",
    involvedObject=_reference("The object that the event is about."),
    reason=text("CamelCase reason."),
    message=text("What happened, for a person."),
    source=_object(
        "Who reports it.",
        component=text("Name of the component."),
        host=text("Node of the component."),
    ),
    firstTimestamp=moment("When it first happened."),
    lastTimestamp=moment("When it last happened."),
    count=number("How often it happened."),
    type=text("Normal or Warning."),
    eventTime=moment("When it was first observed."),
    series=_CORE_SERIES,
    action=text("What was done about it."),
    related=_reference("A second object that is involved."),
    reportingComponent=text("Controller that reports it."),
    reportingInstance=text("Process of the controller."),
)

EVENT: Final = top_level(
    "Something that happened to an object.",
    eventTime=moment("When it was first observed."),
    series=_CORE_SERIES,
    reportingController=text("Controller that reports it."),
    reportingInstance=text("Process of the controller."),
    action=text("What was done about it."),
    reason=text("CamelCase reason."),
    regarding=_reference("The object that the event is about."),
    related=_reference("A second object that is involved."),
    note=text("What happened, for a person."),
    type=text("Normal or Warning."),
    deprecatedSource=_object(
        "Who reports it, in the old notation.",
        component=text("Name of the component."),
        host=text("Node of the component."),
    ),
    deprecatedFirstTimestamp=moment("When it first happened."),
    deprecatedLastTimestamp=moment("When it last happened."),
    deprecatedCount=number("How often it happened."),
)


def _names() -> Schema:
    return _object(
        "Names under which the kind is served.",
        plural=text("Plural name, part of the URL."),
        singular=text("Singular name for the command line."),
        kind=text("Name of the kind in objects."),
        listKind=text("Name of the kind of lists."),
        shortNames={
            "type": "array",
            "description": "Short names for the command line.",
            "items": {"type": "string"},
            "x-kubernetes-list-type": "atomic",
        },
        categories={
            "type": "array",
            "description": "Groups of kinds, such as all.",
            "items": {"type": "string"},
            "x-kubernetes-list-type": "atomic",
        },
    )


def _open_object(description: str) -> Schema:
    return {"type": "object", "description": description, _OPEN: True}


def _version() -> Schema:
    return {
        **_object(
            "One version of the kind.",
            name=text("Name of the version, such as v1alpha1."),
            served=flag("Whether the version can be used."),
            storage=flag("Whether objects are stored in this version."),
            deprecated=flag("Whether its use brings a warning."),
            deprecationWarning=text("Text of that warning."),
            schema=_object(
                "Schema of the version.",
                openAPIV3Schema=_open_object("The structural schema."),
            ),
            subresources=_object(
                "Subresources of the version.",
                status=_open_object("Present if status is written apart."),
                scale=_object(
                    "Where the scale of an object is.",
                    specReplicasPath=text("Path of the desired replicas."),
                    statusReplicasPath=text("Path of the actual replicas."),
                    labelSelectorPath=text("Path of the selector as text."),
                ),
            ),
            additionalPrinterColumns={
                "type": "array",
                "description": "Columns that kubectl get shows.",
                "x-kubernetes-list-type": "atomic",
                "items": _object(
                    "One column.",
                    name=text("Heading."),
                    type=text("Type of the value."),
                    format=text("Format of the value."),
                    description=text("What the column shows."),
                    priority=number("0 shows it always, more with -o wide."),
                    jsonPath=text("Where the value is."),
                ),
            },
            selectableFields={
                "type": "array",
                "description": "Fields that field selectors may name.",
                "x-kubernetes-list-type": "atomic",
                "items": _object("A field.", jsonPath=text("Its path.")),
            },
        ),
        "required": ["name", "served", "storage"],
    }


CUSTOM_RESOURCE_DEFINITION: Final = top_level(
    "A kind that the API server serves.",
    spec={
        **_object(
            "How the kind is served.",
            group=text("API group of the kind."),
            names=_names(),
            scope=text("Namespaced or Cluster."),
            versions={
                "type": "array",
                "description": "The versions of the kind.",
                "items": _version(),
                "x-kubernetes-list-type": "atomic",
            },
            conversion=_open_object("How versions become one another."),
            preserveUnknownFields=flag("Must be false."),
        ),
        "required": ["group", "names", "scope", "versions"],
    },
    status=_object(
        "Observed state of the definition.",
        conditions=conditions("Established, NamesAccepted and others."),
        acceptedNames=_names(),
        storedVersions={
            "type": "array",
            "description": "Versions in which objects may be stored.",
            "items": {"type": "string"},
            "x-kubernetes-list-type": "atomic",
        },
    ),
)

BUILTINS: Final[dict[tuple[str, str], Schema]] = {
    ("v1", "Namespace"): NAMESPACE,
    ("v1", "Secret"): SECRET,
    ("v1", "ConfigMap"): CONFIG_MAP,
    ("v1", "ServiceAccount"): SERVICE_ACCOUNT,
    ("v1", "Event"): CORE_EVENT,
    ("events.k8s.io/v1", "Event"): EVENT,
    ("coordination.k8s.io/v1", "Lease"): LEASE,
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
    ): CUSTOM_RESOURCE_DEFINITION,
}


def builtin_schema(api_version: str, kind: str) -> dict[str, Any] | None:
    """Return the schema of a built-in kind, or None if it is not one."""
    return BUILTINS.get((api_version, kind))
