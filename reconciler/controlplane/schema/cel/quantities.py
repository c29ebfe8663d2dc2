"""CEL's functions on Kubernetes quantities, such as ``quantity("1.5Gi")``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from reconciler.controlplane.schema.cel.operators import OVERLOAD, is_int
from reconciler.controlplane.schema.cel.strings import text
from reconciler.controlplane.schema.cel.values import CELError
from reconciler.controlplane.schema.values import INT64_MAX, INT64_MIN

_DECIMAL: Final = {
    "n": -9,
    "u": -6,
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
}
_BINARY: Final = {
    name: 10 * power
    for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<power>[+-]?\d{1,3}))?\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An exact amount; the unit is whatever the field's is."""

    amount: Fraction


def parse_quantity(value: str) -> Quantity:
    """Read a quantity such as ``100m``, ``1.5Gi`` or ``2e3``.

    Raises:
        CELError: it is none.
    """
    found = _QUANTITY.match(value)
    if found is None:
        raise CELError(
            "quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number = Fraction(found["number"])
    suffix = found["suffix"] or ""
    if suffix in _BINARY:
        return Quantity(number * 2 ** _BINARY[suffix])
    power = int(found["power"] or _DECIMAL[suffix])
    return Quantity(number * Fraction(10) ** power)


def _is_quantity(value: Any) -> bool:
    return _QUANTITY.match(text(value)) is not None


def _quantity(value: Any) -> Quantity:
    return (
        value if isinstance(value, Quantity) else parse_quantity(text(value))
    )


def _amount(value: Any) -> Fraction:
    """Return the amount of an operand, which may be an int."""
    if isinstance(value, Quantity):
        return value.amount
    if is_int(value):
        return Fraction(int(value))
    raise CELError(OVERLOAD)


def _own(value: Any) -> Fraction:
    if isinstance(value, Quantity):
        return value.amount
    raise CELError(OVERLOAD)


def _as_integer(value: Any) -> int:
    amount = _own(value)
    if amount.denominator != 1 or not INT64_MIN <= amount <= INT64_MAX:
        raise CELError("cannot convert value to integer")
    return int(amount)


def _is_integer(value: Any) -> bool:
    amount = _own(value)
    return amount.denominator == 1 and INT64_MIN <= amount <= INT64_MAX


def _compare(left: Any, right: Any) -> int:
    mine, theirs = _own(left), _amount(right)
    return (mine > theirs) - (mine < theirs)


QUANTITY_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "isQuantity": _is_quantity,
    "quantity": _quantity,
    "sign": lambda v: (_own(v) > 0) - (_own(v) < 0),
    "asInteger": _as_integer,
    "isInteger": _is_integer,
    "asApproximateFloat": lambda v: float(_own(v)),
    "isGreaterThan": lambda a, b: _compare(a, b) > 0,
    "isLessThan": lambda a, b: _compare(a, b) < 0,
    "compareTo": _compare,
    "add": lambda a, b: Quantity(_own(a) + _amount(b)),
    "sub": lambda a, b: Quantity(_own(a) - _amount(b)),
}
