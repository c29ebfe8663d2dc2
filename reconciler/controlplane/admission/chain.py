"""All webhooks that concern a request, in their order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.controlplane.admission.attributes import Attributes, Resource
from reconciler.controlplane.admission.caller import Caller, CallError
from reconciler.controlplane.admission.hook import Hook, hooks_of, labels_of
from reconciler.controlplane.admission.review import (
    Verdict,
    denied,
    question,
)
from reconciler.controlplane.errors import (
    ApiError,
    bad_request,
    internal,
)
from reconciler.controlplane.kinds.builtin import NAMESPACES
from reconciler.controlplane.kinds.webhooks import (
    GROUP,
    MUTATING,
    VALIDATING,
)
from reconciler.controlplane.patch import PatchError, json_patch
from reconciler.controlplane.storage.record import Event, Key
from reconciler.controlplane.storage.store import Store

Json = dict[str, Any]
Warn = Callable[[str], None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """A webhook that is to be asked, and in which version."""

    hook: Hook
    resource: Resource


class Admission:
    """Asks webhooks; compiled again after a configuration has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._caller = Caller()
        self._hooks: dict[str, list[Hook]] = {}
        store.hub.listen(self._on_commit)

    async def close(self) -> None:
        """Close the connections to webhooks."""
        await self._caller.close()

    def _on_commit(self, events: Sequence[Event]) -> None:
        if any(e.stored.key.resource.startswith(f"{GROUP}/") for e in events):
            self._hooks = {}

    def _of(self, plural: str) -> list[Hook]:
        if plural not in self._hooks:
            page = self._store.read.page(f"{GROUP}/{plural}", None)
            found = sorted(
                (stored.object() for stored in page.items),
                key=lambda obj: str(obj["metadata"]["name"]),
            )
            self._hooks[plural] = [h for obj in found for h in hooks_of(obj)]
        return self._hooks[plural]

    @property
    def idle(self) -> bool:
        """Whether there is no webhook at all."""
        return not (self._of(MUTATING) or self._of(VALIDATING))

    def concerns(self, attributes: Attributes) -> bool:
        """Whether any webhook may have a say; without one nothing waits."""
        if attributes.resource.group == GROUP:
            return False  # or a broken one could not be removed
        return any(
            hook.resource_for(attributes) is not None
            for plural in (MUTATING, VALIDATING)
            for hook in self._of(plural)
        )

    async def mutate(
        self,
        attributes: Attributes,
        decode: Callable[[Json], Json],
        warn: Warn,
    ) -> Json | None:
        """Have the mutating webhooks change the object, one after another.

        Args:
            attributes: The request.
            decode: Checks and completes what a webhook made of the object.
            warn: Told what webhooks want the client to see.

        Returns:
            The object; None for DELETE, which has none.

        Raises:
            ApiError: a webhook refuses, or could not be asked.
        """
        changed: dict[str, Json | None] = {}
        for again in (False, True):
            for hook in self._of(MUTATING):
                if again and not _again(hook, changed, attributes.new):
                    continue
                asked = self._matching(hook, attributes)
                if asked is None:
                    continue
                verdict = await self._ask(
                    asked, attributes, warn, mutating=True
                )
                new = _patched(asked, attributes, verdict, decode)
                if new is not None:
                    attributes = attributes.with_new(new)
                changed[_identity(hook)] = attributes.new
        return attributes.new

    async def validate(self, attributes: Attributes, warn: Warn) -> None:
        """Have the validating webhooks judge, all at once.

        Raises:
            ApiError: one refuses, or could not be asked.
        """
        asked = [
            found
            for hook in self._of(VALIDATING)
            if (found := self._matching(hook, attributes)) is not None
        ]
        outcomes = await asyncio.gather(
            *(self._ask(a, attributes, warn, mutating=False) for a in asked),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _matching(self, hook: Hook, attributes: Attributes) -> _Asked | None:
        resource = hook.resource_for(attributes)
        if resource is None:
            return None
        if not hook.selects(attributes, self._namespace(attributes)):
            return None
        return _Asked(hook, resource)

    def _namespace(self, attributes: Attributes) -> Json | None:
        """Labels of the request's namespace; None if it is in none."""
        resource = attributes.resource
        if (resource.group, resource.plural) == ("", "namespaces"):
            obj = attributes.new or attributes.old
            return labels_of(obj) if obj else None
        if not attributes.namespaced:
            return None
        stored = self._store.current(Key(NAMESPACES, "", attributes.namespace))
        return labels_of(stored.object()) if stored else {}

    async def _ask(
        self,
        asked: _Asked,
        attributes: Attributes,
        warn: Warn,
        *,
        mutating: bool,
    ) -> Verdict | None:
        """The verdict; None if the webhook has nothing to say.

        Raises:
            ApiError: it refuses, or could not be asked.
        """
        hook = asked.hook
        review = question(hook, attributes, asked.resource)
        try:
            if not _conditions_hold(hook, review["request"]):
                return None
            if attributes.dry_run and not hook.harmless:
                msg = f'admission webhook "{hook.name}" does not support '
                raise bad_request(msg + "dry run")
            verdict = await self._caller.ask(hook, review, mutating=mutating)
        except CallError as error:
            msg = f'failed calling webhook "{hook.name}": {error}'
            if hook.fail_open:
                logger.warning("%s; ignored, as failurePolicy says", msg)
                return None
            raise internal(msg) from error
        for text in verdict.warnings:
            warn(text)
        if not verdict.allowed:
            raise denied(hook, verdict.status)
        return verdict


def _again(
    hook: Hook, changed: dict[str, Json | None], new: Json | None
) -> bool:
    """Whether a webhook that was asked wants to see what others changed."""
    identity = _identity(hook)
    return hook.again and identity in changed and changed[identity] != new


def _identity(hook: Hook) -> str:
    return f"{hook.configuration}/{hook.name}"


def _conditions_hold(hook: Hook, request: Json) -> bool:
    if not hook.conditions:
        return True
    from reconciler.controlplane.admission.conditions import holds
    from reconciler.controlplane.schema.cel.values import CELError

    failures = []
    for text in hook.conditions:
        try:
            if not holds(text, request):
                return False
        except CELError as error:
            failures.append(str(error))
    if failures:
        msg = f"match conditions: {'; '.join(failures)}"
        raise CallError(msg)
    return True


def _patched(
    asked: _Asked,
    attributes: Attributes,
    verdict: Verdict | None,
    decode: Callable[[Json], Json],
) -> Json | None:
    """The object as a webhook changed it, in the version of the request."""
    if verdict is None or not verdict.patch or attributes.new is None:
        return None
    before = attributes.new
    head = {key: before.get(key) for key in ("apiVersion", "kind")}
    seen = before
    if attributes.shown is None:
        resource = asked.resource
        seen = before | {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
        }
    try:
        return decode({**json_patch(seen, verdict.patch), **head})
    except (PatchError, ApiError, TypeError) as error:
        # TypeError: the whole object was replaced by something that is none.
        msg = (
            f'failed calling webhook "{asked.hook.name}": its patch cannot '
            f"be applied: {error}"
        )
        if asked.hook.fail_open:
            logger.warning("%s; ignored, as failurePolicy says", msg)
            return None
        raise internal(msg) from error
