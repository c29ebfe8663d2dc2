"""Checks of a schema's CEL rules, when a CRD is created."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reconciler.controlplane.schema.errors import (
    FieldError,
    invalid,
    not_supported,
    required,
)
from reconciler.controlplane.schema.node import Node

_REASONS: Final = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
]


def rule_errors(
    node: Node, at: str, *, resource: bool = True, apart: str = ""
) -> Iterator[FieldError]:
    """Yield the rules at and below a place that cannot be used.

    Args:
        node: the schema of the place.
        at: where it is.
        resource: the place is a whole object.
        apart: the outermost list or map around the place whose parts have
            no old values; empty if there is none.
    """
    if not node.cel:
        return
    for index, raw in enumerate(node.rules):
        here = f"{at}.x-kubernetes-validations[{index}]"
        yield from _rule_errors(raw, node, here, apart, resource=resource)
    inside = apart or (at if node.map_type == "atomic" else "")
    for name, sub in node.properties.items():
        below = f"{at}.properties[{name}]"
        yield from rule_errors(sub, below, resource=sub.embedded, apart=inside)
    if node.items is not None:
        below = f"{at}.items"
        inside = apart or (at if node.list_type != "map" else "")
        yield from rule_errors(node.items, below, resource=False, apart=inside)
    if isinstance(node.additional, Node):
        below = f"{at}.additionalProperties"
        yield from rule_errors(
            node.additional, below, resource=False, apart=inside
        )


def _rule_errors(
    raw: Any, node: Node, here: str, apart: str, *, resource: bool
) -> Iterator[FieldError]:
    if not isinstance(raw, dict):
        yield invalid(here, raw, "must be a rule")
        return
    if not str(raw.get("rule") or "").strip():
        yield required(f"{here}.rule", "rule is not specified")
        return
    if "\n" in str(raw.get("message") or ""):
        detail = "message must not contain line breaks"
        yield invalid(f"{here}.message", raw["message"], detail)
    reason = raw.get("reason")
    if reason is not None and reason not in _REASONS:
        yield not_supported(f"{here}.reason", reason, _REASONS)
    from reconciler.controlplane.schema.cel.compiler import CompileError
    from reconciler.controlplane.schema.cel.rules import (
        compile_rule,
        field_path,
    )

    try:
        field_path(str(raw.get("fieldPath") or ""), node)
    except CompileError as error:
        yield invalid(f"{here}.fieldPath", raw["fieldPath"], str(error))
        return
    try:
        rule = compile_rule(raw, node, resource=resource)
    except CompileError as error:
        yield invalid(f"{here}.rule", raw, f"compilation failed: {error}")
        return
    optional = raw.get("optionalOldSelf")
    if rule.transition and apart:
        detail = (
            "oldSelf cannot be used on the uncorrelatable portion of the "
            f"schema within {apart}"
        )
        yield invalid(f"{here}.rule", raw["rule"], detail)
    elif optional is not None and not rule.transition:
        detail = "may not be set if oldSelf is not used in rule"
        yield invalid(f"{here}.optionalOldSelf", optional, detail)
