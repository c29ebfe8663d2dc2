"""Tokens of ServiceAccounts: JSON Web Tokens signed with ES256 (RFC 7519).

The key is made on first use and kept below the state directory. Claims are
those of a kube-apiserver's bound tokens.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.controlplane.files import write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
    )

Json = dict[str, Any]

ISSUER = "https://kubernetes.default.svc.cluster.local"
KUBERNETES = "kubernetes.io"
_NUMBER_BYTES = 32
_PARTS = 3
_LEEWAY_SECONDS = 10


class TokenError(Exception):
    """The token is none of ours, or not valid any more."""


@dataclass(frozen=True)
class Subject:
    """Whom and what for a token is."""

    namespace: str
    name: str
    uid: str
    audiences: tuple[str, ...] = (ISSUER,)
    bound: Json | None = None
    """kind, name and uid of an object that the token dies with."""


class Tokens:
    """Signs and checks tokens.

    Args:
        path: The private key in PEM; made when it is first needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _key(self) -> EllipticCurvePrivateKey:
        # Loaded only here: it would cost every start a tenth of a second.
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        if not self._path.exists():
            from reconciler.controlplane import certificates

            made = ec.generate_private_key(ec.SECP256R1())
            write_private(self._path, certificates.private_pem(made))
        key = serialization.load_pem_private_key(
            self._path.read_bytes(), password=None
        )
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            msg = f"{self._path} is no EC key"
            raise TypeError(msg)
        return key

    @cached_property
    def key_id(self) -> str:
        """The name of the key in headers and in the key set."""
        import hashlib

        numbers = self._key.public_key().public_numbers()
        text = f"{numbers.x}:{numbers.y}".encode()
        return _encode(hashlib.sha256(text).digest())

    def key_set(self) -> Json:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        return {
            "keys": [
                {
                    "use": "sig",
                    "kty": "EC",
                    "kid": self.key_id,
                    "crv": "P-256",
                    "alg": "ES256",
                    "x": _encode(numbers.x.to_bytes(_NUMBER_BYTES)),
                    "y": _encode(numbers.y.to_bytes(_NUMBER_BYTES)),
                }
            ]
        }

    def issue(self, subject: Subject, seconds: int) -> tuple[str, int]:
        """A token and the Unix time of its end."""
        now = int(time.time())
        private: Json = {
            "namespace": subject.namespace,
            "serviceaccount": {"name": subject.name, "uid": subject.uid},
        }
        if subject.bound:
            kind = subject.bound["kind"].lower()
            named = {k: subject.bound[k] for k in ("name", "uid")}
            private[kind] = named
        claims = {
            "aud": list(subject.audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            KUBERNETES: private,
            "nbf": now,
            "sub": f"system:serviceaccount:{subject.namespace}:{subject.name}",
        }
        header = {"alg": "ES256", "kid": self.key_id}
        signed = f"{_part(header)}.{_part(claims)}"
        return f"{signed}.{self._sign(signed)}", now + seconds

    def _sign(self, text: str) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        signature = self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(signature)
        return _encode(r.to_bytes(_NUMBER_BYTES) + s.to_bytes(_NUMBER_BYTES))

    def claims(self, token: str) -> Json:
        """The claims of a token that we signed and that is valid now.

        Raises:
            TokenError: it is not.
        """
        parts = token.split(".")
        if len(parts) != _PARTS:
            raise TokenError("no token of a ServiceAccount")
        header, claims = _json(parts[0]), _json(parts[1])
        # The algorithm is ours to choose, never the token's.
        if header.get("alg") != "ES256":
            raise TokenError("signed with another algorithm")
        if not self._path.exists():
            raise TokenError("no token was ever issued")
        self._verify(f"{parts[0]}.{parts[1]}", _decode(parts[2]))
        now = time.time()
        if claims.get("iss") != ISSUER:
            raise TokenError("issued by somebody else")
        if claims["exp"] <= now:
            raise TokenError("the token has expired")
        if claims["nbf"] > now + _LEEWAY_SECONDS:
            raise TokenError("the token is not valid yet")
        return claims

    def _verify(self, text: str, signature: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        if len(signature) != 2 * _NUMBER_BYTES:
            raise TokenError("a signature of another length")
        encoded = utils.encode_dss_signature(
            int.from_bytes(signature[:_NUMBER_BYTES]),
            int.from_bytes(signature[_NUMBER_BYTES:]),
        )
        try:
            self._key.public_key().verify(
                encoded, text.encode(), ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature:
            raise TokenError("another signature") from None


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise TokenError("not base64") from error


def _part(value: Json) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _json(text: str) -> Json:
    try:
        value = json.loads(_decode(text))
    except (ValueError, RecursionError) as error:
        raise TokenError("not JSON") from error
    if not isinstance(value, dict):
        raise TokenError("no JSON object")
    return value
