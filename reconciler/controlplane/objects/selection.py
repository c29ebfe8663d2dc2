"""What a list or a watch is limited to; field selectors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from reconciler.controlplane.errors import bad_request
from reconciler.controlplane.objects.labels import Requirement

Json = dict[str, Any]

_FIELD = re.compile(r"^((?:[^=!\\]|\\.)+?)(==|=|!=)((?:[^\\]|\\.)*)$")


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

    def traces(self) -> tuple[bytes, ...]:
        """Texts that the stored form of every match contains.

        They save parsing what cannot match: a list of 100,000 objects by
        label would otherwise keep everybody waiting.
        """
        found = []
        for term in self.labels:
            if term.operator in ("absent", "notin"):
                continue
            text = f"{orjson.dumps(term.key).decode()}:"
            if term.operator == "in" and len(term.values) == 1:
                (value,) = term.values
                text += orjson.dumps(value).decode()
            found.append(text.encode())
        return tuple(found)

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


def parse_fields(
    text: str,
    allowed: Iterable[str] | None,
    rename: Sequence[tuple[str, str]] = (),
) -> tuple[FieldTerm, ...]:
    """Parse a field selector.

    Args:
        text: Comma separated terms; a backslash escapes.
        allowed: Paths that the kind supports; None is any.
        rename: Pairs of a supported alias and the path it stands for.

    Raises:
        ApiError: 400, no selector, or an unsupported path.
    """
    known = None if allowed is None else set(allowed)
    names = dict(rename)
    terms = []
    for part in re.findall(r"(?:[^,\\]|\\.)+", text):
        match = _FIELD.match(part.strip())
        if match is None:
            msg = f"invalid selector: '{text}'; can't understand '{part}'"
            raise bad_request(msg)
        path, sign, value = match.groups()
        if known is not None and path not in known and path not in names:
            msg = f"field label not supported: {path}"
            raise bad_request(msg)
        value = re.sub(r"\\(.)", r"\1", value)
        terms.append(FieldTerm(names.get(path, path), value, sign != "!="))
    return tuple(terms)
