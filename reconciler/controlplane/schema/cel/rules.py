"""The rules of a schema, evaluated over an object and its old self."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.controlplane.schema.cel.compiler import CompileError
from reconciler.controlplane.schema.cel.operators import OVERLOAD
from reconciler.controlplane.schema.cel.program import Program, compile_program
from reconciler.controlplane.schema.cel.values import (
    COST,
    MAX_STEPS,
    CELError,
    Optional,
    Steps,
    to_cel,
)
from reconciler.controlplane.schema.errors import (
    FieldError,
    child,
    duplicate,
    forbidden,
    indexed,
    invalid,
    keyed,
    required,
)
from reconciler.controlplane.schema.node import Node, Schema, read_node
from reconciler.controlplane.schema.values import (
    UNCORRELATED,
    list_key,
    old_field,
    old_items,
    same,
)

MAX_MESSAGE: Final = 5120
"""Characters of an evaluated messageExpression."""

ALL: Final = 3 * MAX_STEPS
"""Steps of all rules of one object: seconds in which nobody is answered."""

_OUT_OF_STEPS: Final = (
    "validation failed due to running out of cost budget, no further "
    "validation rules will be run"
)
_FIELD: Final = re.compile(r"\.(?P<plain>[^.\[\]]+)|\['(?P<quoted>[^']*)'\]")
_NAMED: Final = read_node(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "generateName": {"type": "string"},
        },
    }
)
_TEXT: Final = read_node({"type": "string"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule at one place of a schema.

    Attributes:
        failure: why the rule cannot be compiled; empty if it can.
    """

    raw: Schema
    program: Program | None
    message: Program | None
    suffix: str = ""
    failure: str = ""

    @property
    def optional_old(self) -> bool:
        """Whether the rule also runs without an old value."""
        return bool(self.raw.get("optionalOldSelf"))

    @property
    def transition(self) -> bool:
        """Whether the rule looks at the old value."""
        return self.program is not None and "oldSelf" in self.program.used

    def title(self) -> str:
        """Return what an error calls the rule."""
        text = self.raw.get("message") or self.raw.get("rule", "")
        return str(text).strip()


def compile_rule(raw: Schema, node: Node, *, resource: bool) -> Rule:
    """Compile one rule of a place.

    Args:
        raw: the entry of ``x-kubernetes-validations``.
        node: the schema of the place.
        resource: the place is a whole object.

    Raises:
        CompileError: an expression is malformed.
    """
    scope = scope_of(node, raw, resource=resource)
    expression = raw.get("messageExpression")
    return Rule(
        raw,
        compile_program(str(raw.get("rule", "")), scope),
        compile_program(str(expression), scope) if expression else None,
        field_path(str(raw.get("fieldPath") or ""), node),
    )


def scope_of(
    node: Node, raw: Schema, *, resource: bool
) -> dict[str, Node | None]:
    """Return the variables of a rule with their schemas."""
    me = with_name(node) if resource or node.embedded else node
    old = None if raw.get("optionalOldSelf") else me
    return {"self": me, "oldSelf": old}


def with_name(node: Node) -> Node:
    """Return the schema of an object, with its kind and its name."""
    identity = {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _NAMED}
    return replace(node, properties={**node.properties, **identity})


def field_path(text: str, node: Node) -> str:
    """Turn a rule's fieldPath into the end of an error's path.

    Raises:
        CompileError: the schema has no such field.
    """
    at, path = 0, ""
    here: Node | None = node
    while at < len(text):
        token = _FIELD.match(text, at)
        if token is None:
            msg = f"fieldPath must be a valid path: expected [ or . in {text}"
            raise CompileError(msg)
        name = token["plain"] or token["quoted"] or ""
        below = here.child(name) if here is not None else None
        if below is None:
            raise CompileError(
                "fieldPath must be a valid path: "
                "does not refer to a valid field"
            )
        declared = here is not None and name in here.properties
        path = child(path, name) if declared else keyed(path, name)
        here, at = below, token.end()
    return path


class RuleSet:
    """All rules of a schema, compiled."""

    def __init__(self, root: Node, rules: dict[int, list[Rule]]) -> None:
        self._root = root
        self._rules = rules

    @classmethod
    def compile(cls, root: Node) -> RuleSet:
        """Compile every rule; those that fail are reported when they run."""
        rules: dict[int, list[Rule]] = {}
        for node in _places(root):
            rules[id(node)] = [
                _compiled(raw, node, resource=node is root)
                for raw in node.rules
            ]
        return cls(root, rules)

    def check(self, obj: Any, old: Any) -> list[FieldError]:
        """Return the rules that `obj` breaks.

        Args:
            obj: the object.
            old: what it replaces, or UNCORRELATED.
        """
        found: list[FieldError] = []
        try:
            found.extend(self._check(obj, self._root, "", old, Steps(ALL)))
        except _OutOfStepsError as error:
            found.append(invalid(error.path, error.kind, _OUT_OF_STEPS))
        return found

    def _check(
        self, value: Any, node: Node, path: str, old: Any, steps: Steps
    ) -> Iterator[FieldError]:
        if value is None or not node.cel:
            return
        if node.rules:
            resource = node is self._root
            place = _Place(value, node, path, old, resource=resource)
            for rule in self._rules[id(node)]:
                yield from place.check(rule, steps)
        if isinstance(value, dict):
            yield from self._check_fields(value, node, path, old, steps)
        elif isinstance(value, list) and node.items is not None:
            known = old_items(old, node)
            for at, item in enumerate(value):
                key = list_key(item, node.list_keys, node.items)
                before = known.get(key, UNCORRELATED)
                yield from self._check(
                    item, node.items, indexed(path, at), before, steps
                )

    def _check_fields(
        self,
        value: dict[str, Any],
        node: Node,
        path: str,
        old: Any,
        steps: Steps,
    ) -> Iterator[FieldError]:
        for name, item in value.items():
            sub = node.child(name)
            if sub is None:
                continue
            declared = name in node.properties
            here = child(path, name) if declared else keyed(path, name)
            before = old_field(old, name, node)
            yield from self._check(item, sub, here, before, steps)


def _places(node: Node) -> Iterator[Node]:
    if not node.cel:
        return
    if node.rules:
        yield node
    below = [*node.properties.values(), node.items, node.additional]
    for sub in below:
        if isinstance(sub, Node):
            yield from _places(sub)


def _compiled(raw: Schema, node: Node, *, resource: bool) -> Rule:
    try:
        return compile_rule(raw, node, resource=resource)
    except CompileError as error:
        return Rule(raw, None, None, "", str(error))


class _OutOfStepsError(Exception):
    """The rules of one object cost too much, all together."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(path)
        self.path, self.kind = path, kind


class _Place:
    """A value with rules, its variables converted once."""

    def __init__(
        self, value: Any, node: Node, path: str, old: Any, *, resource: bool
    ) -> None:
        self._node = node
        self._path = path
        self._unchanged = old is not UNCORRELATED and same(value, old)
        self._has_old = old is not UNCORRELATED and old is not None
        self._me = to_cel(value, node, resource=resource)
        self._old = (
            to_cel(old, node, resource=resource) if self._has_old else None
        )

    def check(self, rule: Rule, steps: Steps) -> Iterator[FieldError]:
        """Yield an error if the rule fails or cannot be evaluated.

        Args:
            rule: one of the place's.
            steps: what all rules of the object may still cost.
        """
        kind = self._node.type
        if rule.program is None:
            detail = f"rule compile error: {rule.failure}"
            yield invalid(self._path, kind, detail)
            return
        if rule.transition and not (self._has_old or rule.optional_old):
            return
        if self._unchanged and not rule.transition:
            return
        variables = self._variables(rule)
        if steps.left <= 0:
            raise _OutOfStepsError(self._path, kind)
        granted = Steps(min(MAX_STEPS, steps.left))
        steps.left -= granted.left + 1
        try:
            result = rule.program.evaluate(variables, granted)
        except CELError as error:
            yield invalid(self._path, kind, _failure(str(error), rule))
            return
        finally:
            steps.left += max(granted.left, 0)
        if result is not True:
            yield self._broken(rule, variables)

    def _variables(self, rule: Rule) -> dict[str, Any]:
        old = self._old
        if rule.optional_old:
            old = Optional(self._has_old, self._old)
        return {"self": self._me, "oldSelf": old}

    def _broken(self, rule: Rule, variables: dict[str, Any]) -> FieldError:
        path, kind = self._path, self._node.type
        if rule.suffix:
            path = child(path, rule.suffix)
        detail = _message(rule, variables)
        reason = rule.raw.get("reason")
        if reason == "FieldValueForbidden":
            return forbidden(path, detail)
        if reason == "FieldValueRequired":
            return required(path, detail)
        if reason == "FieldValueDuplicate":
            return duplicate(path, kind)
        return invalid(path, kind, detail)


def _failure(error: str, rule: Rule) -> str:
    if error.startswith(COST):
        return (
            f"'{error}': no further validation rules will be run due to call "
            f"cost exceeds limit for rule: {rule.title()}"
        )
    if error.startswith(OVERLOAD):
        return (
            f"'{error}': call arguments did not match a supported operator, "
            f"function or macro signature for rule: {rule.title()}"
        )
    return f"{error} evaluating rule: {rule.title()}"


def _message(rule: Rule, variables: dict[str, Any]) -> str:
    if rule.message is not None:
        try:
            text = rule.message.evaluate(variables)
        except CELError:
            # As the server does: a message that fails gives way to the
            # plain one; the rule itself is reported either way.
            text = None
        if isinstance(text, str) and _printable(text.strip()):
            return text.strip()
    plain = str(rule.raw.get("message") or "").strip()
    return plain or f"failed rule: {rule.title()}"


def _printable(text: str) -> bool:
    return 0 < len(text) <= MAX_MESSAGE and "\n" not in text
