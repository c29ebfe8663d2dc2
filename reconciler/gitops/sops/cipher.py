"""Values as ``ENC[AES256_GCM,data:...,iv:...,tag:...,type:...]``. Pure.

AES-256 in Galois/Counter Mode (NIST SP 800-38D). The path of a value is its
additional data, so that no value can be moved to another field.
"""

from __future__ import annotations

import base64
import binascii
import os
import re

from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.scalars import TYPES, Plain, canonical

KEY_BYTES = 32
IV_BYTES = 32
TAG_BYTES = 16
PREFIX = "ENC[AES256_GCM,"

_VALUE = re.compile(
    r"ENC\[AES256_GCM,data:(?P<data>[A-Za-z0-9+/=]+),"
    r"iv:(?P<iv>[A-Za-z0-9+/=]+),tag:(?P<tag>[A-Za-z0-9+/=]+),"
    r"type:(?P<type>[a-z]+)\]"
)
_SHORTEST_IV, _LONGEST_IV = 8, 128


def is_encrypted(text: str) -> bool:
    """Whether a text looks like an encrypted value."""
    return text.startswith(PREFIX)


def encrypt(value: Plain, key: bytes, additional: str) -> str:
    """Encrypt one value; an empty text stays empty, as SOPS does it.

    Args:
        value: what to encrypt.
        key: the data key, of `KEY_BYTES`.
        additional: what it is bound to: the path of the field.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if value.text == "":
        return ""
    iv = os.urandom(IV_BYTES)
    sealed = AESGCM(key).encrypt(iv, value.text.encode(), additional.encode())
    parts = (sealed[:-TAG_BYTES], iv, sealed[-TAG_BYTES:])
    data, nonce, tag = (base64.b64encode(part).decode() for part in parts)
    return f"{PREFIX}data:{data},iv:{nonce},tag:{tag},type:{value.type}]"


def decrypt(text: str, key: bytes, additional: str) -> Plain:
    """Decrypt one value.

    Raises:
        SopsError: it is no encrypted value, was changed, was moved from
            another field, or the key is another one.
    """
    # A process that decrypts nothing need not hold the library.
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if text == "":
        return Plain("str", "")
    found = _VALUE.fullmatch(text)
    if found is None:
        raise SopsError("is not encrypted, and has to be")
    data, iv, tag = (_decoded(found[name]) for name in ("data", "iv", "tag"))
    if not _SHORTEST_IV <= len(iv) <= _LONGEST_IV or len(tag) != TAG_BYTES:
        raise SopsError("is no encrypted value: iv or tag has a wrong length")
    try:
        opened = AESGCM(key).decrypt(iv, data + tag, additional.encode())
    except InvalidTag as error:
        reason = (
            "cannot be decrypted: it was changed, or moved from another field"
        )
        raise SopsError(reason) from error
    return _typed(found["type"], opened)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise SopsError("is no encrypted value: it is not base64") from error


def _typed(kind: str, data: bytes) -> Plain:
    if kind not in TYPES:
        raise SopsError("is of a type that is not supported")
    try:
        return canonical(kind, data.decode())
    except ValueError:  # UnicodeDecodeError is one, and has the bytes
        reason = f"decrypts to something that is no {kind}"
        raise SopsError(reason) from None
