"""String formats that a schema may name; unknown formats mean nothing."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

_DATETIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}([.,]\d+)?"
    r"([Zz]|[+-]\d{2}:\d{2})\Z",
    re.ASCII,
)
_GO_DURATION: Final = re.compile(
    r"[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)\Z", re.ASCII
)
_WORD_DURATION: Final = re.compile(
    r"-?(\d+)\s*(ns|nano|us|µs|micro|ms|milli|s|sec|second|m|min|minute"
    r"|h|hr|hour|d|day|w|week|wk)s?\Z",
    re.ASCII | re.IGNORECASE,
)
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?([0-9a-f])[0-9a-f]{3}-?([0-9a-f])[0-9a-f]{3}"
    r"-?[0-9a-f]{12}\Z",
    re.ASCII | re.IGNORECASE,
)
_VARIANT: Final = "89abAB"
_HOST_LABEL: Final = re.compile(
    r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?\Z", re.ASCII
)
_EMAIL: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\Z")
_MAC: Final = re.compile(
    r"([0-9A-F]{2}([:-])(([0-9A-F]{2}\2){4}|([0-9A-F]{2}\2){6}"
    r"|([0-9A-F]{2}\2){18})[0-9A-F]{2}"
    r"|([0-9A-F]{4}\.){2}[0-9A-F]{4}|([0-9A-F]{4}\.){3}[0-9A-F]{4}"
    r"|([0-9A-F]{4}\.){9}[0-9A-F]{4})\Z",
    re.ASCII | re.IGNORECASE,
)
_BYTE_VALUE: Final = r"(1?[0-9]{1,2}|2[0-4][0-9]|25[0-5])"
_RGB_COLOR: Final = re.compile(
    rf"rgb\(\s*{_BYTE_VALUE}\s*,\s*{_BYTE_VALUE}\s*,\s*{_BYTE_VALUE}\s*\)\Z",
    re.ASCII,
)
_SSN: Final = re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}\Z", re.ASCII)
_OBJECT_ID: Final = re.compile(r"[0-9a-f]{24}\Z", re.ASCII | re.IGNORECASE)
_CARD: Final = re.compile(r"\d{12,19}\Z", re.ASCII)
_ISBN10: Final = re.compile(r"\d{9}[0-9Xx]\Z", re.ASCII)
_ISBN13: Final = re.compile(r"\d{13}\Z", re.ASCII)
_SPACE: Final = re.compile(r"[\x00-\x20\x7f]")
_HEX_COLOR: Final = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})\Z", re.IGNORECASE)
_MAX_HOST: Final = 253


def _date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _date_time(text: str) -> bool:
    if not _DATETIME.match(text):
        return False
    try:
        datetime.fromisoformat(text[:19].upper())
    except ValueError:
        return False
    return True


def _duration(text: str) -> bool:
    return bool(_GO_DURATION.match(text) or _WORD_DURATION.match(text))


def _uuid(version: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        found = _UUID.match(text)
        if found is None:
            return False
        random_or_name = version in ("4", "5")
        return version in ("", found[1]) and (
            not random_or_name or found[2] in _VARIANT
        )

    return check


def _ip(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            # Go reads no zone, such as the one in fe80::1%eth0.
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return "%" not in text and address.version == version

    return check


def _cidr(text: str) -> bool:
    length = text.rpartition("/")[2] if "/" in text else ""
    if not (length.isascii() and length.isdigit()) or "%" in text:
        return False
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def _hostname(text: str) -> bool:
    name = text.removesuffix(".")
    return 0 < len(name) <= _MAX_HOST and all(
        _HOST_LABEL.match(label) for label in name.split(".")
    )


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if _SPACE.search(text):
        return False
    return bool(parts.scheme) or text.startswith("/")


def _digits(text: str) -> str:
    return text.replace("-", "").replace(" ", "")


def _credit_card(text: str) -> bool:
    """Tell whether digits have the right check digit (Luhn)."""
    digits = _digits(text)
    if not _CARD.match(digits):
        return False
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (1 + place % 2)
        total += value // 10 + value % 10
    return total % 10 == 0


def _isbn10(text: str) -> bool:
    digits = _digits(text)
    if not _ISBN10.match(digits):
        return False
    values = [10 if c in "Xx" else int(c) for c in digits]
    return sum(v * w for w, v in enumerate(values, 1)) % 11 == 0


def _isbn13(text: str) -> bool:
    digits = _digits(text)
    if not _ISBN13.match(digits):
        return False
    return sum(int(c) * (1, 3)[i % 2] for i, c in enumerate(digits)) % 10 == 0


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return False
    return True


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.match(text) is not None


FORMATS: Final[dict[str, Callable[[str], bool]]] = {
    "bsonobjectid": _matches(_OBJECT_ID),
    "byte": _byte,
    "cidr": _cidr,
    "creditcard": _credit_card,
    "date": _date,
    "date-time": _date_time,
    "datetime": _date_time,
    "duration": _duration,
    "email": _matches(_EMAIL),
    "hexcolor": _matches(_HEX_COLOR),
    "hostname": _hostname,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "mac": _matches(_MAC),
    "password": lambda _: True,
    "rgbcolor": _matches(_RGB_COLOR),
    "ssn": _matches(_SSN),
    "uri": _uri,
    "uuid": _uuid(""),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4"),
    "uuid5": _uuid("5"),
}


def has_format(text: str, name: str) -> bool:
    """Tell whether `text` has the format; True for an unknown format."""
    check = FORMATS.get(name)
    return check is None or check(text)
