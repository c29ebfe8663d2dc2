"""Which objects a target means. Pure.

Patterns are RE2: they come from a spec and are matched in time that is linear
in what they are matched against.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import re2

from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.resource import Target

_REQUIREMENT = re.compile(
    r"^\s*(?:(?P<absent>!)\s*(?P<no>[\w./-]+)"
    r"|(?P<key>[\w./-]+)\s*(?:(?P<op>==|=|!=)\s*(?P<value>[\w./-]*)"
    r"|\s(?P<set>in|notin)\s*\((?P<values>[\w./,\s-]*)\))?)\s*$",
    re.ASCII,
)
_COMMA = re.compile(r",(?![^(]*\))")

Test = Callable[[str], bool]
Requirement = Callable[[Mapping[str, str]], bool]


class SelectionError(ValueError):
    """A pattern or a selector cannot be understood."""


@dataclass(frozen=True)
class Selection:
    """A target, compiled."""

    group: Test
    version: Test
    kind: Test
    namespace: Test
    name: Test
    labels: Requirement
    annotations: Requirement

    @classmethod
    def of(cls, target: Target) -> Selection:
        """Compile a target.

        Raises:
            SelectionError: names the field that is wrong.
        """
        return cls(
            group=_pattern("group", target.group),
            version=_pattern("version", target.version),
            kind=_pattern("kind", target.kind),
            namespace=_pattern("namespace", target.namespace),
            name=_pattern("name", target.name),
            labels=_selector("labelSelector", target.label_selector),
            annotations=_selector(
                "annotationSelector", target.annotation_selector
            ),
        )

    def matches(self, item: DesiredObject) -> bool:
        """Whether the object is meant."""
        where = item.id
        meta = item.body.get("metadata") or {}
        return (
            self.group(where.group)
            and self.version(item.version)
            and self.kind(where.kind)
            and self.namespace(where.namespace)
            and self.name(where.name)
            and self.labels(meta.get("labels") or {})
            and self.annotations(meta.get("annotations") or {})
        )


def _pattern(field: str, text: str | None) -> Test:
    if not text:
        return lambda _value: True
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0]
        shown = reason.decode() if isinstance(reason, bytes) else reason
        msg = f"target.{field}: {text!r} is no pattern of RE2: {shown}"
        raise SelectionError(msg) from error
    return lambda value: compiled.fullmatch(value) is not None


def _selector(field: str, text: str | None) -> Requirement:
    parts = [p for p in _COMMA.split(text or "") if p.strip()]
    met = [_requirement(field, part) for part in parts]
    return lambda values: all(one(values) for one in met)


def _requirement(field: str, text: str) -> Requirement:
    """One of ``a=b``, ``a!=b``, ``a``, ``!a``, ``a in (b,c)``, ``notin``."""
    found = _REQUIREMENT.match(text)
    if found is None:
        msg = (
            f"target.{field}: {text.strip()!r} is not understood; it may be "
            "a=b, a!=b, a, !a, a in (b,c) or a notin (b,c)"
        )
        raise SelectionError(msg)
    if found["absent"]:
        return lambda values: found["no"] not in values
    key = found["key"]
    if found["op"]:
        wanted, negated = {found["value"]}, found["op"] == "!="
    elif found["set"]:
        wanted = {v.strip() for v in found["values"].split(",")}
        negated = found["set"] == "notin"
    else:
        return lambda values: key in values
    return lambda values: (values.get(key) in wanted) != negated
