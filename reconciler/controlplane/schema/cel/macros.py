"""CEL's macros: expressions evaluated once per item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.controlplane.schema.cel.operators import OVERLOAD, boolean
from reconciler.controlplane.schema.cel.values import (
    CELError,
    Optional,
    spend,
)

if TYPE_CHECKING:
    from lark import Token, Tree

    from reconciler.controlplane.schema.cel.compiler import Code, Compiler

    Build = Callable[[Compiler, Code, list[Tree[Token]]], Code]

Variables = dict[str, Any]
Body = Callable[[Variables], Any]


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro and the numbers of arguments that it takes."""

    build: Build
    arities: tuple[int, ...] = (2,)


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, list | dict):
        return value
    raise CELError(OVERLOAD)


def _name(tree: Tree[Token]) -> str:
    from reconciler.controlplane.schema.cel.compiler import CompileError

    while len(tree.children) == 1 and tree.data != "ident":
        below = tree.children[0]
        if isinstance(below, str):
            break
        tree = below
    if tree.data != "ident":
        raise CompileError("argument must be a simple name")
    return str(tree.children[0])


def _loop(
    fold: Callable[[Iterable[Any], Callable[[Any], Any]], Any],
) -> Build:
    """Build a macro ``list.macro(x, body)`` from a fold over its items."""

    def build(
        compiler: Compiler, receiver: Code, given: list[Tree[Token]]
    ) -> Code:
        from reconciler.controlplane.schema.cel.compiler import Code

        name, run = _name(given[0]), receiver.run
        inner = compiler.within(name, _item_node(receiver))
        body = inner.compile(given[1]).run

        def evaluate(variables: Variables) -> Any:
            def each(item: Any) -> Any:
                spend()
                return body({**variables, name: item})

            return fold(_items(run(variables)), each)

        return Code(evaluate)

    return build


def _item_node(receiver: Code) -> Any:
    node = receiver.node
    return node.items if node is not None else None


def _decides(stop: bool) -> Callable[[Iterable[Any], Body], bool]:
    """Fold ``exists`` (true decides) or ``all`` (false decides).

    A failing item does not matter if another one decides.
    """

    def fold(items: Iterable[Any], each: Body) -> bool:
        failure: CELError | None = None
        for item in items:
            try:
                if boolean(each(item)) is stop:
                    return stop
            except CELError as error:
                failure = error
        if failure is not None:
            raise failure
        return not stop

    return fold


def _exists_one(items: Iterable[Any], each: Body) -> bool:
    return sum(boolean(each(item)) for item in items) == 1


def _filter(items: Iterable[Any], each: Body) -> list[Any]:
    return [item for item in items if boolean(each(item))]


def _transform(items: Iterable[Any], each: Body) -> list[Any]:
    return [each(item) for item in items]


def _map(compiler: Compiler, receiver: Code, given: list[Tree[Token]]) -> Code:
    from reconciler.controlplane.schema.cel.compiler import Code

    if len(given) == 2:  # noqa: PLR2004 - map(x, body)
        return _loop(_transform)(compiler, receiver, given)
    kept = _loop(_filter)(compiler, receiver, given[:2])
    filtered = Code(kept.run, receiver.node)
    return _loop(_transform)(compiler, filtered, [given[0], given[2]])


def bind(compiler: Compiler, given: list[Tree[Token]]) -> Code:
    """Build ``cel.bind(name, value, body)``."""
    from reconciler.controlplane.schema.cel.compiler import Code, CompileError

    if len(given) != 3:  # noqa: PLR2004 - bind(name, value, body)
        raise CompileError("cel.bind() takes a name, a value and a body")
    name, value = _name(given[0]), compiler.compile(given[1])
    body = compiler.within(name, value.node).compile(given[2])
    return Code(
        lambda v: body.run({**v, name: value.run(v)}),
        body.node,
    )


def _optional_map(*, flat: bool) -> Build:
    """Build ``optMap`` and ``optFlatMap``: a body for a value if any."""

    def build(
        compiler: Compiler, receiver: Code, given: list[Tree[Token]]
    ) -> Code:
        from reconciler.controlplane.schema.cel.compiler import Code

        name, run = _name(given[0]), receiver.run
        body = compiler.within(name, None).compile(given[1]).run

        def evaluate(variables: Variables) -> Any:
            value = run(variables)
            if not isinstance(value, Optional):
                raise CELError(OVERLOAD)
            if not value.present:
                return value
            result = body({**variables, name: value.value})
            return result if flat else Optional(present=True, value=result)

        return Code(evaluate)

    return build


MACROS: Final[dict[str, Macro]] = {
    "all": Macro(_loop(_decides(stop=False))),
    "exists": Macro(_loop(_decides(stop=True))),
    "exists_one": Macro(_loop(_exists_one)),
    "existsOne": Macro(_loop(_exists_one)),
    "filter": Macro(_loop(_filter)),
    "map": Macro(_map, (2, 3)),
    "optMap": Macro(_optional_map(flat=False)),
    "optFlatMap": Macro(_optional_map(flat=True)),
}
