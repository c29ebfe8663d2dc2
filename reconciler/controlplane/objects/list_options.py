"""Which options of a list or a watch go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.controlplane.schema.errors import (
    FieldError,
    forbidden,
    not_supported,
)

EXACT = "Exact"
NOT_OLDER_THAN = "NotOlderThan"
_MATCH = "resourceVersionMatch"
_WITH_CONTINUE = "resourceVersionMatch is forbidden when continue is provided"


def list_faults(query: Mapping[str, str]) -> Iterator[FieldError]:
    """Yield what is wrong with the options of a list."""
    match, version = query.get(_MATCH, ""), query.get("resourceVersion", "")
    if match:
        if not version:
            why = f"{_MATCH} is forbidden unless resourceVersion is provided"
            yield forbidden(_MATCH, why)
        if query.get("continue"):
            yield forbidden(_MATCH, _WITH_CONTINUE)
        if match not in (EXACT, NOT_OLDER_THAN):
            yield not_supported(_MATCH, match, [EXACT, NOT_OLDER_THAN, ""])
        if match == EXACT and version == "0":
            why = f'{_MATCH} "exact" is forbidden for resourceVersion "0"'
            yield forbidden(_MATCH, why)
    if "sendInitialEvents" in query:
        why = "sendInitialEvents is forbidden for list"
        yield forbidden("sendInitialEvents", why)


def watch_faults(query: Mapping[str, str]) -> Iterator[FieldError]:
    """Yield what is wrong with the options of a watch."""
    match, initial = query.get(_MATCH, ""), "sendInitialEvents" in query
    if initial and match != NOT_OLDER_THAN:
        why = f"sendInitialEvents requires setting {_MATCH} to NotOlderThan"
        yield forbidden(_MATCH, why)
    if not match:
        return
    if not initial:
        why = (
            f"{_MATCH} is forbidden for watch unless sendInitialEvents is "
            "provided"
        )
        yield forbidden(_MATCH, why)
    if match != NOT_OLDER_THAN:
        yield not_supported(_MATCH, match, [NOT_OLDER_THAN])
    if query.get("continue"):
        yield forbidden(_MATCH, _WITH_CONTINUE)
