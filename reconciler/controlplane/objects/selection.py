"""Label and field selectors: parsing and matching."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.controlplane.errors import bad_request
from reconciler.controlplane.objects.names import VALUE, check_qualified

Json = dict[str, Any]
Test = Callable[[Json], bool]

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^()]*)\)$")
_EQUAL = re.compile(r"^([^\s=!,]+)\s*(==|=|!=)\s*([^\s=!,]*)$")
_EXISTS = re.compile(r"^(!?)\s*([^\s=!,()]+)$")
_FIELD = re.compile(r"^((?:[^=!\\]|\\.)+?)(==|=|!=)((?:[^\\]|\\.)*)$")


@dataclass(frozen=True)
class Requirement:
    """One term of a label selector."""

    key: str
    operator: str
    """in, notin, exists, absent."""

    values: frozenset[str] = frozenset()

    def matches(self, labels: Json) -> bool:
        """Whether labels satisfy the term; absent keys satisfy notin."""
        present = self.key in labels
        if self.operator == "exists":
            return present
        if self.operator == "absent":
            return not present
        if self.operator == "in":
            return present and labels[self.key] in self.values
        return not present or labels[self.key] not in self.values


@dataclass(frozen=True)
class FieldTerm:
    """One term of a field selector."""

    path: str
    value: str
    equal: bool


@dataclass(frozen=True)
class Selector:
    """What a list, a watch or a deletecollection is limited to."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[FieldTerm, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, obj: Json) -> bool:
        """Whether an object satisfies all terms."""
        labels = obj["metadata"].get("labels") or {}
        return all(term.matches(labels) for term in self.labels) and all(
            (read_field(obj, term.path) == term.value) is term.equal
            for term in self.fields
        )

    def only_name(self) -> str | None:
        """The one name it can match, if it asks for one."""
        for term in self.fields:
            if term.path == "metadata.name" and term.equal:
                return term.value
        return None


def read_field(obj: Json, path: str) -> str:
    """The text of a field, as selectors compare it; '' if it is absent."""
    node: Any = obj
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    if node is None:
        return ""
    if isinstance(node, bool):
        return "true" if node else "false"
    return str(node)


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Parse a label selector.

    Raises:
        ApiError: 400, the text is no selector.
    """
    return tuple(_requirement(term, text) for term in _split(text))


def _split(text: str) -> list[str]:
    if text.count("(") != text.count(")"):
        msg = f"unable to parse requirement: unbalanced brackets in {text!r}"
        raise bad_request(msg)
    terms = re.findall(r"(?:[^,(]|\([^)]*\))+", text)
    return [term.strip() for term in terms if term.strip()]


def _requirement(term: str, text: str) -> Requirement:
    if match := _SET.match(term):
        key, operator, values = match.groups()
        chosen = frozenset(value.strip() for value in values.split(","))
        requirement = Requirement(key, operator, chosen)
    elif match := _EQUAL.match(term):
        key, sign, value = match.groups()
        operator = "notin" if sign == "!=" else "in"
        requirement = Requirement(key, operator, frozenset((value,)))
    elif match := _EXISTS.match(term):
        operator = "absent" if match[1] else "exists"
        requirement = Requirement(match[2], operator)
    else:
        msg = f"unable to parse requirement: {term!r} in {text!r}"
        raise bad_request(msg)
    _check(requirement)
    return requirement


def _check(requirement: Requirement) -> None:
    for fault in check_qualified(requirement.key, "key"):
        msg = f"unable to parse requirement: {fault.message()}"
        raise bad_request(msg)
    for value in requirement.values:
        if not VALUE.fullmatch(value):
            msg = f'unable to parse requirement: Invalid value: "{value}"'
            raise bad_request(msg)


_OPERATORS = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "absent",
}


def matches_label_selector(selector: Json, labels: Json) -> bool:
    """Whether labels satisfy a ``metav1.LabelSelector``; {} matches all."""
    terms = [
        Requirement(key, "in", frozenset((value,)))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    terms += [
        Requirement(
            entry.get("key", ""),
            _OPERATORS.get(entry.get("operator", ""), "in"),
            frozenset(entry.get("values") or ()),
        )
        for entry in selector.get("matchExpressions") or ()
    ]
    return all(term.matches(labels) for term in terms)


def parse_fields(
    text: str, allowed: Iterable[str], rename: Sequence[tuple[str, str]] = ()
) -> tuple[FieldTerm, ...]:
    """Parse a field selector.

    Args:
        text: Comma separated terms; a backslash escapes.
        allowed: Paths that the kind supports.
        rename: Pairs of a supported alias and the path it stands for.

    Raises:
        ApiError: 400, no selector, or an unsupported path.
    """
    known, names = set(allowed), dict(rename)
    terms = []
    for part in re.findall(r"(?:[^,\\]|\\.)+", text):
        match = _FIELD.match(part.strip())
        if match is None:
            msg = f"invalid selector: '{text}'; can't understand '{part}'"
            raise bad_request(msg)
        path, sign, value = match.groups()
        if path not in known and path not in names:
            msg = f"field label not supported: {path}"
            raise bad_request(msg)
        value = re.sub(r"\\(.)", r"\1", value)
        terms.append(FieldTerm(names.get(path, path), value, sign != "!="))
    return tuple(terms)
