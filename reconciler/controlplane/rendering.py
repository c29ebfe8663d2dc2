"""From answers to JSON text in the form that the client accepts."""

from __future__ import annotations

from typing import Any

import orjson

from reconciler.controlplane.errors import bad_request
from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.media import JSON, MediaRange
from reconciler.controlplane.objects import form, table
from reconciler.controlplane.verbs.call import Answer

Json = dict[str, Any]

TABLE = ("Table", "v1")
ITEM_FORMS = (TABLE, ("PartialObjectMetadata", "v1"))
LIST_FORMS = (TABLE, ("PartialObjectMetadataList", "v1"))
_INCLUDES = ("", "Metadata", "None", "Object")


def include_of(text: str) -> str:
    """The includeObject option of a table.

    Raises:
        ApiError: 400, it is unknown.
    """
    if text not in _INCLUDES:
        msg = f"unknown includeObject {text!r}"
        raise bad_request(msg)
    return text or "Metadata"


def content_type(accepted: MediaRange) -> str:
    """The Content-Type of an answer in an accepted form."""
    if not accepted.transform:
        return JSON
    order = ("as", "g", "v")
    return ";".join(
        [
            JSON,
            *(
                f"{key}={accepted.parameters[key]}"
                for key in order
                if key in accepted.parameters
            ),
        ]
    )


def render(
    kind: ResourceKind, answer: Answer, accepted: MediaRange, include: str
) -> bytes:
    """The text of an answer."""
    if answer.items is not None:
        return _render_list(kind, answer, accepted, include)
    if not accepted.transform or _is_status(answer):
        return answer.raw or orjson.dumps(answer.obj)
    obj = (
        answer.obj
        if answer.obj is not None
        else orjson.loads(answer.raw or b"")
    )
    if accepted.transform == "Table":
        version = obj["metadata"].get("resourceVersion", "")
        metadata = {"resourceVersion": version}
        return orjson.dumps(table.table(kind, [obj], metadata, include))
    return orjson.dumps(table.partial(obj))


def _is_status(answer: Answer) -> bool:
    return answer.obj is not None and answer.obj.get("kind") == "Status"


def _render_list(
    kind: ResourceKind, answer: Answer, accepted: MediaRange, include: str
) -> bytes:
    items = answer.items or []
    if not accepted.transform:
        head = {
            "apiVersion": kind.api_version,
            "kind": kind.list_name,
            "metadata": answer.metadata,
        }
        texts = b",".join(form.raw(kind, stored) for stored in items)
        return orjson.dumps(head)[:-1] + b',"items":[' + texts + b"]}"
    objects = [form.read(kind, stored) for stored in items]
    if accepted.transform == "Table":
        return orjson.dumps(
            table.table(kind, objects, answer.metadata, include)
        )
    return orjson.dumps(table.partial_list(objects, answer.metadata))
