"""Strategic merge patch of the built-in kinds.

Maps merge; lists of the tables below merge by key or as sets, other lists
are replaced. Directives: ``$patch``, ``$retainKeys``,
``$deleteFromPrimitiveList/x`` and ``$setElementOrder/x``.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from reconciler.controlplane.patch.errors import PatchError
from reconciler.controlplane.schema.values import frozen

_PATCH: Final = "$patch"
_RETAIN: Final = "$retainKeys"
_DELETE_FROM: Final = "$deleteFromPrimitiveList/"
_ORDER: Final = "$setElementOrder/"

_META: Final = {
    "metadata.finalizers": "",
    "metadata.ownerReferences": "uid",
}
MERGE_KEYS: Final[dict[str, dict[str, str]]] = {
    "ServiceAccount": {**_META, "secrets": "name", "imagePullSecrets": "name"},
    "Namespace": {**_META, "status.conditions": "type"},
}
"""Lists that merge, by kind and path: the key, or "" for a set."""

Order = dict[str, list[Any]]


def strategic_merge(
    obj: dict[str, Any], patch: Any, kind: str
) -> dict[str, Any]:
    """Return `obj` with a strategic merge patch applied.

    Args:
        obj: the object; not changed.
        patch: the patch; not changed.
        kind: the built-in kind, for its merge keys.

    Raises:
        PatchError: the patch is malformed.
    """
    if not isinstance(patch, dict):
        raise PatchError("error decoding patch: the patch is not an object")
    result: dict[str, Any] = _merge_map(
        obj, patch, MERGE_KEYS.get(kind, _META), ""
    )
    return result


def _merge_map(
    obj: dict[str, Any],
    patch: dict[str, Any],
    keys: dict[str, str],
    path: str,
) -> dict[str, Any]:
    mode = patch.get(_PATCH)
    if mode == "delete":
        return {}
    if mode == "replace":
        replaced: dict[str, Any] = _plain(patch)
        return replaced
    if mode not in (None, "merge"):
        msg = f"Unknown type of patch: {mode}"
        raise PatchError(msg)
    result = dict(obj)
    _retain(result, patch)
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        here = f"{path}.{name}" if path else name
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), value, keys, here)
    _directives(result, patch, keys, path)
    return result


def _retain(result: dict[str, Any], patch: dict[str, Any]) -> None:
    retained = patch.get(_RETAIN)
    if retained is None:
        return
    fields = [name for name in patch if not name.startswith("$")]
    listed = isinstance(retained, list)
    if not listed or any(name not in retained for name in fields):
        raise PatchError(
            "$retainKeys list doesn't contain all fields in the patch"
        )
    for name in [name for name in result if name not in retained]:
        del result[name]


def _merge(old: Any, new: Any, keys: dict[str, str], path: str) -> Any:
    if isinstance(new, dict):
        return _merge_map(
            old if isinstance(old, dict) else {}, new, keys, path
        )
    if isinstance(new, list) and path in keys:
        base = old if isinstance(old, list) else []
        return _merge_list(base, new, keys, path)
    return _plain(new)


def _plain(value: Any) -> Any:
    """Return a value to be set, without nulls and directives in maps."""
    if isinstance(value, dict):
        return {
            k: _plain(v)
            for k, v in value.items()
            if v is not None and not k.startswith("$")
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return deepcopy(value)


def _merge_list(
    old: list[Any], new: list[Any], keys: dict[str, str], path: str
) -> list[Any]:
    key = keys[path]
    if not key:
        known = set(map(frozen, old))
        return old + [item for item in new if frozen(item) not in known]
    if any(_is_replace(item) for item in new):
        return [_plain(item) for item in new if not _is_replace(item)]
    slots = _Slots(list(old), key)
    for item in new:
        _merge_item(slots, item, keys, path)
    return [item for item in slots.items if item is not None]


class _Slots:
    """A list whose items are found by their key; a removed one is None.

    Found, not searched: lists of thousands must not take minutes.
    """

    def __init__(self, items: list[Any], key: str) -> None:
        self.items, self.key = items, key
        self._places: dict[Any, list[int]] = {}
        for at in reversed(range(len(items))):
            if isinstance(items[at], dict):
                self._at(items[at].get(key)).append(at)

    def _at(self, value: Any) -> list[int]:
        return self._places.setdefault(frozen(value), [])

    def get(self, value: Any) -> Any:
        """The first item whose key is this, or None."""
        places = self._at(value)
        return self.items[places[-1]] if places else None

    def put(self, value: Any, item: Any) -> None:
        """Replace the first item whose key is this, or append."""
        places = self._at(value)
        if places:
            self.items[places[-1]] = item
        else:
            places.append(len(self.items))
            self.items.append(item)

    def remove(self, value: Any) -> None:
        """Remove the first item whose key is this, if there is one."""
        places = self._at(value)
        if places:
            self.items[places.pop()] = None


def _is_replace(item: Any) -> bool:
    return isinstance(item, dict) and item == {_PATCH: "replace"}


def _merge_item(
    slots: _Slots, item: Any, keys: dict[str, str], path: str
) -> None:
    key = slots.key
    if not isinstance(item, dict) or key not in item:
        msg = f"map: {item} does not contain declared merge key: {key}"
        raise PatchError(msg)
    if item.get(_PATCH) == "delete":
        slots.remove(item[key])
    else:
        merged = _merge_map(slots.get(item[key]) or {}, item, keys, path)
        slots.put(item[key], merged)


def _directives(
    result: dict[str, Any],
    patch: dict[str, Any],
    keys: dict[str, str],
    path: str,
) -> None:
    """Apply the directives that speak of a list beside them."""
    for name, value in patch.items():
        if name.startswith(_DELETE_FROM):
            _delete_from(result, name.removeprefix(_DELETE_FROM), value)
    for name, value in patch.items():
        if name.startswith(_ORDER):
            field = name.removeprefix(_ORDER)
            here = f"{path}.{field}" if path else field
            _set_order(result, field, value, keys.get(here, ""))


def _delete_from(result: dict[str, Any], field: str, gone: Any) -> None:
    if not isinstance(gone, list):
        msg = f"{_DELETE_FROM}{field} is not a list"
        raise PatchError(msg)
    items = result.get(field)
    if isinstance(items, list):
        named = set(map(frozen, gone))
        result[field] = [i for i in items if frozen(i) not in named]


def _set_order(
    result: dict[str, Any], field: str, order: Any, key: str
) -> None:
    items = result.get(field)
    if not isinstance(order, list) or not isinstance(items, list):
        return
    ranks: dict[Any, int] = {}
    for place, item in enumerate(order):
        ranks.setdefault(_identity(item, key), place)
    listed = [i for i in items if _identity(i, key) in ranks]
    listed.sort(key=lambda item: ranks[_identity(item, key)])
    waiting = iter(listed)
    # Others stay after their predecessor.
    result[field] = [
        next(waiting) if _identity(item, key) in ranks else item
        for item in items
    ]


def _identity(item: Any, key: str) -> Any:
    return frozen(item.get(key) if key and isinstance(item, dict) else item)
