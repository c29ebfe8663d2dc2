"""Patches of every kind, server-side apply and field ownership. Pure."""

from reconciler.controlplane.patch.apply import (
    server_side_apply,
    update_managed_fields,
)
from reconciler.controlplane.patch.errors import (
    Conflict,
    PatchError,
    conflict_message,
)
from reconciler.controlplane.patch.json_patch import json_patch
from reconciler.controlplane.patch.merge import merge_patch
from reconciler.controlplane.patch.strategic import strategic_merge

__all__ = [
    "Conflict",
    "PatchError",
    "conflict_message",
    "json_patch",
    "merge_patch",
    "server_side_apply",
    "strategic_merge",
    "update_managed_fields",
]
