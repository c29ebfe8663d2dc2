"""Field errors, worded as kube-apiserver words them.

Clients read the sentences: kubectl prints them, tests and people compare
them. The wording therefore follows the server, not our taste.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from typing_extensions import override

ErrorType = Literal[
    "FieldValueRequired",
    "FieldValueInvalid",
    "FieldValueNotSupported",
    "FieldValueForbidden",
    "FieldValueTypeInvalid",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueDuplicate",
]

NO_PATH: Final = "<nil>"
"""How the server prints the path of an error of the whole object."""

_SMALLEST_PLAIN: Final = -4
_FIRST_WITH_EXPONENT: Final = 6
_TITLES: Final[dict[str, str]] = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTypeInvalid": "Invalid value",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueDuplicate": "Duplicate value",
}
_WITHOUT_VALUE: Final = frozenset(
    ("FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong")
)


class _Omitted:
    """The value of an error that has none to show."""

    @override
    def __repr__(self) -> str:
        return "OMITTED"


OMITTED: Final = _Omitted()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field.

    Attributes:
        field: path such as ``spec.ports[1].name``.
        type: what the API calls the cause's reason.
        detail: what is wrong, in the server's words; may be empty.
        bad_value: the offending value; some types never show it.
    """

    field: str
    type: ErrorType
    detail: str = ""
    bad_value: Any = OMITTED

    def body(self) -> str:
        """Return the sentence without the path (a cause's message)."""
        title = _TITLES[self.type]
        if self.type not in _WITHOUT_VALUE and self.bad_value is not OMITTED:
            title = f"{title}: {go_value(self.bad_value)}"
        return f"{title}: {self.detail}" if self.detail else title

    def message(self) -> str:
        """Return the whole sentence as kubectl prints it."""
        return f"{self.field}: {self.body()}"


def go_quote(text: str) -> str:
    """Quote text as Go's ``%q`` does for ordinary text."""
    return json.dumps(text, ensure_ascii=False)


def go_number(value: Any) -> str:
    """Print a number as Go's ``%v`` does.

    A float has as many digits as tell it from its neighbours, and an
    exponent from a million on and below a ten-thousandth.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    if not isinstance(exponent, int):
        return str(value)
    power = len(digits) + exponent - 1
    text = "".join(map(str, digits))
    minus = "-" if sign else ""
    if _SMALLEST_PLAIN <= power < _FIRST_WITH_EXPONENT:
        return minus + f"{Decimal(text).scaleb(exponent):f}"
    mantissa = f"{text[0]}.{text[1:]}" if len(text) > 1 else text
    return f"{minus}{mantissa}e{power:+03d}"


def go_value(value: Any) -> str:
    """Print a value as the server prints it inside an error."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return go_number(value)
    if isinstance(value, str):
        return go_quote(value)
    return json.dumps(
        value, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )


def child(path: str, name: str) -> str:
    """Return the path of a named field."""
    return f"{path}.{name}" if path else name


def indexed(path: str, index: int) -> str:
    """Return the path of a list's item."""
    return f"{path}[{index}]"


def keyed(path: str, key: str) -> str:
    """Return the path of a map's entry, where the map's keys are free."""
    return f"{path}[{key}]"


def shown(path: str) -> str:
    """Return the path as an error shows it: the root has none."""
    return path or NO_PATH


def required(path: str, detail: str = "") -> FieldError:
    """A field that must be there is not."""
    return FieldError(shown(path), "FieldValueRequired", detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value breaks a rule."""
    return FieldError(shown(path), "FieldValueInvalid", detail, value)


def type_invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value has the wrong type."""
    return FieldError(shown(path), "FieldValueTypeInvalid", detail, value)


def forbidden(path: str, detail: str) -> FieldError:
    """A field must not be set, or not so."""
    return FieldError(shown(path), "FieldValueForbidden", detail)


def duplicate(path: str, value: Any) -> FieldError:
    """A value occurs twice where it must not."""
    return FieldError(shown(path), "FieldValueDuplicate", "", value)


def not_supported(path: str, value: Any, allowed: list[Any]) -> FieldError:
    """A value is none of those allowed."""
    names = ", ".join(
        go_quote(v if isinstance(v, str) else go_value(v)) for v in allowed
    )
    detail = f"supported values: {names}" if names else ""
    return FieldError(shown(path), "FieldValueNotSupported", detail, value)


def too_long(path: str, limit: int) -> FieldError:
    """A text is longer than allowed; the text itself is not shown."""
    unit = "byte" if limit == 1 else "bytes"
    detail = f"may not be more than {limit} {unit}"
    return FieldError(shown(path), "FieldValueTooLong", detail)


def too_many(path: str, actual: int, limit: int) -> FieldError:
    """A list or a map has more entries than allowed."""
    unit = "item" if limit == 1 else "items"
    detail = f"must have at most {limit} {unit}"
    return FieldError(shown(path), "FieldValueTooMany", detail, actual)
