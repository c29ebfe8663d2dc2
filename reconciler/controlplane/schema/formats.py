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
    r"([Zz]|[+-]\d{2}:?\d{2})?\Z",
    re.ASCII,
)
_GO_DURATION: Final = re.compile(
    r"[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)\Z", re.ASCII
)
_WORD_DURATION: Final = re.compile(
    r"-?(\d+)\s*(ns|nano|us|µs|micro|ms|milli|s|sec|second|m|min|minute"
    r"|h|hr|hour|d|day|w|week|wk)s?\Z",
    re.ASCII | re.IGNORECASE,
)
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?([0-9a-f])[0-9a-f]{3}-?[0-9a-f]{4}-?"
    r"[0-9a-f]{12}\Z",
    re.ASCII | re.IGNORECASE,
)
_HOST_LABEL: Final = re.compile(
    r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?\Z", re.ASCII
)
_EMAIL: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\Z")
_MAC: Final = re.compile(
    r"([0-9A-F]{2}([:-])([0-9A-F]{2}\2){4}[0-9A-F]{2}"
    r"|([0-9A-F]{4}\.){2}[0-9A-F]{4})\Z",
    re.ASCII | re.IGNORECASE,
)
_HEX_COLOR: Final = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})\Z", re.I)
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
        return found is not None and version in ("", found[1])

    return check


def _ip(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _cidr(text: str) -> bool:
    if "/" not in text:
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
        return bool(urlsplit(text).scheme) or text.startswith("/")
    except ValueError:
        return False


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return False
    return True


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.match(text) is not None


FORMATS: Final[dict[str, Callable[[str], bool]]] = {
    "byte": _byte,
    "cidr": _cidr,
    "date": _date,
    "date-time": _date_time,
    "datetime": _date_time,
    "duration": _duration,
    "email": _matches(_EMAIL),
    "hexcolor": _matches(_HEX_COLOR),
    "hostname": _hostname,
    "ipv4": _ip(4),
    "ipv6": _ip(6),
    "mac": _matches(_MAC),
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
