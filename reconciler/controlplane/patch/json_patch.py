"""JSON patch (RFC 6902), with the server's errors."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from reconciler.controlplane.patch.errors import PatchError
from reconciler.controlplane.patch.fields import compact
from reconciler.controlplane.schema.go_decoding import cannot_unmarshal
from reconciler.controlplane.schema.values import same

MAX_OPERATIONS: Final = 10_000
"""Operations that the server accepts in one patch."""

MAX_COPIED: Final = 3 * 1024 * 1024
"""Bytes that the copy operations of one patch may add."""

Operation = dict[str, Any]

REJECTED: Final = (
    "the server rejected our request due to an error in our request"
)
"""What the server says of a patch that does not fit; a cause says more."""


def json_patch(obj: Any, ops: Any) -> Any:
    """Return `obj` with a JSON patch applied; neither is changed.

    Raises:
        PatchError: the patch is malformed (400), has too many operations
            (413), or does not fit the object (422), a failed test included.
    """
    if not isinstance(ops, list):
        why = cannot_unmarshal(ops, "[]handlers.jsonPatchOp")
        msg = f"error decoding patch: {why}"
        raise PatchError(msg)
    if len(ops) > MAX_OPERATIONS:
        msg = (
            "Request entity too large: "
            f"The allowed maximum operations in a JSON patch is "
            f"{MAX_OPERATIONS}, got {len(ops)}"
        )
        raise PatchError(msg, 413, "RequestEntityTooLarge")
    document = [deepcopy(obj)]
    budget = Budget()
    try:
        for op in ops:
            _apply(document, op, budget)
    except RecursionError as error:
        raise _unfit("the patched object is nested too deeply") from error
    return document[0]


@dataclass(slots=True)
class Budget:
    """What a patch may still copy, in bytes of JSON."""

    left: int = MAX_COPIED

    def spend(self, size: int) -> None:
        """Take `size` bytes.

        Raises:
            PatchError: there are not so many left.
        """
        self.left -= size
        if self.left < 0:
            msg = (
                "Unable to complete the copy, the accumulated size increase "
                f"of copy is over the limit {MAX_COPIED}"
            )
            raise _unfit(msg)


def _apply(document: list[Any], op: Any, budget: Budget) -> None:
    if not isinstance(op, dict):
        why = cannot_unmarshal(op, "handlers.jsonPatchOp")
        msg = f"error decoding patch: {why}"
        raise PatchError(msg)
    name = op.get("op", "unknown")
    action = _ACTIONS.get(name) if isinstance(name, str) else None
    if action is None:
        msg = f"Unexpected kind: {name}"
        raise _unfit(msg)
    action(document, op, budget)


def _unfit(detail: str) -> PatchError:
    return PatchError(REJECTED, 422, "Invalid", detail)


def _pointer(op: dict[str, Any], field: str = "path") -> list[str]:
    text = op.get(field)
    if not isinstance(text, str):
        msg = f"{op.get('op')} operation missing {field}"
        raise _unfit(msg)
    if text and not text.startswith("/"):
        msg_0 = f"jsonpatch: invalid pointer {text!r}"
        raise _unfit(msg_0)
    return [t.replace("~1", "/").replace("~0", "~") for t in _split(text)]


def _split(text: str) -> list[str]:
    return text.split("/")[1:] if text else []


def _value(op: dict[str, Any]) -> Any:
    """Return an operation's value; the server takes none as null."""
    return deepcopy(op.get("value"))


def _parent(document: list[Any], path: list[str], verb: str) -> Any:
    """Return the container that holds the last token of `path`."""
    here: Any = document
    for token in ["0", *path][:-1]:
        here = _step(here, token, path, verb)
    return here


def _step(here: Any, token: str, path: list[str], verb: str) -> Any:
    if isinstance(here, dict) and token in here:
        return here[token]
    if isinstance(here, list):
        return here[_index(here, token, path, verb)]
    raise _missing(path, verb)


def _missing(path: list[str], verb: str) -> PatchError:
    return _unfit(
        f"{verb} operation does not apply: doc is missing path: "
        f'"{_text(path)}": missing value'
    )


def _text(path: list[str]) -> str:
    return "".join("/" + t.replace("~", "~0").replace("/", "~1") for t in path)


def _index(
    items: list[Any], token: str, path: list[str], verb: str, extra: int = 0
) -> int:
    digits = token.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise _missing(path, verb)
    index = int(token)
    if index < 0:
        # As the server does: -1 is the last item, or the place after it.
        index += len(items) + extra
    if not 0 <= index < len(items) + extra:
        msg = (
            f"error in {verb} for path: '{_text(path)}': Unable to access "
            f"invalid index: {token}: invalid index referenced"
        )
        raise _unfit(msg)
    return index


def _get(document: list[Any], path: list[str], verb: str) -> Any:
    """Return what is at a path; a map's absent field is null."""
    if not path:
        return document[0]
    parent, last = _parent(document, path, verb), path[-1]
    if isinstance(parent, dict):
        return parent.get(last)
    return _step(parent, last, path, verb)


def _put(document: list[Any], path: list[str], value: Any, verb: str) -> None:
    if not path:
        raise _missing(path, verb)
    parent, last = _parent(document, path, verb), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and last == "-":
        parent.append(value)
    elif isinstance(parent, list):
        parent.insert(_index(parent, last, path, verb, 1), value)
    else:
        raise _missing(path, verb)


def _delete(document: list[Any], path: list[str], verb: str) -> Any:
    if not path:
        raise _missing(path, verb)
    parent, last = _parent(document, path, verb), path[-1]
    if isinstance(parent, dict):
        if last not in parent:
            msg = (
                f"error in {verb} for path: '{_text(path)}': Unable to "
                f"remove nonexistent key: {last}: missing value"
            )
            raise _unfit(msg)
        return parent.pop(last)
    if isinstance(parent, list):
        return parent.pop(_index(parent, last, path, verb))
    raise _missing(path, verb)


def _add(document: list[Any], op: Operation, _: Budget) -> None:
    _put(document, _pointer(op), _value(op), "add")


def _remove(document: list[Any], op: Operation, _: Budget) -> None:
    _delete(document, _pointer(op), "remove")


def _replace(document: list[Any], op: Operation, _: Budget) -> None:
    """Replace what is there; a map's absent field is added.

    The server's JSON patch library does that, and clients rely on it.
    """
    path, value = _pointer(op), _value(op)
    if not path:
        if not isinstance(value, dict | list):
            msg = "replace operation value must be object or array"
            raise _unfit(msg)
        document[0] = value
        return
    parent, last = _parent(document, path, "replace"), path[-1]
    if isinstance(parent, list):
        parent[_index(parent, last, path, "replace")] = value
    elif isinstance(parent, dict):
        parent[last] = value
    else:
        raise _missing(path, "replace")


def _move(document: list[Any], op: Operation, _: Budget) -> None:
    source, target = _pointer(op, "from"), _pointer(op)
    _put(document, target, _delete(document, source, "move"), "move")


def _copy(document: list[Any], op: Operation, budget: Budget) -> None:
    value = deepcopy(_get(document, _pointer(op, "from"), "copy"))
    budget.spend(len(compact(value)))
    _put(document, _pointer(op), value, "copy")


def _test(document: list[Any], op: Operation, _: Budget) -> None:
    path = _pointer(op)
    if not same(_get(document, path, "test"), op.get("value")):
        msg = f"testing value {_text(path)} failed: test failed"
        raise _unfit(msg)


Action = Callable[[list[Any], Operation, Budget], None]
_ACTIONS: Final[dict[str, Action]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
