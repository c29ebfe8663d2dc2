"""CEL's functions on URLs, IP addresses and networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from reconciler.controlplane.schema.cel.operators import OVERLOAD
from reconciler.controlplane.schema.cel.strings import text
from reconciler.controlplane.schema.cel.values import CELError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Interface | ipaddress.IPv6Interface

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f]")


def _parsed_url(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - a port that is no number raises
    except ValueError:
        return None
    usable = bool(parts.scheme) or value.startswith("/")
    return parts if usable and not _FORBIDDEN.search(value) else None


def _url(value: Any) -> SplitResult:
    parts = _parsed_url(text(value))
    if parts is None:
        msg = f"URL parse error during conversion from string: {value}"
        raise CELError(msg)
    return parts


def _of_url(read: Callable[[SplitResult], Any]) -> Callable[[Any], Any]:
    def get(value: Any) -> Any:
        if not isinstance(value, SplitResult):
            raise CELError(OVERLOAD)
        return read(value)

    return get


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _parsed_ip(value: str) -> Address | None:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    mapped = isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped is not None or address.scope_id is not None
    )
    return None if mapped else address


def _ip(value: Any) -> Address:
    """Read an address, or return that of a network."""
    if isinstance(value, Network):
        return value.ip
    address = _parsed_ip(text(value))
    if address is None:
        msg = f"IP Address {value!r} parse error during conversion from string"
        raise CELError(msg)
    return address


def _parsed_cidr(value: str) -> Network | None:
    address, slash, length = value.partition("/")
    if not (slash and length.isascii() and length.isdigit()):
        return None
    if _parsed_ip(address) is None:
        return None
    try:
        return ipaddress.ip_interface(value)
    except ValueError:
        return None


def _cidr(value: Any) -> Network:
    network = _parsed_cidr(text(value))
    if network is None:
        msg = (
            f"network address parse error during conversion from string: "
            f"{value}"
        )
        raise CELError(msg)
    return network


def _network(value: Any) -> Network:
    return value if isinstance(value, Network) else _cidr(value)


def _own(value: Any, kind: Any) -> Any:
    if isinstance(value, kind):
        return value
    raise CELError(OVERLOAD)


def _contains_ip(network: Any, address: Any) -> bool:
    inside = address if isinstance(address, Address) else _ip(address)
    return inside in _own(network, Network).network


def _contains_cidr(network: Any, other: Any) -> bool:
    outer, inner = _own(network, Network).network, _network(other).network
    return bool(outer.version == inner.version and inner.subnet_of(outer))


def _family(value: Any) -> int:
    version: int = _own(value, Address).version
    return version


def _of_ip(read: Callable[[Address], bool]) -> Callable[[Any], bool]:
    return lambda value: read(_own(value, Address))


def _global_unicast(address: Address) -> bool:
    """Go's meaning: private addresses are global unicast, too."""
    broadcast = address.version == 4 and int(address) == 2**32 - 1  # noqa: PLR2004
    return not (
        broadcast
        or address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
    )


ADDRESS_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "isURL": lambda v: _parsed_url(text(v)) is not None,
    "url": _url,
    "getScheme": _of_url(lambda u: u.scheme),
    "getHost": _of_url(_host),
    "getHostname": _of_url(lambda u: u.hostname or ""),
    "getPort": _of_url(lambda u: "" if u.port is None else str(u.port)),
    "getEscapedPath": _of_url(lambda u: u.path),
    "getQuery": _of_url(lambda u: parse_qs(u.query, keep_blank_values=True)),
    "isIP": lambda v: _parsed_ip(text(v)) is not None,
    "ip": _ip,
    "ip.isCanonical": lambda v: str(_ip(text(v))) == v,
    "family": _family,
    "isUnspecified": _of_ip(lambda a: a.is_unspecified),
    "isLoopback": _of_ip(lambda a: a.is_loopback),
    "isLinkLocalUnicast": _of_ip(
        lambda a: a.is_link_local and not a.is_multicast
    ),
    "isGlobalUnicast": _of_ip(_global_unicast),
    "isCIDR": lambda v: _parsed_cidr(text(v)) is not None,
    "cidr": _cidr,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "prefixLength": lambda v: _own(v, Network).network.prefixlen,
    "masked": lambda v: _masked(_own(v, Network)),
}


def _masked(network: Network) -> Network:
    return ipaddress.ip_interface(network.network.with_prefixlen)
