"""From a parsed expression to a closure over its variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from reconciler.controlplane.schema.cel import literals, macros
from reconciler.controlplane.schema.cel.library import (
    FUNCTIONS,
    NAMESPACES,
    TYPE_NAMES,
    TypeName,
)
from reconciler.controlplane.schema.cel.operators import (
    BINARY,
    OVERLOAD,
    boolean,
    has,
    index,
    negate,
    select,
)
from reconciler.controlplane.schema.cel.values import (
    CELError,
    affordable,
    unescape,
)
from reconciler.controlplane.schema.node import Node

if TYPE_CHECKING:
    from lark import Token, Tree

Variables = dict[str, Any]
Closure = Callable[[Variables], Any]


class CompileError(Exception):
    """An expression that can never be evaluated."""


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled expression and the schema of its value, if known."""

    run: Closure
    node: Node | None = None


@dataclass(slots=True)
class Compiler:
    """Compiles one expression.

    Attributes:
        scope: variables that may be used, with their schemas.
        used: variables that were used.
    """

    scope: dict[str, Node | None]
    used: set[str] = field(default_factory=set)

    def compile(self, tree: Tree[Token]) -> Code:
        """Compile a tree of the grammar.

        Raises:
            CompileError: it names what does not exist.
        """
        while len(tree.children) == 1 and tree.data in _WRAPPERS:
            tree = _subtree(tree, 0)
        return _COMPILE[str(tree.data)](self, tree)

    def within(self, name: str, node: Node | None) -> Compiler:
        """Return a compiler of the same expression with one more name."""
        return replace(self, scope={**self.scope, name: node})


_WRAPPERS: Final = frozenset(
    [
        "expr",
        "conditionalor",
        "conditionaland",
        "relation",
        "addition",
        "multiplication",
        "unary",
        "member",
        "primary",
        "paren_expr",
    ]
)


def _subtree(tree: Tree[Token], at: int) -> Tree[Token]:
    return tree.children[at]  # type: ignore[return-value]


def _word(tree: Tree[Token], at: int) -> str:
    return str(tree.children[at])


def arguments(tree: Tree[Token], at: int) -> list[Tree[Token]]:
    """Return the argument expressions at a child that may be missing."""
    if len(tree.children) <= at:
        return []
    return list(_subtree(tree, at).children)  # type: ignore[arg-type]


def _conditional(compiler: Compiler, tree: Tree[Token]) -> Code:
    test, yes, no = (compiler.compile(_subtree(tree, n)).run for n in range(3))
    return Code(lambda v: yes(v) if boolean(test(v)) else no(v))


def _junction(stop: bool) -> Callable[[Compiler, Tree[Token]], Code]:
    """Compile || (stops at true) or && (stops at false).

    An operand that fails does not matter if the other one decides.
    """

    def build(compiler: Compiler, tree: Tree[Token]) -> Code:
        left = compiler.compile(_subtree(tree, 0)).run
        right = compiler.compile(_subtree(tree, 1)).run

        def run(variables: Variables) -> bool:
            try:
                first = boolean(left(variables))
            except CELError:
                if boolean(right(variables)) is stop:
                    return stop
                raise
            return stop if first is stop else boolean(right(variables))

        return Code(run)

    return build


def _binary(compiler: Compiler, tree: Tree[Token]) -> Code:
    operator = _subtree(tree, 0)
    left = compiler.compile(_subtree(operator, 0)).run
    right = compiler.compile(_subtree(tree, 1)).run
    apply = BINARY[str(operator.data)]
    return Code(lambda v: affordable(apply(left(v), right(v))))


def _unary(compiler: Compiler, tree: Tree[Token]) -> Code:
    operand = compiler.compile(_subtree(tree, 1)).run
    if _subtree(tree, 0).data == "unary_not":
        return Code(lambda v: not boolean(operand(v)))
    return Code(lambda v: negate(operand(v)))


def _literal(_: Compiler, tree: Tree[Token]) -> Code:
    try:
        value = literals.read(tree.children[0])  # type: ignore[arg-type]
    except ValueError as error:
        raise CompileError(str(error)) from error
    return Code(lambda _: value)


def _ident(compiler: Compiler, tree: Tree[Token]) -> Code:
    name = _word(tree, 0)
    if name in compiler.scope:
        compiler.used.add(name)
        return Code(lambda v: v[name], compiler.scope[name])
    if name in TYPE_NAMES:
        return Code(lambda _: TypeName(name))
    msg = f"undeclared reference to '{name}' (in container '')"
    raise CompileError(msg)


def _member_dot(compiler: Compiler, tree: Tree[Token]) -> Code:
    code, name = compiler.compile(_subtree(tree, 0)), _word(tree, 1)
    run, node = code.run, field_node(code.node, name)
    return Code(lambda v: select(run(v), name), node)


def field_node(node: Node | None, name: str) -> Node | None:
    """Return the schema of a field.

    Raises:
        CompileError: the schema has no such field.
    """
    if node is None or node.int_or_string or not node.type:
        return None
    real = unescape(name)
    if real in node.properties:
        return node.properties[real]
    if node.additional is False and not node.open:
        msg = f"undefined field '{name}'"
        raise CompileError(msg)
    return node.child(name)


def _member_index(compiler: Compiler, tree: Tree[Token]) -> Code:
    container = compiler.compile(_subtree(tree, 0))
    key = compiler.compile(_subtree(tree, 1)).run
    run, node = container.run, element_node(container.node)
    return Code(lambda v: index(run(v), key(v)), node)


def element_node(node: Node | None) -> Node | None:
    """Return the schema of a list's items or a map's values."""
    if node is None:
        return None
    if node.items is not None:
        return node.items
    return node.additional if isinstance(node.additional, Node) else None


def _member_call(compiler: Compiler, tree: Tree[Token]) -> Code:
    name, given = _word(tree, 1), arguments(tree, 2)
    namespace = _namespace(compiler, _subtree(tree, 0))
    if namespace == "cel" and name == "bind":
        return macros.bind(compiler, given)
    if namespace:
        return _call(compiler, f"{namespace}.{name}", given, None)
    receiver = compiler.compile(_subtree(tree, 0))
    macro = macros.MACROS.get(name)
    if macro is not None and len(given) in macro.arities:
        return macro.build(compiler, receiver, given)
    return _call(compiler, name, given, receiver.run)


def _namespace(compiler: Compiler, tree: Tree[Token]) -> str:
    while len(tree.children) == 1 and tree.data in _WRAPPERS:
        tree = _subtree(tree, 0)
    if tree.data != "ident" or _word(tree, 0) in compiler.scope:
        return ""
    name = _word(tree, 0)
    return name if name in NAMESPACES or name == "cel" else ""


def _call(
    compiler: Compiler,
    name: str,
    given: list[Tree[Token]],
    receiver: Closure | None,
) -> Code:
    function = FUNCTIONS.get(name)
    if function is None:
        msg = f"undeclared reference to '{name}' (in container '')"
        raise CompileError(msg)
    parts = [compiler.compile(tree).run for tree in given]
    if receiver is not None:
        parts.insert(0, receiver)

    def run(variables: Variables) -> Any:
        values = [part(variables) for part in parts]
        try:
            return affordable(function(*values))
        except TypeError as error:
            # A wrong number of arguments, or a slip of an operand's type.
            raise CELError(OVERLOAD) from error

    return Code(run)


def _function_call(compiler: Compiler, tree: Tree[Token]) -> Code:
    name, given = _word(tree, 0), arguments(tree, 1)
    if name == "has":
        return _has(compiler, given)
    return _call(compiler, name, given, None)


def _has(compiler: Compiler, given: list[Tree[Token]]) -> Code:
    tree = given[0] if len(given) == 1 else None
    while tree is not None and len(tree.children) == 1:
        tree = _subtree(tree, 0) if tree.data in _WRAPPERS else None
    if tree is None or tree.data != "member_dot":
        raise CompileError("invalid argument to has() macro")
    code, name = compiler.compile(_subtree(tree, 0)), _word(tree, 1)
    field_node(code.node, name)
    run = code.run
    return Code(lambda v: has(run(v), name))


def _list_literal(compiler: Compiler, tree: Tree[Token]) -> Code:
    items = [compiler.compile(t).run for t in arguments(tree, 0)]
    return Code(lambda v: [item(v) for item in items])


def _map_literal(compiler: Compiler, tree: Tree[Token]) -> Code:
    parts = [compiler.compile(t).run for t in arguments(tree, 0)]
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    return Code(lambda v: {key(v): value(v) for key, value in pairs})


def _unsupported(_: Compiler, tree: Tree[Token]) -> Code:
    msg = f"unsupported expression: {tree.data}"
    raise CompileError(msg)


_COMPILE: Final[dict[str, Callable[[Compiler, Tree[Token]], Code]]] = {
    "expr": _conditional,
    "conditionalor": _junction(stop=True),
    "conditionaland": _junction(stop=False),
    "relation": _binary,
    "addition": _binary,
    "multiplication": _binary,
    "unary": _unary,
    "literal": _literal,
    "ident": _ident,
    "dot_ident": _ident,
    "member_dot": _member_dot,
    "member_index": _member_index,
    "member_dot_arg": _member_call,
    "member_object": _unsupported,
    "ident_arg": _function_call,
    "dot_ident_arg": _function_call,
    "list_lit": _list_literal,
    "map_lit": _map_literal,
}
