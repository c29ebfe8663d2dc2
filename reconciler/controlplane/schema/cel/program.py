"""One expression, parsed and compiled once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from reconciler.controlplane.schema.cel.compiler import (
    Closure,
    CompileError,
    Compiler,
)
from reconciler.controlplane.schema.cel.values import (
    CELError,
    Steps,
    spending,
)
from reconciler.controlplane.schema.node import Node

if TYPE_CHECKING:
    from lark import Token, Tree

_PARSER = Lock()


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression.

    Attributes:
        text: the expression.
        used: names of the variables that it uses.
    """

    text: str
    run: Closure
    used: frozenset[str]

    def evaluate(
        self, variables: Mapping[str, Any], steps: Steps | None = None
    ) -> Any:
        """Return the value of the expression.

        Args:
            variables: values by name.
            steps: what the evaluation may cost, reduced by what it does.

        Raises:
            CELError: it fails for these values.
        """
        with spending(Steps() if steps is None else steps):
            try:
                return self.run(dict(variables))
            except RecursionError as error:
                msg = "expression recursion limit exceeded"
                raise CELError(msg) from error
            except (ArithmeticError, TypeError, ValueError) as error:
                # Numbers that are none, keys that no map can have: what
                # Python cannot compute is no mistake of the server.
                raise CELError(str(error)) from error


def compile_program(text: str, scope: Mapping[str, Node | None]) -> Program:
    """Compile an expression.

    Args:
        text: the expression.
        scope: the variables that it may use, with their schemas.

    Raises:
        CompileError: it is malformed, or names what does not exist.
    """
    compiler = Compiler(dict(scope))
    try:
        code = compiler.compile(_parse(text))
    except RecursionError as error:
        raise CompileError("expression recursion limit exceeded") from error
    return Program(text, code.run, frozenset(compiler.used))


@lru_cache(maxsize=512)
def _parse(text: str) -> Tree[Token]:
    # Loaded when the first rule is compiled: 25 MB and a quarter of a second
    # that a server without rules does not pay.
    limit = sys.getrecursionlimit()
    from celpy.celparser import CELParseError, CELParser

    with _PARSER:
        try:
            tree: Tree[Token] = CELParser().parse(text)
        except CELParseError as error:
            raise CompileError(_syntax_error(text, error)) from error
        finally:
            sys.setrecursionlimit(max(limit, sys.getrecursionlimit()))
    return tree


def _syntax_error(text: str, error: Any) -> str:
    line, column = error.line or 1, error.column or 1
    if line < 1 or column < 1:
        # The parser reports the end of the text as line -1.
        line, column = text.count("\n") + 1, len(text) + 1
    return f"ERROR: <input>:{line}:{column}: Syntax error"
