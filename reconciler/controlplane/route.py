"""What a URL asks for: group, version, namespace, resource, name."""

from __future__ import annotations

from dataclasses import dataclass

_CORE_LENGTH = 2
_GROUP_LENGTH = 3


@dataclass(frozen=True)
class Route:
    """A resource path, taken apart."""

    group: str
    version: str
    namespace: str | None
    """None for cluster-wide paths."""

    resource: str
    name: str
    subresource: str


def parse(path: str) -> Route | None:
    """Take apart a path below /api/<version> or /apis/<group>/<version>.

    Args:
        path: The decoded path of the URL.

    Returns:
        None if this is no path of a resource.
    """
    parts = path.strip("/").split("/")
    if "" in parts:
        return None
    if parts[0] == "api" and len(parts) > _CORE_LENGTH:
        return _resource("", parts[1], parts[2:])
    if parts[0] == "apis" and len(parts) > _GROUP_LENGTH:
        return _resource(parts[1], parts[2], parts[3:])
    return None


def _resource(group: str, version: str, rest: list[str]) -> Route | None:
    namespace: str | None = None
    # /namespaces/<name>/<resource> is scoped, unless the third part is a
    # subresource of the namespace itself.
    scoped = len(rest) > _CORE_LENGTH and rest[0] == "namespaces"
    if scoped and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > _GROUP_LENGTH:
        return None
    padded = [*rest, "", ""]
    return Route(group, version, namespace, *padded[:3])
