"""CEL's functions, standard and Kubernetes', by name.

A method is a function whose first argument is the receiver.
"""

from __future__ import annotations

import math
import zoneinfo
from collections.abc import Callable
from datetime import datetime
from functools import reduce
from typing import Any, Final

from reconciler.controlplane.schema.cel.addresses import ADDRESS_FUNCTIONS
from reconciler.controlplane.schema.cel.operators import (
    OVERLOAD,
    add,
    bounded,
    contains,
    equal,
    is_number,
    less,
)
from reconciler.controlplane.schema.cel.quantities import QUANTITY_FUNCTIONS
from reconciler.controlplane.schema.cel.strings import (
    STRING_FUNCTIONS,
    show,
    text,
)
from reconciler.controlplane.schema.cel.values import (
    NANO,
    CELError,
    Duration,
    Optional,
    Timestamp,
    Uint,
    parse_duration,
    parse_timestamp,
    spend,
)

Function = Callable[..., Any]


def _size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise CELError(OVERLOAD)


def _items(value: Any) -> list[Any]:
    if isinstance(value, list):
        spend(len(value))
        return value
    raise CELError(OVERLOAD)


def _is_sorted(value: Any) -> bool:
    items = _items(value)
    return not any(map(less, items[1:], items))


def _sum(value: Any) -> Any:
    items = _items(value)
    return reduce(add, items) if items else 0


def _extreme(name: str, value: Any, *more: Any) -> Any:
    items = [value, *more] if more else _items(value)
    if not items:
        msg = f"{name} called on empty list"
        raise CELError(msg)
    best = items[0]
    for item in items[1:]:
        better = less(item, best) if name == "min" else less(best, item)
        best = item if better else best
    return best


def _index_of(value: Any, item: Any, start: Any = 0) -> int:
    if isinstance(value, str):
        return value.find(text(item), start)
    found = (i for i, one in enumerate(_items(value)) if equal(one, item))
    return next(found, -1)


def _last_index_of(value: Any, item: Any) -> int:
    if isinstance(value, str):
        return value.rfind(text(item))
    found = [i for i, one in enumerate(_items(value)) if equal(one, item)]
    return found[-1] if found else -1


def _int(value: Any) -> int:
    if isinstance(value, Timestamp):
        return value.nanos // NANO
    if isinstance(value, float) and not math.isfinite(value):
        raise CELError("integer overflow")
    return bounded(_converted(int, value))


def _uint(value: Any) -> int:
    return bounded(_converted(int, value), Uint(0))


def _double(value: Any) -> float:
    return float(_converted(float, value))


def _converted(kind: type, value: Any) -> Any:
    if not (is_number(value) or isinstance(value, str)):
        raise CELError(OVERLOAD)
    try:
        return kind(value)
    except ValueError as error:
        msg = f"type conversion error: {value!r}"
        raise CELError(msg) from error


def _string(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Timestamp):
        return value.moment().strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Duration):
        return f"{show(value.nanos / NANO)}s"
    if isinstance(value, list | dict) or value is None:
        raise CELError(OVERLOAD)
    return show(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "True", "TRUE", "t", "1"):
        return True
    if value in ("false", "False", "FALSE", "f", "0"):
        return False
    raise CELError(OVERLOAD)


_TYPES: Final[dict[type, str]] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    dict: "map",
    type(None): "null_type",
    Timestamp: "google.protobuf.Timestamp",
    Duration: "google.protobuf.Duration",
}
TYPE_NAMES: Final = frozenset(
    [
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "map",
        "list",
        "null_type",
        "type",
    ]
)


class TypeName(str):
    """The result of ``type()``."""

    __slots__ = ()


def _type(value: Any) -> TypeName:
    kind = "list" if isinstance(value, list) else _TYPES.get(type(value))
    return TypeName(kind or "type")


def _part(read: Callable[[datetime], int]) -> Function:
    def get(value: Any, zone: Any = "UTC") -> int:
        if not isinstance(value, Timestamp):
            raise CELError(OVERLOAD)
        try:
            place = zoneinfo.ZoneInfo(text(zone))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
            msg = f"unknown time zone {zone}"
            raise CELError(msg) from error
        return read(value.moment().astimezone(place))

    return get


def _span(read: Callable[[datetime], int], nanos: int) -> Function:
    of_moment = _part(read)

    def get(value: Any, *zone: Any) -> int:
        if isinstance(value, Duration):
            return int(value.nanos / nanos)
        return int(of_moment(value, *zone))

    return get


def _optional(value: Any) -> Optional:
    if isinstance(value, Optional):
        return value
    raise CELError(OVERLOAD)


def _value(value: Any) -> Any:
    if not _optional(value).present:
        raise CELError("optional.none() dereference")
    return value.value


def _or_value(value: Any, other: Any) -> Any:
    return value.value if _optional(value).present else other


def _or(value: Any, other: Any) -> Optional:
    return _optional(value) if _optional(value).present else _optional(other)


def _read(kind: type, parse: Callable[[str], Any]) -> Function:
    return lambda v: v if isinstance(v, kind) else parse(text(v))


def _subset(left: Any, right: Any) -> bool:
    items = _items(left)
    return all(contains(items, item) for item in _items(right))


def _intersect(left: Any, right: Any) -> bool:
    items = _items(right)
    return any(contains(items, item) for item in _items(left))


FUNCTIONS: Final[dict[str, Function]] = {
    **STRING_FUNCTIONS,
    **QUANTITY_FUNCTIONS,
    **ADDRESS_FUNCTIONS,
    "size": _size,
    "dyn": lambda v: v,
    "type": _type,
    "int": _int,
    "uint": _uint,
    "double": _double,
    "string": _string,
    "bool": _bool,
    "bytes": lambda v: v if isinstance(v, bytes) else text(v).encode(),
    "duration": _read(Duration, parse_duration),
    "timestamp": _read(Timestamp, parse_timestamp),
    "isSorted": _is_sorted,
    "sum": _sum,
    "min": lambda v: _extreme("min", v),
    "max": lambda v: _extreme("max", v),
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "getFullYear": _part(lambda t: t.year),
    "getMonth": _part(lambda t: t.month - 1),
    "getDate": _part(lambda t: t.day),
    "getDayOfMonth": _part(lambda t: t.day - 1),
    "getDayOfWeek": _part(lambda t: t.isoweekday() % 7),
    "getDayOfYear": _part(lambda t: t.timetuple().tm_yday - 1),
    "getHours": _span(lambda t: t.hour, 3600 * NANO),
    "getMinutes": _span(lambda t: t.minute, 60 * NANO),
    "getSeconds": _span(lambda t: t.second, NANO),
    "getMilliseconds": _span(lambda t: t.microsecond // 1000, 10**6),
    "hasValue": lambda v: _optional(v).present,
    "value": _value,
    "orValue": _or_value,
    "or": _or,
    "optional.of": lambda v: Optional(present=True, value=v),
    "optional.none": Optional,
    "optional.ofNonZeroValue": lambda v: (
        Optional(present=True, value=v) if v else Optional()
    ),
    "sets.contains": _subset,
    "sets.equivalent": lambda a, b: _subset(a, b) and _subset(b, a),
    "sets.intersects": _intersect,
    "math.greatest": lambda v, *more: _extreme("max", v, *more),
    "math.least": lambda v, *more: _extreme("min", v, *more),
}
NAMESPACES: Final = frozenset(("ip", "math", "optional", "sets"))
