"""CEL's operators over plain values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from reconciler.controlplane.schema.cel.values import (
    CELError,
    Duration,
    MapList,
    Optional,
    SetList,
    Timestamp,
    Uint,
    instant,
    span,
    spend,
    spend_text,
)
from reconciler.controlplane.schema.values import INT64_MAX, INT64_MIN

OVERLOAD: Final = "no such overload"


def is_int(value: Any) -> bool:
    """Tell whether a value is an int (a bool is not)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Tell whether a value is an int, a uint or a double."""
    return is_int(value) or isinstance(value, float)


def equal(left: Any, right: Any) -> bool:
    """Compare; values of different types are unequal, never an error."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return _equal_lists(left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            equal(value, right[key]) for key, value in left.items()
        )
    if isinstance(left, str):
        spend_text(len(left))
    return type(left) is type(right) and bool(left == right)


def _equal_lists(left: list[Any], right: list[Any]) -> bool:
    if len(left) != len(right):
        return False
    spend(len(left))
    if isinstance(left, SetList):
        return all(contains(right, item) for item in left)
    if isinstance(left, MapList):
        theirs = {left.key(item): item for item in right}
        return all(
            left.key(item) in theirs and equal(item, theirs[left.key(item)])
            for item in left
        )
    return all(map(equal, left, right))


def contains(container: Any, item: Any) -> bool:
    """Return ``item in container``."""
    if isinstance(container, list):
        spend(len(container))
        return any(equal(item, one) for one in container)
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    raise CELError(OVERLOAD)


def less(left: Any, right: Any) -> bool:
    """Return ``left < right``."""
    if is_number(left) and is_number(right):
        return bool(left < right)
    ordered = (str, bool, bytes, Timestamp, Duration)
    if type(left) is type(right) and isinstance(left, ordered):
        if isinstance(left, str):
            spend_text(len(left))
        return bool(left < right)
    raise CELError(OVERLOAD)


def bounded(value: int, like: Any = 0) -> int:
    """Return an int that fits its 64 bits.

    Raises:
        CELError: it does not fit.
    """
    if isinstance(like, Uint):
        if not 0 <= value < 2**64:
            raise CELError("unsigned integer overflow")
        return Uint(value)
    if not INT64_MIN <= value <= INT64_MAX:
        raise CELError("integer overflow")
    return value


def add(left: Any, right: Any) -> Any:
    """Return ``left + right``."""
    if isinstance(left, list) and isinstance(right, list):
        return _join(left, right)
    if isinstance(left, Timestamp | Duration):
        return _later(left, right)
    if isinstance(left, str) and isinstance(right, str):
        spend_text(len(left) + len(right))
        return left + right
    if isinstance(left, bytes) and isinstance(right, bytes):
        return left + right
    return _arithmetic(left, right, lambda a, b: a + b)


def _later(left: Timestamp | Duration, right: Any) -> Any:
    if isinstance(left, Duration) and isinstance(right, Duration):
        return span(left.nanos + right.nanos)
    if isinstance(left, Timestamp) and isinstance(right, Timestamp):
        raise CELError(OVERLOAD)
    if isinstance(right, Timestamp | Duration):
        return instant(left.nanos + right.nanos)
    raise CELError(OVERLOAD)


def _join(left: list[Any], right: list[Any]) -> list[Any]:
    spend(len(left) + len(right))
    if isinstance(left, SetList):
        return SetList(left + [i for i in right if not contains(left, i)])
    if isinstance(left, MapList):
        merged = {left.key(item): item for item in left}
        merged.update({left.key(item): item for item in right})
        return MapList(list(merged.values()), left.keys)
    return [*left, *right]


def subtract(left: Any, right: Any) -> Any:
    """Return ``left - right``."""
    if isinstance(left, Timestamp) and isinstance(right, Timestamp):
        return span(left.nanos - right.nanos)
    if isinstance(left, Timestamp) and isinstance(right, Duration):
        return instant(left.nanos - right.nanos)
    if isinstance(left, Duration) and isinstance(right, Duration):
        return span(left.nanos - right.nanos)
    return _arithmetic(left, right, lambda a, b: a - b)


def _arithmetic(
    left: Any, right: Any, operation: Callable[[Any, Any], Any]
) -> Any:
    if isinstance(left, float) and isinstance(right, float):
        return operation(left, right)
    if is_int(left) and type(left) is type(right):
        return bounded(operation(int(left), int(right)), left)
    raise CELError(OVERLOAD)


def multiply(left: Any, right: Any) -> Any:
    """Return ``left * right``."""
    return _arithmetic(left, right, lambda a, b: a * b)


def divide(left: Any, right: Any) -> Any:
    """Return ``left / right``; of ints, rounded towards zero."""
    if isinstance(left, float) and right == 0.0:
        return math.nan if left == 0 else math.copysign(math.inf, left)
    if is_int(left) and right == 0:
        raise CELError("division by zero")
    return _arithmetic(left, right, _quotient)


def _quotient(left: Any, right: Any) -> Any:
    if isinstance(left, float):
        return left / right
    size = abs(left) // abs(right)
    return size if (left < 0) == (right < 0) else -size


def modulo(left: Any, right: Any) -> Any:
    """Return ``left % right``, with the sign of `left`."""
    if isinstance(left, float) or isinstance(right, float):
        raise CELError(OVERLOAD)
    if is_int(left) and right == 0:
        raise CELError("modulus by zero")
    return _arithmetic(left, right, lambda a, b: a - b * _quotient(a, b))


def negate(value: Any) -> Any:
    """Return ``-value``."""
    if isinstance(value, float):
        return -value
    if is_int(value) and not isinstance(value, Uint):
        return bounded(-value)
    raise CELError(OVERLOAD)


def boolean(value: Any) -> bool:
    """Return a bool operand as it is.

    Raises:
        CELError: the value is no bool.
    """
    if isinstance(value, bool):
        return value
    raise CELError(OVERLOAD)


def index(container: Any, key: Any) -> Any:
    """Return ``container[key]``."""
    if isinstance(container, dict):
        if isinstance(key, str) and key in container:
            return container[key]
        msg = f"no such key: {key}"
        raise CELError(msg)
    if isinstance(container, list) and _is_whole(key):
        if 0 <= key < len(container):
            return container[int(key)]
        msg = f"index out of bounds: {int(key)}"
        raise CELError(msg)
    raise CELError(OVERLOAD)


def _is_whole(value: Any) -> bool:
    return is_int(value) or (isinstance(value, float) and value.is_integer())


def select(value: Any, name: str) -> Any:
    """Return ``value.name``."""
    if isinstance(value, Optional):
        if not value.present or not has(value.value, name):
            return Optional()
        return Optional(present=True, value=select(value.value, name))
    if isinstance(value, dict):
        if name in value:
            return value[name]
        msg = f"no such key: {name}"
        raise CELError(msg)
    raise CELError(OVERLOAD)


def has(value: Any, name: str) -> bool:
    """Return ``has(value.name)``."""
    if isinstance(value, Optional):
        return value.present and has(value.value, name)
    if isinstance(value, dict):
        return name in value
    raise CELError(OVERLOAD)


BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "relation_lt": less,
    "relation_le": lambda a, b: not less(b, a),
    "relation_gt": lambda a, b: less(b, a),
    "relation_ge": lambda a, b: not less(a, b),
    "relation_eq": equal,
    "relation_ne": lambda a, b: not equal(a, b),
    "relation_in": lambda a, b: contains(b, a),
    "addition_add": add,
    "addition_sub": subtract,
    "multiplication_mul": multiply,
    "multiplication_div": divide,
    "multiplication_mod": modulo,
}
