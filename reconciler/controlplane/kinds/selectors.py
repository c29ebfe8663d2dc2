"""Rules for label selectors in built-in kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.controlplane.objects.names import (
    check_label_value,
    check_labels,
    check_qualified,
)
from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

_WITH_VALUES, _WITHOUT = ("In", "NotIn"), ("Exists", "DoesNotExist")


def check_selector(selector: Json, path: str) -> Iterator[FieldError]:
    """Field errors for a ``metav1.LabelSelector``."""
    labels = selector.get("matchLabels") or {}
    yield from check_labels(labels, f"{path}.matchLabels")
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        yield from _check_term(term, f"{path}.matchExpressions[{index}]")


def _check_term(term: Json, path: str) -> Iterator[FieldError]:
    operator, values = term["operator"], term.get("values") or []
    if operator in _WITH_VALUES and not values:
        why = "must be specified when `operator` is 'In' or 'NotIn'"
        yield FieldError(f"{path}.values", "FieldValueRequired", why)
    elif operator in _WITHOUT and values:
        why = (
            "may not be specified when `operator` is 'Exists' or "
            "'DoesNotExist'"
        )
        yield FieldError(f"{path}.values", "FieldValueForbidden", why)
    elif operator not in (*_WITH_VALUES, *_WITHOUT):
        why = "not a valid selector operator"
        yield FieldError(
            f"{path}.operator", "FieldValueInvalid", why, operator
        )
    yield from check_qualified(term["key"], f"{path}.key")
    for index, value in enumerate(values):
        yield from check_label_value(value, f"{path}.values[{index}]")
