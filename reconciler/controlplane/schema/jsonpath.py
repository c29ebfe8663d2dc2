r"""JSONPath as printer columns and selectable fields use it.

The subset: ``.field``, ``['field']``, ``[2]``, ``[-1]``, ``[0:2]``, ``[*]``,
``.*``, ``..field`` and ``[?(@.a=="b")]`` (also ``!= < <= > >=`` and mere
existence), ``\.`` inside names, optional braces around the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

Step = Callable[[Iterable[Any]], Iterator[Any]]

_TOKEN: Final = re.compile(
    r"""\.\.(?P<deep>(?:\\.|[^.\[\]\\])+)
      | \.\*
      | \.(?P<name>(?:\\.|[^.\[\]\\])+)
      | \[\s*'(?P<single>(?:\\.|[^'\\])*)'\s*\]
      | \[\s*"(?P<double>(?:\\.|[^"\\])*)"\s*\]
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<slice>-?\d*\s*:\s*-?\d*)\s*\]
      | \[\s*\*\s*\]
      | \[\?\(\s*(?P<filter>(?:"[^"]*"|'[^']*'|[^"')])*)\s*\)\]
      | (?P<first>\A(?:\\.|[^.\[\]\\])+)
    """,
    re.VERBOSE,
)
_FILTER: Final = re.compile(
    r"""@(?P<path>[^=!<>\s]*)\s*
        (?:(?P<op>==|!=|<=|>=|<|>)\s*
           (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^"'\s]+)))?
        \s*\Z""",
    re.VERBOSE,
)


class JSONPathError(ValueError):
    """A path that this subset cannot read."""


@lru_cache(maxsize=1024)
def jsonpath(path: str) -> Callable[[Any], list[Any]]:
    """Compile a path into a function from an object to the values found.

    A field that is absent yields nothing.

    Raises:
        JSONPathError: the path is malformed.
    """
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    text = text.removeprefix("$")
    steps = list(_steps(text))

    def find(obj: Any) -> list[Any]:
        values: Iterable[Any] = [obj]
        for step in steps:
            values = step(values)
        return list(values)

    return find


def _steps(text: str) -> Iterator[Step]:
    at = 0
    if text == ".":
        return
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or token.end() == at:
            msg = f"invalid JSONPath at {text[at:]!r}"
            raise JSONPathError(msg)
        yield _step(token)
        at = token.end()


def _step(token: re.Match[str]) -> Step:
    name = next((token[n] for n in _NAMES if token[n] is not None), None)
    if name is not None:
        return _field(_unescape(name))
    if token["deep"] is not None:
        return _descend(_unescape(token["deep"]))
    if token["index"] is not None:
        return _item(int(token["index"]))
    if token["slice"] is not None:
        return _slice(token["slice"])
    if token["filter"] is not None:
        return _filter(token["filter"])
    return _all


_NAMES: Final = ("name", "single", "double", "first")


def _unescape(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)


def _field(name: str) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, dict) and name in value:
                yield value[name]

    return step


def _descend(name: str) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            yield from _everywhere(value, name)

    return step


def _everywhere(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for item in value.values():
            yield from _everywhere(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _everywhere(item, name)


def _item(index: int) -> Step:
    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, list) and -len(value) <= index < len(value):
                yield value[index]

    return step


def _slice(text: str) -> Step:
    low, _, high = text.partition(":")
    begin = int(low) if low.strip() else None
    end = int(high) if high.strip() else None

    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if isinstance(value, list):
                yield from value[begin:end]

    return step


def _all(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def _filter(text: str) -> Step:
    found = _FILTER.match(text)
    if found is None:
        msg = f"invalid JSONPath filter {text!r}"
        raise JSONPathError(msg)
    left = jsonpath(found["path"] or ".")
    accepts = _predicate(found)

    def step(values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            for item in value if isinstance(value, list) else ():
                if any(accepts(candidate) for candidate in left(item)):
                    yield item

    return step


def _predicate(found: re.Match[str]) -> Callable[[Any], bool]:
    operator = found["op"]
    if operator is None:
        return lambda _: True
    quoted = next(
        (found[n] for n in ("double", "single") if found[n] is not None), None
    )
    right = quoted if quoted is not None else _literal(found["bare"])
    compare = _COMPARISONS[operator]

    def accepts(value: Any) -> bool:
        if not _comparable(value, right):
            return operator == "!="
        return compare(value, right)

    return accepts


def _literal(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        msg = f"invalid JSONPath literal {text!r}"
        raise JSONPathError(msg) from None


def _comparable(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return True
    return isinstance(left, str) and isinstance(right, str)


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
