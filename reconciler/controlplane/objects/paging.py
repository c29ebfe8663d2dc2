"""Continue tokens of chunked lists."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

import orjson

from reconciler.controlplane.errors import bad_request

_VERSION = "meta.k8s.io/v1"


@dataclass(frozen=True)
class Token:
    """Where a list goes on, and at which revision."""

    revision: int
    namespace: str
    name: str

    def encode(self) -> str:
        """The opaque text that the client sends back."""
        raw = orjson.dumps(
            {
                "v": _VERSION,
                "rv": self.revision,
                "start": f"{self.namespace}/{self.name}",
            }
        )
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str) -> Token:
    """Read a continue token.

    Raises:
        ApiError: 400, it is none of ours.
    """
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        fields = orjson.loads(raw)
        revision, start = fields["rv"], fields["start"]
        namespace, slash, name = start.partition("/")
        sound = isinstance(revision, int) and revision > 0 and slash
    except (
        binascii.Error,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise bad_request("continue key is not valid") from error
    if not sound:
        raise bad_request("continue key is not valid")
    return Token(revision, namespace, name)
