"""From a request's headers and certificate to a user."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from reconciler.controlplane.access.identity import (
    ADMIN,
    AUTHENTICATED,
    NOBODY,
    User,
    account_user,
)
from reconciler.controlplane.access.tokens import (
    ISSUER,
    KUBERNETES,
    TokenError,
    Tokens,
)
from reconciler.controlplane.errors import unauthorized
from reconciler.controlplane.storage.record import Key
from reconciler.controlplane.storage.store import Store

Json = dict[str, Any]

ACCOUNTS = "/serviceaccounts"
BOUND_KINDS = {"Secret": "/secrets"}
"""What a token can be bound to, and where that is stored."""

_BEARER = "bearer "
_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


class Authenticator:
    """Knows the admin's token, our certificates and ServiceAccounts.

    Args:
        token: What the admin of this control plane presents.
        tokens: Checks the tokens of ServiceAccounts.
        store: Tells whether the account of a token is still there.
    """

    def __init__(self, token: str, tokens: Tokens, store: Store) -> None:
        self._expected = token.encode()
        self._tokens = tokens
        self._store = store

    def user(self, authorization: str, certificate: Json | None) -> User:
        """Who makes a request.

        Args:
            authorization: The header; '' if there is none.
            certificate: What TLS says of the client's certificate, which it
                has verified; None if the client showed none.

        Raises:
            ApiError: 401, a token that is not valid.
        """
        if authorization:
            scheme = authorization[: len(_BEARER)].lower()
            if scheme != _BEARER:
                raise unauthorized()
            return self.bearer(authorization[len(_BEARER) :].strip())
        if certificate:
            return _of_certificate(certificate)
        return NOBODY

    def bearer(
        self, token: str, audiences: tuple[str, ...] = (ISSUER,)
    ) -> User:
        """Whose token this is.

        Raises:
            ApiError: 401, nobody's.
        """
        encoded = token.encode(errors="surrogateescape")
        if hmac.compare_digest(encoded, self._expected):
            return ADMIN
        try:
            claims = self._tokens.claims(token)
            return self._account(claims, audiences)
        except (TokenError, KeyError, TypeError, AttributeError):
            # Nothing in a token is trusted to have a shape.
            raise unauthorized() from None

    def _account(self, claims: Json, audiences: tuple[str, ...]) -> User:
        if not set(audiences) & set(claims["aud"]):
            raise TokenError("for another audience")
        private = claims[KUBERNETES]
        namespace, account = private["namespace"], private["serviceaccount"]
        self._must_exist(Key(ACCOUNTS, namespace, account["name"]), account)
        for kind, resource in BOUND_KINDS.items():
            bound = private.get(kind.lower())
            if bound:
                self._must_exist(
                    Key(resource, namespace, bound["name"]), bound
                )
        extra = {_CREDENTIAL_ID: (f"JTI={claims['jti']}",)}
        return account_user(namespace, account["name"], account["uid"], extra)

    def _must_exist(self, key: Key, named: Mapping[str, str]) -> None:
        stored = self._store.current(key)
        if stored is None:
            raise TokenError("it was deleted")
        metadata = stored.object()["metadata"]
        if metadata["uid"] != named["uid"]:
            raise TokenError("it was made anew")


def _of_certificate(certificate: Json) -> User:
    """The user that a verified certificate names: CN, and O as groups."""
    fields: dict[str, list[str]] = {}
    for relative in certificate.get("subject") or ():
        for name, value in relative:
            fields.setdefault(name, []).append(value)
    names = fields.get("commonName")
    if not names:
        raise unauthorized()
    groups = (*fields.get("organizationName", ()), AUTHENTICATED)
    return User(names[-1], groups)
