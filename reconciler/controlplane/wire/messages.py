"""Field numbers of the messages that clients send for built-in kinds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        name: Its JSON name.
        type: text, int, bool, bytes (base64 in JSON), time, micro, or the
            name of a message.
        repeated: A list of them.
        mapped: A map from text to them.
    """

    name: str
    type: str = "text"
    repeated: bool = False
    mapped: bool = False


Message = dict[int, Field]


def _texts(*names: str) -> Message:
    return {n: Field(name) for n, name in enumerate(names, 1) if name}


_META = {1: Field("metadata", "ObjectMeta")}
_REFERENCE = _texts(
    "kind",
    "namespace",
    "name",
    "uid",
    "apiVersion",
    "resourceVersion",
    "fieldPath",
)

_BINDING = {
    **_META,
    2: Field("subjects", "Subject", repeated=True),
    3: Field("roleRef", "RoleRef"),
}

MESSAGES: dict[str, Message] = {
    "ObjectMeta": {
        **_texts(
            "name",
            "generateName",
            "namespace",
            "selfLink",
            "uid",
            "resourceVersion",
        ),
        7: Field("generation", "int"),
        8: Field("creationTimestamp", "time"),
        9: Field("deletionTimestamp", "time"),
        10: Field("deletionGracePeriodSeconds", "int"),
        11: Field("labels", mapped=True),
        12: Field("annotations", mapped=True),
        13: Field("ownerReferences", "OwnerReference", repeated=True),
        14: Field("finalizers", repeated=True),
    },
    "OwnerReference": {
        1: Field("kind"),
        3: Field("name"),
        4: Field("uid"),
        5: Field("apiVersion"),
        6: Field("controller", "bool"),
        7: Field("blockOwnerDeletion", "bool"),
    },
    "ObjectReference": _REFERENCE,
    "LocalObjectReference": _texts("name"),
    "Namespace": {
        **_META,
        2: Field("spec", "NamespaceSpec"),
        3: Field("status", "NamespaceStatus"),
    },
    "NamespaceSpec": {1: Field("finalizers", repeated=True)},
    "NamespaceStatus": _texts("phase"),
    "Secret": {
        **_META,
        2: Field("data", "bytes", mapped=True),
        3: Field("type"),
        4: Field("stringData", mapped=True),
        5: Field("immutable", "bool"),
    },
    "ConfigMap": {
        **_META,
        2: Field("data", mapped=True),
        3: Field("binaryData", "bytes", mapped=True),
        4: Field("immutable", "bool"),
    },
    "ServiceAccount": {
        **_META,
        2: Field("secrets", "ObjectReference", repeated=True),
        3: Field("imagePullSecrets", "LocalObjectReference", repeated=True),
        4: Field("automountServiceAccountToken", "bool"),
    },
    "Lease": {**_META, 2: Field("spec", "LeaseSpec")},
    "LeaseSpec": {
        1: Field("holderIdentity"),
        2: Field("leaseDurationSeconds", "int"),
        3: Field("acquireTime", "micro"),
        4: Field("renewTime", "micro"),
        5: Field("leaseTransitions", "int"),
        6: Field("strategy"),
        7: Field("preferredHolder"),
    },
    "Event": {
        **_META,
        2: Field("involvedObject", "ObjectReference"),
        3: Field("reason"),
        4: Field("message"),
        5: Field("source", "EventSource"),
        6: Field("firstTimestamp", "time"),
        7: Field("lastTimestamp", "time"),
        8: Field("count", "int"),
        9: Field("type"),
        10: Field("eventTime", "micro"),
        11: Field("series", "EventSeries"),
        12: Field("action"),
        13: Field("related", "ObjectReference"),
        14: Field("reportingComponent"),
        15: Field("reportingInstance"),
    },
    "EventSource": _texts("component", "host"),
    "EventSeries": {
        1: Field("count", "int"),
        2: Field("lastObservedTime", "micro"),
    },
    "SelfSubjectAccessReview": {**_META, 2: Field("spec", "AccessSpec")},
    "AccessSpec": {
        1: Field("resourceAttributes", "ResourceAttributes"),
        2: Field("nonResourceAttributes", "NonResourceAttributes"),
    },
    "ResourceAttributes": _texts(
        "namespace",
        "verb",
        "group",
        "version",
        "resource",
        "subresource",
        "name",
    ),
    "NonResourceAttributes": _texts("path", "verb"),
    "SelfSubjectRulesReview": {**_META, 2: Field("spec", "RulesSpec")},
    "RulesSpec": _texts("namespace"),
    "SelfSubjectReview": _META,
    "TokenRequest": {**_META, 2: Field("spec", "TokenRequestSpec")},
    "TokenRequestSpec": {
        1: Field("audiences", repeated=True),
        3: Field("boundObjectRef", "BoundObjectReference"),
        4: Field("expirationSeconds", "int"),
    },
    "BoundObjectReference": _texts("kind", "apiVersion", "name", "uid"),
    "Role": {**_META, 2: Field("rules", "PolicyRule", repeated=True)},
    "ClusterRole": {
        **_META,
        2: Field("rules", "PolicyRule", repeated=True),
        3: Field("aggregationRule", "AggregationRule"),
    },
    "PolicyRule": {
        1: Field("verbs", repeated=True),
        2: Field("apiGroups", repeated=True),
        3: Field("resources", repeated=True),
        4: Field("resourceNames", repeated=True),
        5: Field("nonResourceURLs", repeated=True),
    },
    "AggregationRule": {
        1: Field("clusterRoleSelectors", "LabelSelector", repeated=True)
    },
    "LabelSelector": {
        1: Field("matchLabels", mapped=True),
        2: Field("matchExpressions", "Requirement", repeated=True),
    },
    "Requirement": {
        1: Field("key"),
        2: Field("operator"),
        3: Field("values", repeated=True),
    },
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "Subject": _texts("kind", "apiGroup", "name", "namespace"),
    "RoleRef": _texts("apiGroup", "kind", "name"),
    "DeleteOptions": {
        1: Field("gracePeriodSeconds", "int"),
        2: Field("preconditions", "Preconditions"),
        3: Field("orphanDependents", "bool"),
        4: Field("propagationPolicy"),
        5: Field("dryRun", repeated=True),
    },
    "Preconditions": _texts("uid", "resourceVersion"),
}
"""By kind or message name. events.k8s.io Events are sent as JSON."""

TOP = {
    ("v1", kind)
    for kind in (
        "ConfigMap",
        "DeleteOptions",
        "Event",
        "Namespace",
        "Secret",
        "ServiceAccount",
    )
} | {
    ("authentication.k8s.io/v1", "SelfSubjectReview"),
    ("authentication.k8s.io/v1", "TokenRequest"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
    ("coordination.k8s.io/v1", "Lease"),
}
"""apiVersion and kind of what can be a request's body."""
