"""The docstrings of a Python file, and where their characters stand. Pure."""

from __future__ import annotations

import ast
import re
import warnings
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.retrieval.located import Located

_Documented = (
    ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_LITERAL = re.compile(
    r"(?P<prefix>[uUrR]?)(?P<quote>'''|\"\"\"|'|\")(?P<inside>.*)(?P=quote)",
    re.DOTALL,
)
_RAW = re.compile(r"\r\n?|.", re.DOTALL)
_ESCAPED = re.compile(
    r"(?P<nothing>\\(?:\r\n?|\n))"
    r"|\\(?:[\\'\"abfnrtv]|[0-7]{1,3}|x..|u.{4}|U.{8}|N\{[^}]*\})"
    r"|\r\n?|.",  # an escape that Python does not know stands for itself
    re.DOTALL,
)


@dataclass(frozen=True)
class Docstring:
    """What a public name says of itself.

    Attributes:
        name: of the class or function, dotted; empty for the module.
        first: line of the literal, from 1.
        last: its last line, inclusive.
        located: the text.
    """

    name: str
    first: int
    last: int
    located: Located


def line_starts(text: str) -> list[int]:
    """Where lines begin, as editors and Python count them."""
    return [0, *(end.end() for end in _LINE_END.finditer(text))]


def line_of(starts: Sequence[int], place: int) -> int:
    """The line of a character, from 1."""
    return bisect_right(starts, place)


def docstrings(text: str) -> Iterator[Docstring]:
    """Those of the module and of its public names; none if it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in old modules
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    yield from _documented(tree, "", text, line_starts(text))


def _documented(
    node: _Documented, name: str, text: str, lines: Sequence[int]
) -> Iterator[Docstring]:
    found = ast.get_docstring(node, clean=False)
    if found is not None:
        place = node.body[0]
        last = place.end_lineno or place.lineno
        located = _located(place, found, text, lines)
        yield Docstring(name, place.lineno, last, located)
    for child in node.body:
        if isinstance(child, _Documented) and not child.name.startswith("_"):
            inner = f"{name}.{child.name}" if name else child.name
            yield from _documented(child, inner, text, lines)


def _located(
    place: ast.stmt, value: str, text: str, lines: Sequence[int]
) -> Located:
    """The docstring with its places, where it is one literal."""
    start = _offset(text, lines, place.lineno, place.col_offset)
    end = _offset(
        text, lines, place.end_lineno or 0, place.end_col_offset or 0
    )
    literal = _LITERAL.fullmatch(text, start, end)
    if literal is None:
        return Located(value, ())
    inside = literal.start("inside")
    if literal["inside"] == value:
        return Located.part(text, inside, inside + len(value))
    pattern = _RAW if literal["prefix"] in ("r", "R") else _ESCAPED
    places, ended = array("I"), -1
    for each in pattern.finditer(text, inside, literal.end("inside")):
        if each.lastgroup == "nothing":
            ended = each.start()
        else:
            # A word in front of a line's continuation ends before that.
            before = ended >= 0 and each[0].isspace()
            places.append(ended if before else each.start())
            ended = -1
    places.append(literal.end("inside"))
    same = len(places) == len(value) + 1
    return Located(value, places if same else ())


def _offset(text: str, lines: Sequence[int], line: int, column: int) -> int:
    """Place of a column, which Python counts in bytes of UTF-8."""
    start = lines[line - 1]
    before = text[start : start + column].encode("utf-8", "surrogatepass")
    return start + len(before[:column].decode("utf-8", "ignore"))
