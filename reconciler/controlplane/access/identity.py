"""Who makes a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.controlplane.objects.names import name_faults

Json = dict[str, Any]

MASTERS = "system:masters"
"""Members of this group may everything, whatever the rules say."""

AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
ACCOUNTS = "system:serviceaccounts"
ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class User:
    """An authenticated user, or a ServiceAccount."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def info(self) -> Json:
        """The user as ``authentication.k8s.io/v1 UserInfo``."""
        info: Json = {"username": self.name}
        info |= {"uid": self.uid} if self.uid else {}
        info |= {"groups": list(self.groups)} if self.groups else {}
        if self.extra:
            info["extra"] = {k: list(v) for k, v in self.extra.items()}
        return info


ADMIN = User("kubernetes-admin", (MASTERS, AUTHENTICATED))
"""Whoever holds the token of the state directory."""

NOBODY = User(ANONYMOUS, (UNAUTHENTICATED,))


def account_user(
    namespace: str,
    name: str,
    uid: str = "",
    extra: Mapping[str, tuple[str, ...]] | None = None,
) -> User:
    """A ServiceAccount as a user, with the groups that it is in."""
    return User(
        f"{ACCOUNT_PREFIX}{namespace}:{name}",
        (ACCOUNTS, f"{ACCOUNTS}:{namespace}", AUTHENTICATED),
        uid,
        extra or {},
    )


def account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name of the account that a user's name is; None if none.

    More colons, or parts that no object could have as its name, make it the
    name of an ordinary user.
    """
    if not name.startswith(ACCOUNT_PREFIX):
        return None
    namespace, _, account = name.removeprefix(ACCOUNT_PREFIX).partition(":")
    if name_faults(namespace, label=True) or name_faults(account):
        return None
    return namespace, account


def account_groups(name: str) -> tuple[str, ...]:
    """The groups that a user's name alone tells: those of accounts."""
    account = account_of(name)
    return (ACCOUNTS, f"{ACCOUNTS}:{account[0]}") if account else ()
