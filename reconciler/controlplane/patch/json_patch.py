"""JSON patch (RFC 6902), with the server's errors."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from reconciler.controlplane.patch.errors import PatchError
from reconciler.controlplane.schema.values import same

MAX_OPERATIONS: Final = 10_000
"""Operations that the server accepts in one patch."""

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
        msg = "error decoding patch: the patch is not a list of operations"
        raise PatchError(msg)
    if len(ops) > MAX_OPERATIONS:
        msg = (
            f"The allowed maximum operations in a JSON patch is "
            f"{MAX_OPERATIONS}, got {len(ops)}"
        )
        raise PatchError(msg, 413, "RequestEntityTooLarge")
    document = [deepcopy(obj)]
    for op in ops:
        _apply(document, op)
    return document[0]


def _apply(document: list[Any], op: Any) -> None:
    if not isinstance(op, dict):
        raise PatchError("error decoding patch: an operation is not an object")
    name = op.get("op")
    action = _ACTIONS.get(name) if isinstance(name, str) else None
    if action is None:
        raise _unfit(f"Unexpected kind: {name}")
    action(document, op)


def _unfit(detail: str) -> PatchError:
    return PatchError(REJECTED, 422, "Invalid", detail)


def _pointer(op: dict[str, Any], field: str = "path") -> list[str]:
    text = op.get(field)
    if not isinstance(text, str):
        msg = f"{op.get('op')} operation missing {field}"
        raise _unfit(msg)
    if text and not text.startswith("/"):
        raise _unfit(f"jsonpatch: invalid pointer {text!r}")
    return [t.replace("~1", "/").replace("~0", "~") for t in _split(text)]


def _split(text: str) -> list[str]:
    return text.split("/")[1:] if text else []


def _value(op: dict[str, Any]) -> Any:
    if "value" not in op:
        raise _unfit(f"{op['op']} operation missing value")
    return deepcopy(op["value"])


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


def _no_key(path: list[str], verb: str) -> PatchError:
    return _unfit(
        f"{verb} operation does not apply: doc is missing key: "
        f"{_text(path)}: missing value"
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
        index += len(items)
    if not 0 <= index < len(items) + extra:
        raise _unfit(
            f"error in {verb} for path: '{_text(path)}': Unable to access "
            f"invalid index: {token}: invalid index referenced"
        )
    return index


def _get(document: list[Any], path: list[str], verb: str) -> Any:
    if not path:
        return document[0]
    parent, token = _parent(document, path, verb), path[-1]
    if isinstance(parent, dict) and token not in parent:
        raise _no_key(path, verb)
    return _step(parent, token, path, verb)


def _put(document: list[Any], path: list[str], value: Any, verb: str) -> None:
    if not path:
        document[0] = value
        return
    parent, token = _parent(document, path, verb), path[-1]
    if isinstance(parent, dict):
        parent[token] = value
    elif isinstance(parent, list) and token == "-":
        parent.append(value)
    elif isinstance(parent, list):
        parent.insert(_index(parent, token, path, verb, 1), value)
    else:
        raise _missing(path, verb)


def _delete(document: list[Any], path: list[str], verb: str) -> Any:
    if not path:
        value, document[0] = document[0], None
        return value
    parent, token = _parent(document, path, verb), path[-1]
    if isinstance(parent, dict):
        if token not in parent:
            raise _unfit(
                f"error in {verb} for path: '{_text(path)}': Unable to "
                f"remove nonexistent key: {token}: missing value"
            )
        return parent.pop(token)
    if isinstance(parent, list):
        return parent.pop(_index(parent, token, path, verb))
    raise _missing(path, verb)


def _add(document: list[Any], op: dict[str, Any]) -> None:
    _put(document, _pointer(op), _value(op), "add")


def _remove(document: list[Any], op: dict[str, Any]) -> None:
    _delete(document, _pointer(op), "remove")


def _replace(document: list[Any], op: dict[str, Any]) -> None:
    path, value = _pointer(op), _value(op)
    _get(document, path, "replace")
    if not path:
        document[0] = value
        return
    parent, token = _parent(document, path, "replace"), path[-1]
    if isinstance(parent, list):
        parent[_index(parent, token, path, "replace")] = value
    else:
        parent[token] = value


def _move(document: list[Any], op: dict[str, Any]) -> None:
    source, target = _pointer(op, "from"), _pointer(op)
    if target[: len(source)] == source and target != source:
        raise _unfit("move operation does not apply: path is inside from")
    _put(document, target, _delete(document, source, "move"), "move")


def _copy(document: list[Any], op: dict[str, Any]) -> None:
    value = deepcopy(_get(document, _pointer(op, "from"), "copy"))
    _put(document, _pointer(op), value, "copy")


def _test(document: list[Any], op: dict[str, Any]) -> None:
    path = _pointer(op)
    parent = _parent(document, path, "test")
    absent = bool(path) and isinstance(parent, dict) and path[-1] not in parent
    actual = None if absent else _get(document, path, "test")
    if not same(actual, op.get("value")):
        raise _unfit(f"testing value {_text(path)} failed: test failed")


_ACTIONS: Final[dict[str, Callable[[list[Any], dict[str, Any]], None]]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
