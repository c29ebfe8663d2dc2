"""A webhook of a configuration, ready to be matched. Pure."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from reconciler.controlplane.admission.attributes import Attributes, Resource
from reconciler.controlplane.objects.labels import matches_label_selector

Json = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """Operations on resources."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: frozenset[str]
    scope: str

    @staticmethod
    def of(rule: Json) -> Rule:
        """A rule as it is stored."""

        def part(name: str) -> frozenset[str]:
            return frozenset(rule.get(name) or ())

        return Rule(
            part("operations"),
            part("apiGroups"),
            part("apiVersions"),
            part("resources"),
            rule.get("scope", "*"),
        )

    def matches(self, attributes: Attributes, resource: Resource) -> bool:
        """Whether it names the request, as made for this version."""
        wanted = "Namespaced" if attributes.namespaced else "Cluster"
        return (
            bool(self.operations & {"*", attributes.operation})
            and bool(self.groups & {"*", resource.group})
            and bool(self.versions & {"*", resource.version})
            and self.scope in ("*", wanted)
            and self._names(resource.plural, attributes.subresource)
        )

    def _names(self, plural: str, subresource: str) -> bool:
        if not subresource:
            return bool(self.resources & {"*", "*/*", plural})
        return bool(
            self.resources
            & {
                "*/*",
                f"*/{subresource}",
                f"{plural}/*",
                f"{plural}/{subresource}",
            }
        )


@dataclass(frozen=True)
class Hook:
    """One webhook."""

    name: str
    configuration: str
    url: str
    """Empty if it is behind a Service, which nothing here leads to."""

    bundle: str
    """PEM certificates to trust; empty trusts the system's."""

    rules: tuple[Rule, ...]
    fail_open: bool
    equivalent: bool
    harmless: bool
    """A dry run may ask it."""

    again: bool
    timeout: int
    versions: tuple[str, ...]
    conditions: tuple[str, ...] = ()
    namespaces: Json = field(default_factory=dict, compare=False)
    objects: Json = field(default_factory=dict, compare=False)

    def resource_for(self, attributes: Attributes) -> Resource | None:
        """In which version it wants to see the request; None if in none."""
        if any(r.matches(attributes, attributes.resource) for r in self.rules):
            return attributes.resource
        others = attributes.versions if self.equivalent else ()
        for other in others:
            if any(rule.matches(attributes, other) for rule in self.rules):
                return other
        return None

    def selects(self, attributes: Attributes, namespace: Json | None) -> bool:
        """Whether the labels of namespace and object are those wanted.

        Args:
            attributes: The request.
            namespace: Labels of its namespace; None if it has none.
        """
        if namespace is not None and not matches_label_selector(
            self.namespaces, namespace
        ):
            return False
        if not self.objects:
            return True
        return any(
            matches_label_selector(self.objects, labels_of(obj))
            for obj in (attributes.new, attributes.old)
            if obj is not None
        )


def labels_of(obj: Json) -> Json:
    """metadata.labels."""
    return (obj.get("metadata") or {}).get("labels") or {}


def hooks_of(configuration: Json) -> list[Hook]:
    """The webhooks of a stored configuration, in its order."""
    name = configuration["metadata"]["name"]
    return [_hook(name, h) for h in configuration.get("webhooks") or ()]


def _hook(configuration: str, hook: Json) -> Hook:
    client = hook["clientConfig"]
    return Hook(
        name=hook["name"],
        configuration=configuration,
        url=client.get("url", ""),
        bundle=_pem(client.get("caBundle") or ""),
        rules=tuple(Rule.of(rule) for rule in hook.get("rules") or ()),
        fail_open=hook.get("failurePolicy") == "Ignore",
        equivalent=hook.get("matchPolicy") != "Exact",
        harmless=hook["sideEffects"] in ("None", "NoneOnDryRun"),
        again=hook.get("reinvocationPolicy") == "IfNeeded",
        timeout=hook["timeoutSeconds"],
        versions=tuple(hook["admissionReviewVersions"]),
        conditions=tuple(
            c["expression"] for c in hook.get("matchConditions") or ()
        ),
        namespaces=hook.get("namespaceSelector") or {},
        objects=hook.get("objectSelector") or {},
    )


def _pem(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "unreadable"
