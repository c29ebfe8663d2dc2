"""Whether a user may do what a request asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.controlplane.access.identity import User
from reconciler.controlplane.access.policy import Policy, compile_policy
from reconciler.controlplane.access.rules import Request
from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.storage.record import Event
from reconciler.controlplane.storage.store import Store

Json = dict[str, Any]

RBAC = "rbac.authorization.k8s.io"
_KINDS = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")


class Authorizer:
    """RBAC over the stored roles and bindings.

    They are compiled when first needed after one of them has changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._policy: Policy | None = None
        store.hub.listen(self._on_commit)

    def _on_commit(self, events: Sequence[Event]) -> None:
        if any(e.stored.key.resource.startswith(f"{RBAC}/") for e in events):
            self._policy = None

    @property
    def policy(self) -> Policy:
        """What everybody may do now."""
        if self._policy is None:
            self._policy = compile_policy(*(self._all(k) for k in _KINDS))
        return self._policy

    def _all(self, plural: str) -> list[Json]:
        page = self._store.read.page(f"{RBAC}/{plural}", None)
        return [stored.object() for stored in page.items]

    def require(self, user: User, request: Request) -> None:
        """Refuse what the user may not do.

        Raises:
            ApiError: 403.
        """
        if not self.policy.decide(user, request).allowed:
            raise denied(user, request)


def denied(user: User, request: Request) -> ApiError:
    """403, in the words that kubectl users know."""
    if request.path:
        text = (
            f'forbidden: User "{user.name}" cannot {request.verb} path '
            f'"{request.path}"'
        )
        return ApiError(403, "Forbidden", text, {})
    qualified = request.resource
    if request.group:
        qualified = f"{request.resource}.{request.group}"
    subject = f'{qualified} "{request.name}"' if request.name else qualified
    where = (
        f'in the namespace "{request.namespace}"'
        if request.namespace
        else "at the cluster scope"
    )
    text = (
        f'{subject} is forbidden: User "{user.name}" cannot {request.verb} '
        f'resource "{request.combined}" in API group "{request.group}" {where}'
    )
    details: Json = {"name": request.name} if request.name else {}
    details |= {"group": request.group} if request.group else {}
    return ApiError(
        403, "Forbidden", text, details | {"kind": request.resource}
    )
