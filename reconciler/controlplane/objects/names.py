"""Syntax of names, labels and finalizers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any, Literal

from reconciler.controlplane.schema.errors import FieldError

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
DNS_LABEL = re.compile(_LABEL, re.ASCII)
DNS_SUBDOMAIN = re.compile(_SUBDOMAIN, re.ASCII)
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
QUALIFIED = re.compile(_QUALIFIED, re.ASCII)
VALUE = re.compile(rf"({_QUALIFIED})?", re.ASCII)
LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253
GENERATED_LENGTH = 5
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
    "characters, '-' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric "
    "characters or '-', and must start and end with an alphanumeric "
    "character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or "
    "'-', start with an alphabetic character, and end with an alphanumeric "
    "character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and "
    "must start and end with an alphanumeric character (e.g. 'MyName',  or "
    "'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric "
    "characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
    "regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def generate(prefix: str) -> str:
    """A random name for ``metadata.generateName``."""
    room = LABEL_LENGTH - GENERATED_LENGTH
    tail = "".join(secrets.choice(_LETTERS) for _ in range(GENERATED_LENGTH))
    return prefix[:room] + tail


NameRule = Literal["subdomain", "label", "path"]
"""What a kind's names must be; path: anything that fits into a URL."""


def name_faults(name: str, *, label: bool = False) -> list[str]:
    """What is wrong with an object's name; empty if it is sound."""
    rule = LABEL_RULE if label else SUBDOMAIN_RULE
    shape = DNS_LABEL if label else DNS_SUBDOMAIN
    limit = LABEL_LENGTH if label else SUBDOMAIN_LENGTH
    faults = []
    if len(name) > limit:
        faults.append(f"must be no more than {limit} characters")
    if not shape.fullmatch(name):
        faults.append(rule)
    return faults


def label_faults(name: str) -> list[str]:
    """What is wrong with a label of RFC 1035, which starts with a letter."""
    faults = []
    if len(name) > LABEL_LENGTH:
        faults.append(f"must be no more than {LABEL_LENGTH} characters")
    if not DNS_1035.fullmatch(name):
        faults.append(LABEL_1035_RULE)
    return faults


def check_name(name: str, path: str, rule: NameRule) -> list[FieldError]:
    """Field errors for an object's name."""
    faults = (
        _segment_faults(name)
        if rule == "path"
        else name_faults(name, label=rule == "label")
    )
    return [
        FieldError(path, "FieldValueInvalid", fault, name) for fault in faults
    ]


def _segment_faults(name: str) -> list[str]:
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in name]


def check_labels(labels: dict[str, str], path: str) -> Iterator[FieldError]:
    """Field errors for label keys and values."""
    for key, value in labels.items():
        yield from check_qualified(key, path)
        yield from check_label_value(value, path)


def check_label_value(value: str, path: str) -> Iterator[FieldError]:
    """Field errors for the value of a label."""
    if len(value) > LABEL_LENGTH:
        fault = f"must be no more than {LABEL_LENGTH} characters"
        yield _invalid(path, fault, value)
    if not VALUE.fullmatch(value):
        yield _invalid(path, _VALUE_RULE, value)


def check_qualified(key: str, path: str) -> Iterator[FieldError]:
    """Field errors for a key such as ``example.com/name``."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not prefix or name_faults(prefix)):
        yield _invalid(path, "prefix part " + SUBDOMAIN_RULE, key)
    if not name:
        yield _invalid(path, "name part must be non-empty", key)
    if len(name) > LABEL_LENGTH:
        limit = f"name part must be no more than {LABEL_LENGTH} characters"
        yield _invalid(path, limit, key)
    if not QUALIFIED.fullmatch(name):
        yield _invalid(path, _QUALIFIED_RULE, key)


def _invalid(path: str, why: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueInvalid", why, value)
