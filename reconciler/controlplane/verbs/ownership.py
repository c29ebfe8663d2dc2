"""Which manager owns which fields after a write that is no apply."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.objects.metadata import now_text
from reconciler.controlplane.patch import update_managed_fields
from reconciler.controlplane.verbs.call import Call

Json = dict[str, Any]


def record(call: Call, old: Json | None, new: Json) -> Json:
    """The new object with managedFields that tell of this write.

    A write to the main path never owns the status of a kind that has the
    status path, though defaults may have filled it in.
    """
    kind, subresource = call.kind, call.route.subresource
    hidden = ("status",) if kind.status and not subresource else ()
    obj = update_managed_fields(
        _without(old, hidden) if old is not None else None,
        _without(new, hidden),
        call.manager(),
        "Update",
        now_text(),
        kind.compiled,
        subresource,
        kind.api_version,
    )
    return obj | {key: new[key] for key in hidden if key in new}


def _without(obj: Json, hidden: tuple[str, ...]) -> Json:
    return {key: value for key, value in obj.items() if key not in hidden}
