"""/healthz, /livez and /readyz, as probes and people ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ENDPOINTS = ("/healthz", "/livez", "/readyz")


@dataclass(frozen=True)
class Health:
    """What a health endpoint answers."""

    code: int
    text: str


def health(path: str, *, ready: bool, verbose: bool) -> Health | None:
    """The answer under a path, or None if it is no health endpoint.

    Args:
        path: An endpoint, or one of its checks such as ``/livez/ping``.
        ready: The server takes requests; false while it stops.
        verbose: Name the checks.
    """
    endpoint, _, check = path.strip("/").partition("/")
    if f"/{endpoint}" not in ENDPOINTS:
        return None
    checks = dict(_checks(endpoint, ready=ready))
    if check:
        if check not in checks:
            return None
        checks = {check: checks[check]}
    healthy = all(checks.values())
    if healthy and not (verbose and not check):
        return Health(200, "ok")
    lines = [
        f"[+]{name} ok" if sound else f"[-]{name} failed: reason withheld"
        for name, sound in checks.items()
    ]
    lines.append(f"{endpoint} check {'passed' if healthy else 'failed'}\n")
    return Health(200 if healthy else 500, "\n".join(lines))


def _checks(endpoint: str, *, ready: bool) -> Iterator[tuple[str, bool]]:
    yield "ping", True
    if endpoint == "readyz":
        yield "shutdown", ready
