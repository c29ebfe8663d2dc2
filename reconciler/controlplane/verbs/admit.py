"""Admission of a request by webhooks, on its way to the store.

Webhooks are asked outside of any write. What they were asked about may have
changed meanwhile, in which case the request is carried out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.controlplane.admission.attributes import (
    Attributes,
    Operation,
    Resource,
)
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.objects import strategy
from reconciler.controlplane.storage.record import Stored
from reconciler.controlplane.verbs.call import Call

Json = dict[str, Any]

_OPTIONS = {
    "CREATE": "CreateOptions",
    "UPDATE": "UpdateOptions",
    "DELETE": "DeleteOptions",
}
"""By what a request comes to: a patch is an update, or a create."""

_PASSED_ON = ("fieldManager", "fieldValidation", "propagationPolicy")


class OvertakenError(Exception):
    """Somebody else wrote the object while webhooks were asked about it."""


@dataclass(frozen=True)
class Gate:
    """The webhooks that a request has to pass."""

    call: Call
    attributes: Attributes

    async def mutated(self, new: Json, old: Json | None) -> Json:
        """The object as the mutating webhooks want it.

        Raises:
            ApiError: One refuses, or could not be asked.
        """
        call = self.call
        if self.attributes.shown is None:
            new = call.kind.compiled.default(new)
            if call.route.namespace:
                new["metadata"].setdefault("namespace", call.route.namespace)
        name = self.attributes.name or new["metadata"].get("name", "")
        about = replace(self.attributes, new=new, old=old, name=name)
        found = await call.cluster.admission.mutate(
            about, self._decode, self._warn
        )
        return new if found is None else found

    async def validated(self, new: Json, old: Json | None) -> None:
        """Ask the validating webhooks.

        Raises:
            ApiError: One refuses, or could not be asked.
        """
        name = new["metadata"].get("name", "")
        about = replace(self.attributes, new=new, old=old, name=name)
        await self.call.cluster.admission.validate(about, self._warn)

    async def deleted(self, old: Json) -> None:
        """Ask all webhooks about a deletion.

        Raises:
            ApiError: One refuses, or could not be asked.
        """
        metadata = old["metadata"]
        about = replace(self.attributes, old=old, name=metadata["name"])
        admission = self.call.cluster.admission
        await admission.mutate(about, self._decode, self._warn)
        await admission.validate(about, self._warn)

    def unchanged(self, live: Stored) -> None:
        """Make sure that webhooks were asked about what is there now.

        Raises:
            OvertakenError: Somebody else was faster.
        """
        now = self.call.store.current(live.key)
        if now is None or now.number != live.number:
            raise OvertakenError

    def _decode(self, obj: Json) -> Json:
        if self.attributes.shown is not None:
            return obj
        kind, ignoring = self.call.kind, strategy.FieldPolicy("Ignore")
        decoded = strategy.decode(kind, obj, (), ignoring)
        return kind.compiled.default(decoded)

    def _warn(self, text: str) -> None:
        warnings = self.call.policy.warnings
        if text not in warnings:
            warnings.append(text)


def gate(
    call: Call,
    operation: Operation,
    shown: tuple[str, str, str] | None = None,
) -> Gate | None:
    """What a request has to pass; None if no webhook is concerned.

    Args:
        call: The request.
        operation: What it comes to: a patch can create.
        shown: Group, version and kind of what webhooks are shown, if that
            is not the object itself.
    """
    admission = call.cluster.admission
    if admission.idle:
        return None
    kind, route = call.kind, call.route
    attributes = Attributes(
        operation=operation,
        resource=_resource(kind),
        subresource=route.subresource,
        namespace=route.namespace or "",
        name=route.name,
        user=call.user,
        options=_options(call, operation),
        dry_run=call.dry_run,
        namespaced=kind.namespaced,
        versions=_others(call),
        shown=shown,
    )
    if not admission.concerns(attributes):
        return None
    return Gate(call, attributes)


def _resource(kind: ResourceKind) -> Resource:
    return Resource(kind.group, kind.version, kind.plural, kind.kind)


def _others(call: Call) -> tuple[Resource, ...]:
    kind, registry = call.kind, call.cluster.registry
    found = (
        registry.find(kind.group, version, kind.plural)
        for version in registry.groups().get(kind.group, ())
        if version != kind.version
    )
    return tuple(_resource(other) for other in found if other is not None)


def _options(call: Call, operation: Operation) -> Json:
    options: Json = {
        "kind": _OPTIONS[operation],
        "apiVersion": "meta.k8s.io/v1",
    }
    options |= _given(call.query)
    if call.dry_run:
        options["dryRun"] = ["All"]
    return options


def _given(query: Mapping[str, str]) -> Json:
    return {name: query[name] for name in _PASSED_ON if query.get(name)}
