"""Types, ranges, lengths, patterns, formats and enumerations."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from reconciler.controlplane.schema.errors import (
    FieldError,
    go_number,
    go_quote,
    invalid,
    not_supported,
    too_long,
    type_invalid,
)
from reconciler.controlplane.schema.formats import has_format
from reconciler.controlplane.schema.node import Node
from reconciler.controlplane.schema.values import json_type, same

_INT_RANGES: Final = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}

_FORMAT_OF: Final = {
    "boolean": "",
    "integer": "int64",
    "number": "double",
    "object": "",
}
"""The format that a value which is no string has by itself."""


def type_errors(value: Any, node: Node, path: str) -> Iterator[FieldError]:
    """Yield an error if the value's type is not the schema's."""
    wanted = _wanted(node)
    if not wanted or (value is None and node.nullable):
        return
    actual = json_type(value)
    if actual in wanted or _numeric_match(value, actual, wanted):
        return
    named, shown = ",".join(wanted), actual
    numeric_format = str(node.raw.get("format", ""))
    if actual in _FORMAT_OF and numeric_format:
        named, shown = numeric_format, _FORMAT_OF[actual]
    detail = f"{path} in body must be of type {named}: {go_quote(shown)}"
    yield type_invalid(path, shown, detail)


def _wanted(node: Node) -> tuple[str, ...]:
    if node.int_or_string:
        return ("integer", "string")
    return (node.type,) if node.type else ()


def _numeric_match(value: Any, actual: str, wanted: tuple[str, ...]) -> bool:
    if actual == "integer":
        return "number" in wanted
    whole = actual == "number" and float(value).is_integer()
    return whole and "integer" in wanted


def enum_errors(value: Any, node: Node, path: str) -> Iterator[FieldError]:
    """Yield an error if the value is none of an enumeration's."""
    allowed = node.raw.get("enum")
    if allowed and not any(same(value, one) for one in allowed):
        yield not_supported(path, value, allowed)


def scalar_errors(value: Any, node: Node, path: str) -> Iterator[FieldError]:
    """Yield what is wrong with a string or a number."""
    if isinstance(value, str):
        yield from _string_errors(value, node, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _range_errors(value, node, path)
        yield from _number_errors(value, node, path)


def _string_errors(value: str, node: Node, path: str) -> Iterator[FieldError]:
    high, low = node.raw.get("maxLength"), node.raw.get("minLength")
    if high is not None and len(value) > high:
        yield too_long(path, high)
    if low is not None and len(value) < low:
        detail = f"{path} in body should be at least {low} chars long"
        yield invalid(path, value, detail)
    if node.pattern is not None and not node.pattern.matches(value):
        pattern = node.raw["pattern"]
        detail = f"{path} in body should match '{pattern}'"
        yield invalid(path, value, detail)
    name = node.raw.get("format")
    if name and not has_format(value, name):
        detail = f"{path} in body must be of type {name}: {go_quote(value)}"
        yield type_invalid(path, value, detail)


def _range_errors(value: float, node: Node, path: str) -> Iterator[FieldError]:
    name = node.raw.get("format", "")
    limits = _INT_RANGES.get(name)
    if limits is None or json_type(value) not in ("integer", "number"):
        return
    if not limits[0] <= value <= limits[1]:
        kind = node.type or "integer"
        yield invalid(
            "",
            "",
            f"Checked value must be of type {kind} with format {name}"
            f" in {path}",
        )


def _number_errors(
    value: float, node: Node, path: str
) -> Iterator[FieldError]:
    step = node.raw.get("multipleOf")
    if step is not None and not is_multiple(value, step):
        detail = f"should be a multiple of {go_number(step)}"
        yield invalid(path, value, f"{path} in body {detail}")
    high, low = node.raw.get("maximum"), node.raw.get("minimum")
    if high is not None:
        exclusive = bool(node.raw.get("exclusiveMaximum"))
        if value > high or (exclusive and value == high):
            word = "less than" if exclusive else "less than or equal to"
            detail = f"{path} in body should be {word} {go_number(high)}"
            yield invalid(path, value, detail)
    if low is not None:
        exclusive = bool(node.raw.get("exclusiveMinimum"))
        if value < low or (exclusive and value == low):
            word = "greater than" if exclusive else "greater than or equal to"
            detail = f"{path} in body should be {word} {go_number(low)}"
            yield invalid(path, value, detail)


def is_multiple(value: float, step: float) -> bool:
    """Tell whether `value` is a multiple of `step`, in decimal terms."""
    try:
        return step == 0 or Decimal(str(value)) % Decimal(str(step)) == 0
    except InvalidOperation:
        return False
