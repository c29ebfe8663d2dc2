"""Whether a user may do what a request asks; impersonation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from reconciler.controlplane.access.identity import (
    ACCOUNT_PREFIX,
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    account_groups,
)
from reconciler.controlplane.access.policy import Policy, compile_policy
from reconciler.controlplane.access.rules import Request
from reconciler.controlplane.errors import ApiError, bad_request
from reconciler.controlplane.storage.record import Event
from reconciler.controlplane.storage.store import Store

Json = dict[str, Any]
Headers = Mapping[str, str]

RBAC = "rbac.authorization.k8s.io"
_KINDS = ("roles", "clusterroles", "rolebindings", "clusterrolebindings")
_USER, _GROUP = "Impersonate-User", "Impersonate-Group"
_UID, _EXTRA = "Impersonate-Uid", "Impersonate-Extra-"


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

    def impersonated(
        self, user: User, headers: Headers, groups: Sequence[str]
    ) -> User:
        """The user that the request's headers ask to be.

        Args:
            user: Who is authenticated.
            headers: Of the request; names in any case.
            groups: All values of Impersonate-Group.

        Raises:
            ApiError: 400, the headers make no sense; 403, not allowed.
        """
        name, uid = headers.get(_USER, ""), headers.get(_UID, "")
        extra = _extra(headers)
        if not name:
            if groups or uid or extra:
                raise bad_request(
                    "requested impersonation without impersonating a user"
                )
            return user
        self.require(user, _of_user(name))
        for group in groups:
            self.require(
                user, Request("impersonate", resource="groups", name=group)
            )
        if uid:
            self.require(
                user,
                Request(
                    "impersonate", "authentication.k8s.io", "uids", name=uid
                ),
            )
        for key, values in extra.items():
            for value in values:
                asked = Request(
                    "impersonate",
                    "authentication.k8s.io",
                    "userextras",
                    key,
                    name=value,
                )
                self.require(user, asked)
        given = tuple(groups) or account_groups(name)
        everybody = UNAUTHENTICATED if name == ANONYMOUS else AUTHENTICATED
        if everybody not in given:
            given = (*given, everybody)
        return User(name, given, uid, extra)


def _extra(headers: Headers) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers.items():
        if name.lower().startswith(_EXTRA.lower()):
            key = unquote(name[len(_EXTRA) :]).lower()
            found[key] = (*found.get(key, ()), value)
    return found


def _of_user(name: str) -> Request:
    namespace, _, account = name.removeprefix(ACCOUNT_PREFIX).partition(":")
    if name.startswith(ACCOUNT_PREFIX) and account:
        return Request(
            "impersonate",
            resource="serviceaccounts",
            namespace=namespace,
            name=account,
        )
    return Request("impersonate", resource="users", name=name)


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
