"""Whom a request asks to be: the Impersonate headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

from reconciler.controlplane.access.authorizer import Authorizer
from reconciler.controlplane.access.identity import (
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    account_groups,
    account_of,
)
from reconciler.controlplane.access.rules import Request
from reconciler.controlplane.errors import bad_request

Headers = Mapping[str, str]

GROUP = "Impersonate-Group"
_USER, _UID = "Impersonate-User", "Impersonate-Uid"
_EXTRA = "impersonate-extra-"
_AUTHENTICATION = "authentication.k8s.io"
_VERB = "impersonate"


def impersonated(
    authorizer: Authorizer, user: User, headers: Headers, groups: Sequence[str]
) -> User:
    """The user that the request's headers ask to be.

    Args:
        authorizer: Tells whether the user may be others.
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
    for request in _requests(name, groups, uid, extra):
        authorizer.require(user, request)
    return User(name, _groups(name, groups), uid, extra)


def _requests(
    name: str,
    groups: Sequence[str],
    uid: str,
    extra: Mapping[str, tuple[str, ...]],
) -> Iterator[Request]:
    """What the user must be allowed: each part of the other identity."""
    account = account_of(name)
    if account is not None:
        yield Request(
            _VERB,
            resource="serviceaccounts",
            namespace=account[0],
            name=account[1],
        )
    else:
        yield Request(_VERB, resource="users", name=name)
    for group in groups:
        yield Request(_VERB, resource="groups", name=group)
    for key, values in extra.items():
        for value in values:
            yield Request(
                _VERB, _AUTHENTICATION, "userextras", key, name=value
            )
    if uid:
        yield Request(_VERB, _AUTHENTICATION, "uids", name=uid)


def _groups(name: str, asked: Sequence[str]) -> tuple[str, ...]:
    """The groups asked for, or those of the name, and who everybody is."""
    given = tuple(asked) or account_groups(name)
    if name == ANONYMOUS:
        everybody = UNAUTHENTICATED
        stated = everybody in given
    else:
        everybody = AUTHENTICATED
        stated = AUTHENTICATED in given or UNAUTHENTICATED in given
    return given if stated else (*given, everybody)


def _extra(headers: Headers) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(_EXTRA):
            # Escaped letters keep their case: %41 is A, and A is a.
            key = unquote(lower.removeprefix(_EXTRA))
            found[key] = (*found.get(key, ()), value)
    return found
