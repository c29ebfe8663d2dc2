"""matchConditions: CEL over the request and the objects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from reconciler.controlplane.schema.cel.program import Program, compile_program

Json = dict[str, Any]

_SCOPE = {"object": None, "oldObject": None, "request": None}


@lru_cache(maxsize=256)
def compile_condition(text: str) -> Program:
    """Compile one condition.

    Raises:
        CompileError: it is malformed, or uses variables that there are not.
    """
    return compile_program(text, _SCOPE)


def holds(text: str, request: Json) -> bool:
    """Whether a condition holds for an AdmissionRequest.

    Raises:
        CELError: it cannot be told, or is no boolean.
    """
    from reconciler.controlplane.schema.cel.values import CELError

    value = compile_condition(text).evaluate(
        {
            "object": request.get("object"),
            "oldObject": request.get("oldObject"),
            "request": request,
        }
    )
    if not isinstance(value, bool):
        raise CELError("must evaluate to bool")
    return value
