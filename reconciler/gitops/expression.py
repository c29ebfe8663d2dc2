"""CEL in a ConfigRepository: when something else is ready or healthy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from reconciler.controlplane.schema.cel.compiler import CompileError
from reconciler.controlplane.schema.cel.program import Program, compile_program
from reconciler.controlplane.schema.cel.values import CELError

INVALID = "InvalidCELExpression"


class InvalidExpressionError(Exception):
    """Only a change of the expression helps."""


class UndecidedError(Exception):
    """It cannot be told for these values: a field is not there yet."""


@lru_cache(maxsize=256)
def _compiled(text: str, names: tuple[str, ...]) -> Program:
    return compile_program(text, dict.fromkeys(names))


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether an expression is true of some values.

    Args:
        text: the expression.
        values: JSON values by the names that it may use.

    Raises:
        InvalidExpressionError: it is malformed or gives no boolean.
        UndecidedError: it fails for these values.
    """
    try:
        found = _compiled(text, tuple(sorted(values))).evaluate(values)
    except CompileError as error:
        msg = f"{text!r}: {error}"
        raise InvalidExpressionError(msg) from error
    except CELError as error:
        msg = f"{text!r}: {error}"
        raise UndecidedError(msg) from error
    if not isinstance(found, bool):
        msg = f"{text!r} has to be true or false"
        raise InvalidExpressionError(msg)
    return found
