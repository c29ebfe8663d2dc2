"""SOPS files with age keys: decrypted in memory, verified as a whole.

The format is that of getsops/sops: every value is sealed with AES-256-GCM
and the path to it, the data key with age for each recipient, and a digest
over all values proves that none was added, moved or taken away. age itself
is pyrage, the Python binding of rage.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

KEY = "sops"
_SEALED = re.compile(
    r"^ENC\[AES256_GCM,data:([^,]*),iv:([^,]+),tag:([^,]+),type:(\w+)\]$"
)
_RULES = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
)
_DATA_KEY_BYTES = 32
DEFAULT_SUFFIX = "_unencrypted"


class SopsError(Exception):
    """A document cannot be decrypted, or was tampered with."""


def is_encrypted(value: Any) -> bool:
    """Whether a document was written by SOPS."""
    return (
        isinstance(value, dict)
        and isinstance(value.get(KEY), dict)
        and "mac" in value[KEY]
    )


def decrypt(
    documents: Sequence[dict[str, Any]], identities: Sequence[str]
) -> list[dict[str, Any]]:
    """The documents of one file in the clear, without their metadata.

    Args:
        documents: all documents of the file, keys in the file's order.
        identities: age secret keys (``AGE-SECRET-KEY-1...``).

    Raises:
        SopsError: no key fits, or a value or the whole was changed.
    """
    metadata = documents[0].get(KEY)
    if not isinstance(metadata, dict):
        msg = "the first document of the file has no sops metadata"
        raise SopsError(msg)
    opener = _Opener(_data_key(metadata, identities), metadata)
    found = [
        opener.open({k: v for k, v in document.items() if k != KEY}, ())
        for document in documents
    ]
    opener.verify()
    return found


def _data_key(metadata: dict[str, Any], identities: Sequence[str]) -> bytes:
    import pyrage

    entries = _entries(metadata)
    keys = []
    for text in identities:
        try:
            keys.append(pyrage.x25519.Identity.from_str(text))
        except (pyrage.IdentityError, ValueError) as error:
            msg = "the decryption Secret has a line that is no age key"
            raise SopsError(msg) from error
    for entry in entries:
        try:
            key: bytes = pyrage.decrypt(_armoured(str(entry["enc"])), keys)
        except pyrage.DecryptError:
            continue
        if len(key) == _DATA_KEY_BYTES:
            return key
    names = ", ".join(str(e.get("recipient")) for e in entries) or "nobody"
    msg = f"no age key fits; the file is encrypted for {names}"
    raise SopsError(msg)


def _entries(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The sealed copies of the data key, one for each age recipient."""
    groups = metadata.get("key_groups") or []
    if len(groups) > 1:
        msg = "files with several key groups (Shamir) are not supported"
        raise SopsError(msg)
    source = groups[0] if groups else metadata
    found = source.get("age") if isinstance(source, dict) else None
    return [e for e in found or [] if isinstance(e, dict) and "enc" in e]


def _armoured(text: str) -> bytes:
    """The age file inside its PEM armour."""
    lines = [line for line in text.split() if not line.startswith("-")]
    body = [w for w in lines if w not in _ARMOUR_WORDS]
    try:
        return base64.b64decode("".join(body), validate=True)
    except binascii.Error as error:
        msg = "an age entry is not armoured as it should be"
        raise SopsError(msg) from error


_ARMOUR_WORDS = frozenset({"AGE", "ENCRYPTED", "FILE-----"})


@dataclass
class _Opener:
    """Opens values in the order of the file and digests them."""

    key: bytes = field(repr=False)
    metadata: dict[str, Any]
    digest: Any = field(default_factory=hashlib.sha512)

    def __post_init__(self) -> None:
        self._only = _truth(self.metadata.get("mac_only_encrypted"))
        if self._only:
            self.digest.update(hashlib.sha256(KEY.encode()).digest())
        rules = {n: self.metadata.get(n) or "" for n in _RULES}
        if not any(rules.values()):
            rules["unencrypted_suffix"] = DEFAULT_SUFFIX
        self._rules = {n: str(v) for n, v in rules.items()}

    def open(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return {k: self.open(v, (*path, k)) for k, v in value.items()}
        if isinstance(value, list):
            return [self.open(v, path) for v in value]
        if value is None:
            return None
        sealed = self._sealed(path)
        clear = self._unseal(value, path) if sealed else value
        if sealed or not self._only:
            self.digest.update(_bytes(clear))
        return clear

    def _sealed(self, path: tuple[str, ...]) -> bool:
        """Whether the rules of the file say that the value is encrypted."""
        rules = self._rules
        if suffix := rules["encrypted_suffix"]:
            return any(p.endswith(suffix) for p in path)
        if pattern := rules["encrypted_regex"]:
            return any(self._matches(pattern, p) for p in path)
        if pattern := rules["unencrypted_regex"]:
            return not any(self._matches(pattern, p) for p in path)
        suffix = rules["unencrypted_suffix"]
        return not any(p.endswith(suffix) for p in path)

    def _matches(self, pattern: str, part: str) -> bool:
        try:
            return bool(re.search(pattern, part))
        except re.error as error:
            msg = f"the rule {pattern!r} is no regular expression"
            raise SopsError(msg) from error

    def _unseal(self, value: Any, path: tuple[str, ...]) -> Any:
        if value == "":
            return value  # SOPS leaves an empty text as it is
        where = ".".join(path)
        return self._decrypt(value, ":".join(path) + ":", where)

    def _decrypt(self, value: Any, about: str, where: str) -> Any:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        found = _SEALED.match(value) if isinstance(value, str) else None
        if found is None:
            msg = f"{where} is not encrypted, but should be"
            raise SopsError(msg)
        try:
            data, nonce, tag = (
                base64.b64decode(part, validate=True)
                for part in found.groups()[:3]
            )
            clear = AESGCM(self.key).decrypt(nonce, data + tag, about.encode())
            return _typed(clear.decode(), found[4])
        except (InvalidTag, ValueError) as error:
            msg = f"{where} was changed after it was encrypted"
            raise SopsError(msg) from error

    def verify(self) -> None:
        """Compare the digest of all values with the sealed one.

        Raises:
            SopsError: a value was added, moved or taken away.
        """
        about = str(self.metadata.get("lastmodified"))
        wanted = self._decrypt(self.metadata.get("mac"), about, "sops.mac")
        if not hmac.compare_digest(
            str(wanted), self.digest.hexdigest().upper()
        ):
            msg = "the file was changed after it was encrypted (MAC)"
            raise SopsError(msg)


def _typed(text: str, kind: str) -> Any:
    match kind:
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "bool":
            return text.lower() == "true"
        case "str" | "bytes" | "comment":
            return text
        case _:
            raise ValueError(kind)


def _bytes(value: Any) -> bytes:
    """A value as SOPS digests it."""
    if isinstance(value, bool):
        return b"True" if value else b"False"
    if isinstance(value, float):
        return _decimal(value).encode()
    return str(value).encode()


def _decimal(value: float) -> str:
    """The shortest decimal of a float, never with an exponent."""
    return format(value, ".0f") if value == int(value) else _plain(value)


def _plain(value: float) -> str:
    text = repr(value)
    if "e" not in text:
        return text
    from decimal import Decimal

    return format(Decimal(text), "f")


def _truth(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "t")


def age_identities(values: dict[str, bytes]) -> Iterator[str]:
    """The age keys of a Secret: all lines of its ``*.agekey`` values."""
    for name, data in sorted(values.items()):
        if not name.endswith(".agekey"):
            continue
        for line in data.decode("utf-8", "replace").splitlines():
            text = line.strip()
            if text and not text.startswith("#"):
                yield text
