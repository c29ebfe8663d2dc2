"""``${VAR}`` in YAML values, as Flux's postBuild substitutes it. Pure.

Only values are replaced, never the structure of a document: a value with a
colon or a line break in it stays one value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PLACE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_EXPRESSION = re.compile(
    r"^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-=])(.*))?$", re.DOTALL
)


class SubstitutionError(ValueError):
    """A variable is not defined, or an expression is not supported."""


@dataclass(frozen=True)
class Variables:
    """Variables of one build."""

    values: tuple[tuple[str, str], ...] = ()
    strict: bool = True
    """Whether a variable without value and default is an error."""

    @classmethod
    def of(cls, values: Mapping[str, str], *, strict: bool) -> Variables:
        """Variables in a stable order."""
        return cls(tuple(sorted(values.items())), strict)

    def substitute(self, text: str) -> str:
        """The text with its variables replaced; ``$${`` is ``${``.

        Raises:
            SubstitutionError: see there.
        """
        known = dict(self.values)

        def replaced(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            return self._value(match[0], match[1], known)

        return _PLACE.sub(replaced, text)

    def _value(
        self, whole: str, expression: str, known: Mapping[str, str]
    ) -> str:
        found = _EXPRESSION.match(expression)
        if found is None or not whole.endswith("}"):
            msg = (
                f"{whole!r} is no variable such as ${{NAME}} or "
                "${NAME:-default}; write $${ for a plain ${"
            )
            raise SubstitutionError(msg)
        name, operator, default = found.groups()
        value = known.get(name)
        # With a colon the default also stands in for an empty value.
        if operator and (value is None or (operator[0] == ":" and not value)):
            return default or ""
        if value is None and self.strict:
            msg = f"variable {name} is not defined and has no default"
            raise SubstitutionError(msg)
        return value or ""
