"""From a request's headers and certificate to a user."""

from __future__ import annotations

import hashlib
import hmac
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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
_LINGER_SECONDS = 60
"""How long tokens outlive the deletion of what a finalizer still holds."""


@dataclass(frozen=True)
class Certificate:
    """A client's certificate, whose signature TLS has verified."""

    fields: Json
    """As `ssl.SSLSocket.getpeercert` gives them."""

    encoded: bytes
    """The certificate in DER."""


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

    def user(
        self, authorization: str, certificate: Certificate | None
    ) -> User:
        """Who makes a request; a certificate counts before a token.

        Args:
            authorization: The header; '' if there is none.
            certificate: What the client showed, if anything.

        Raises:
            ApiError: 401, nothing that was shown is valid.
        """
        if certificate is not None:
            named = _of_certificate(certificate)
            if named is not None:
                return named
        if authorization:
            scheme = authorization[: len(_BEARER)].lower()
            if scheme != _BEARER:
                raise unauthorized()
            token = authorization[len(_BEARER) :].strip()
            return self.bearer(token)[0]
        if certificate is not None:
            raise unauthorized()
        return NOBODY

    def bearer(
        self, token: str, audiences: tuple[str, ...] = (ISSUER,)
    ) -> tuple[User, tuple[str, ...]]:
        """Whose token this is, and for which of the audiences.

        Raises:
            ApiError: 401, nobody's, or for none of them.
        """
        encoded = token.encode(errors="surrogateescape")
        if hmac.compare_digest(encoded, self._expected):
            # The admin's token is for this server and nobody else.
            if ISSUER not in audiences:
                raise unauthorized()
            return ADMIN, (ISSUER,)
        try:
            claims = self._tokens.claims(token)
            return self._account(claims), _meant(claims, audiences)
        except (TokenError, KeyError, TypeError, ValueError, AttributeError):
            # Nothing in a token is trusted to have a shape.
            raise unauthorized() from None

    def _account(self, claims: Json) -> User:
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
        deleted = metadata.get("deletionTimestamp")
        if deleted and time.time() > _seconds(deleted) + _LINGER_SECONDS:
            raise TokenError("it is being deleted")


def _meant(claims: Json, audiences: tuple[str, ...]) -> tuple[str, ...]:
    """For which of the audiences a token is."""
    meant = tuple(a for a in audiences if a in claims["aud"])
    if not meant:
        raise TokenError("for another audience")
    return meant


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _of_certificate(certificate: Certificate) -> User | None:
    """The user that a certificate names: CN, and O as groups.

    None if it has ended since the connection was made, or names nobody.
    """
    until = certificate.fields.get("notAfter", "")
    if ssl.cert_time_to_seconds(until) < time.time():
        return None
    names: dict[str, list[str]] = {}
    for relative in certificate.fields.get("subject") or ():
        for name, value in relative:
            names.setdefault(name, []).append(value)
    common = names.get("commonName")
    if not common:
        return None
    groups = (*names.get("organizationName", ()), AUTHENTICATED)
    digest = hashlib.sha256(certificate.encoded).hexdigest()
    extra = {_CREDENTIAL_ID: (f"X509SHA256={digest}",)}
    return User(common[-1], groups, extra=extra)
