"""Label selectors: the grammar and the sentences of Kubernetes.

::

    selector    = [ requirement { "," requirement } ]
    requirement = [ "!" ] key
                | key ( "=" | "==" | "!=" | ">" | "<" ) [ value ]
                | key ( "in" | "notin" ) "(" value { "," value } ")"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from reconciler.controlplane.errors import bad_request
from reconciler.controlplane.objects.names import (
    check_label_value,
    check_qualified,
)
from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

_WORDS: Final = ("in", "notin")
_SIGNS: Final = ("=", "==", "!=", ">", "<")
_BOUNDS: Final = (">", "<")
_OPERATORS: Final = "in, notin, =, ==, !=, gt, lt"
_TOKEN: Final = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_SPECIAL: Final = frozenset(("=", "==", "!=", "!", "(", ")", ",", "<", ">"))
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


class _SelectorError(Exception):
    """The text is no selector; the message says where it stops being one."""


@dataclass(frozen=True)
class Requirement:
    """One term of a label selector.

    Attributes:
        operator: in, notin, exists, absent, ``>`` or ``<``.
    """

    key: str
    operator: str
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
        if self.operator in _BOUNDS:
            return present and self._beyond(labels[self.key])
        return not present or labels[self.key] not in self.values

    def _beyond(self, text: str) -> bool:
        if not _INTEGER.fullmatch(text):
            return False
        (bound,) = map(int, self.values)
        more = self.operator == ">"
        return int(text) > bound if more else int(text) < bound


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Parse a label selector.

    Raises:
        ApiError: 400, the text is no selector.
    """
    try:
        return tuple(_Parser(text).selector())
    except _SelectorError as error:
        raise bad_request(str(error)) from None


class _Parser:
    """Reads tokens from the left; the end is an empty token."""

    def __init__(self, text: str) -> None:
        self._tokens = [match[1] for match in _TOKEN.finditer(text)]
        self._at = 0

    @property
    def _next(self) -> str:
        tokens = self._tokens
        return tokens[self._at] if self._at < len(tokens) else ""

    def _take(self) -> str:
        token = self._next
        self._at += 1
        return token

    def _take_word(self) -> str:
        if not self._at_word():
            raise _found(self._next, "identifier")
        return self._take()

    def _at_word(self) -> bool:
        return bool(self._next) and self._next not in _SPECIAL

    def selector(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        if self._next and self._next != "!" and not self._at_word():
            raise _found(self._next, "!, identifier, or 'end of string'")
        while self._next:
            requirements.append(self._parsed_requirement())
            separator = self._take()
            if separator not in (",", ""):
                raise _found(separator, "',' or 'end of string'")
            follows = self._at_word() or self._next == "!"
            if separator and not follows:
                raise _found(self._next, "identifier after ','")
        return requirements

    def _parsed_requirement(self) -> Requirement:
        try:
            return self._requirement()
        except _SelectorError as error:
            msg = f"unable to parse requirement: {error}"
            raise _SelectorError(msg) from None

    def _requirement(self) -> Requirement:
        absent = self._next == "!"
        if absent:
            self._take()
        key = self._take_word()
        _refuse(check_qualified(key, "<nil>"))
        if absent or self._next in ("", ","):
            return Requirement(key, "absent" if absent else "exists")
        operator = self._take()
        if operator in _WORDS:
            values = self._list()
        elif operator in _SIGNS:
            values = [self._exact()]
        else:
            raise _found(operator, _OPERATORS)
        return _checked(key, operator, values)

    def _exact(self) -> str:
        return "" if self._next in ("", ",") else self._take_word()

    def _list(self) -> list[str]:
        if self._next != "(":
            raise _found(self._next, "'('")
        self._take()
        values: list[str] = []
        if self._next == ")":
            self._take()
            return values
        while True:
            if not (self._at_word() or self._next in (",", ")")):
                raise _found(self._next, "',', ')' or identifier")
            values.append(self._take() if self._at_word() else "")
            end = self._take()
            if end == ")":
                return values
            if end != ",":
                raise _found(end, "',' or ')'")


def _found(token: str, wanted: str) -> _SelectorError:
    return _SelectorError(f"found '{token}', expected: {wanted}")


def _checked(key: str, operator: str, values: list[str]) -> Requirement:
    if operator in _WORDS and not values:
        why = "for 'in', 'notin' operators, values set can't be empty"
        _refuse([FieldError("values", "FieldValueInvalid", why, [])])
    for index, value in enumerate(sorted(values)):
        path = f"values[{index}]"
        if operator in _BOUNDS and not _INTEGER.fullmatch(value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            _refuse([FieldError(path, "FieldValueInvalid", why, value)])
        _refuse(check_label_value(value, f"{path}[{key}]"))
    kinds = {"=": "in", "==": "in", "!=": "notin"}
    return Requirement(key, kinds.get(operator, operator), frozenset(values))


def _refuse(faults: Any) -> None:
    for fault in faults:
        raise _SelectorError(fault.message())


_NAMED = {
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
            _NAMED.get(entry.get("operator", ""), "in"),
            frozenset(entry.get("values") or ()),
        )
        for entry in selector.get("matchExpressions") or ()
    ]
    return all(term.matches(labels) for term in terms)
