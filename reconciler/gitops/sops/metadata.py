"""The ``sops`` mapping of a file: recipients, rules, checksum. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import re2
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from reconciler.gitops.sops.errors import SopsError
from reconciler.gitops.sops.scalars import joined

FIELD = "sops"
UNENCRYPTED_SUFFIX = "_unencrypted"
"""What the name of a field ends with that is left in clear by default."""

MAX_RECIPIENTS = 256
MAX_RULE = 1000

_RULES = (
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
)
_COMMENT_RULES = ("unencrypted_comment_regex", "encrypted_comment_regex")
_OTHERS = ("pgp", "kms", "gcp_kms", "hckms", "azure_kv", "hc_vault")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


@dataclass(frozen=True)
class Recipient:
    """The data key, encrypted for one age recipient."""

    name: str
    """``age1...``."""

    enc: str = field(repr=False)
    """An armored age file."""


@dataclass(frozen=True)
class Rules:
    """Which fields are encrypted; at most one rule is given."""

    unencrypted_suffix: str = ""
    encrypted_suffix: str = ""
    unencrypted_regex: str = ""
    encrypted_regex: str = ""

    def check(self) -> None:
        """Refuse what cannot be a rule.

        Raises:
            SopsError: names the rule.
        """
        for name, text in vars(self).items():
            if text:
                _check_rule(name, text)

    def encrypted(self, path: tuple[str, ...]) -> bool:
        """Whether the value at a path has to be encrypted."""
        if self.encrypted_regex:
            return any(_compiled(self.encrypted_regex).search(p) for p in path)
        if self.encrypted_suffix:
            return any(p.endswith(self.encrypted_suffix) for p in path)
        if self.unencrypted_regex:
            rule = _compiled(self.unencrypted_regex)
            return not any(rule.search(p) for p in path)
        suffix = self.unencrypted_suffix or UNENCRYPTED_SUFFIX
        return not any(p.endswith(suffix) for p in path)


@dataclass(frozen=True)
class Metadata:
    """What a file says of its encryption."""

    recipients: tuple[Recipient, ...]
    rules: Rules
    modified: str
    """RFC 3339: what the checksum is bound to."""

    mac: str
    """The checksum, encrypted."""

    only_encrypted: bool = False
    """Whether the checksum is over encrypted values alone."""

    @classmethod
    def of(cls, node: Node) -> Metadata:
        """Read the ``sops`` mapping.

        Raises:
            SopsError: names the field that is missing or not supported.
        """
        try:
            return cls.read(_value(node, 0))
        except SopsError as error:
            line = node.start_mark.line + 1
            raise SopsError(error.reason, line) from error

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Metadata:
        """Read its fields: texts, and ``age`` as a list.

        Raises:
            SopsError: names the field that is missing or not supported.
        """
        try:
            return cls._read(raw)
        except SopsError as error:
            msg = f"{FIELD}.{error.reason}"
            raise SopsError(msg) from error

    @classmethod
    def _read(cls, raw: Mapping[str, Any]) -> Metadata:
        mac = _text(raw, "mac")
        if not mac:
            raise SopsError("mac: is missing, so that nothing can be trusted")
        return cls(
            _recipients(raw),
            _rules(raw),
            _moment(_text(raw, "lastmodified")),
            mac,
            _text(raw, "mac_only_encrypted").lower() == "true",
        )


def _moment(text: str) -> str:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise SopsError(
            "lastmodified: is no time such as 2026-11-25T10:00:00Z"
        )
    zone = "Z" if found[2] in ("+00:00", "-00:00") else found[2]
    return found[1] + zone


def _rules(raw: Mapping[str, Any]) -> Rules:
    for name in _COMMENT_RULES:
        if raw.get(name):
            reason = f"{name}: is not supported; use encrypted_regex"
            raise SopsError(reason)
    given = {name: text for name in _RULES if (text := _text(raw, name))}
    if len(given) > 1:
        names = " and ".join(given)
        msg = f"{names}: only one of them may be given"
        raise SopsError(msg)
    rules = Rules(**given)
    rules.check()
    return rules


@functools.lru_cache(maxsize=64)
def _compiled(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(text, options)


def _check_rule(name: str, text: str) -> None:
    if len(text) > MAX_RULE:
        msg = f"{name}: has more than {MAX_RULE} characters"
        raise SopsError(msg)
    if not name.endswith("regex"):
        return
    try:
        _compiled(text)
    except re2.error as error:
        msg = f"{name}: is no regular expression"
        raise SopsError(msg) from error


def _recipients(raw: Mapping[str, Any]) -> tuple[Recipient, ...]:
    groups = raw.get("key_groups") or []
    threshold = _text(raw, "shamir_threshold") or "0"
    if threshold not in ("0", "1") or len(groups) > 1:
        reason = (
            "key_groups: keys that are shared among several groups (Shamir) "
            "are not supported; encrypt for one group"
        )
        raise SopsError(reason)
    holder = raw
    if groups and not any(raw.get(name) for name in ("age", *_OTHERS)):
        holder = groups[0] if isinstance(groups[0], dict) else {}
    found = holder.get("age") or []
    if not isinstance(found, list) or len(found) > MAX_RECIPIENTS:
        reason = f"age: has to be a list of at most {MAX_RECIPIENTS} keys"
        raise SopsError(reason)
    if not found:
        others = [name for name in _OTHERS if holder.get(name)]
        known = f" (it has {', '.join(others)})" if others else ""
        msg = f"age: no age recipient{known}; only age is supported"
        raise SopsError(msg)
    return tuple(_recipient(item) for item in found)


def _recipient(item: Any) -> Recipient:
    if not isinstance(item, dict):
        raise SopsError("age: an entry is no mapping")
    enc = _text(item, "enc")
    if not enc:
        raise SopsError("age: an entry has no enc")
    return Recipient(_text(item, "recipient"), enc)


def _text(raw: Mapping[str, Any], name: str) -> str:
    found = raw.get(name)
    return found.strip() if isinstance(found, str) else ""


_MAX_DEPTH = 6


def _value(node: Node, depth: int) -> Any:
    """Mappings, lists and texts; null and what is too deep is left out."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(node, MappingNode):
        return {
            _joined(key): _value(item, depth + 1)
            for key, item in node.value
            if isinstance(key, ScalarNode)
        }
    if isinstance(node, SequenceNode):
        return [_value(item, depth + 1) for item in node.value]
    null = str(node.tag).endswith(":null")
    return None if null else _joined(node)


def _joined(node: Node) -> str:
    try:
        return joined(str(node.value))
    except ValueError as error:
        raise SopsError(str(error)) from error
