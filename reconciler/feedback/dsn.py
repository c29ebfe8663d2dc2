"""Where a FeedbackStore's rows are."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from reconciler.engine.controller import Client
from reconciler.feedback.embedded import EmbeddedServer
from reconciler.feedback.errors import InvalidDsnError, NoServerError
from reconciler.feedback.resource import FeedbackStore

DEFAULT_KEY = "dsn"
_LONGEST_NAME = 63


def database_of(store: FeedbackStore) -> str:
    """Name of a store's own database in the embedded server."""
    name = f"{store.metadata.namespace}.{store.metadata.name}"
    if len(name) <= _LONGEST_NAME:
        return name
    return hashlib.sha256(name.encode()).hexdigest()[:_LONGEST_NAME]


async def resolve_dsn(
    client: Client, store: FeedbackStore, server: EmbeddedServer | None
) -> str:
    """Connection string of a store. Keep it out of status, events and logs.

    Nothing is started: the FeedbackStore's own controller does that.

    Args:
        client: reads the Secret of an external store.
        store: the store.
        server: the embedded server, where there is one.

    Raises:
        InvalidDsnError: the Secret or its key is missing or empty.
        NoServerError: an embedded store where no server is run.
    """
    if store.spec.engine == "Embedded":
        if server is None:
            msg = "engine Embedded needs `reconciler up`; use External here"
            raise NoServerError(msg)
        return server.dsn(database_of(store))
    if store.spec.connection is None:
        msg = "spec.connection is missing"
        raise InvalidDsnError(msg)
    reference = store.spec.connection.secret_ref
    key = reference.key or DEFAULT_KEY
    secret = await client.get(
        "v1", "Secret", store.metadata.namespace, reference.name
    )
    if secret is None:
        msg = f"the Secret {reference.name} does not exist"
        raise InvalidDsnError(msg)
    return _value(secret, reference.name, key)


def _value(secret: dict[str, Any], name: str, key: str) -> str:
    encoded = (secret.get("data") or {}).get(key)
    if not encoded:
        msg = f"the Secret {name} has no key {key}"
        raise InvalidDsnError(msg)
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if not text.strip():
        msg = f"the key {key} of the Secret {name} is no text"
        raise InvalidDsnError(msg)
    return text.strip()
