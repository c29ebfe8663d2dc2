"""``${NAME}`` in the values of YAML files. Pure.

The notation is that of Flux. Only values are substituted, never the
structure of a document: whatever a variable holds stays one value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PLACE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_EXPRESSION = re.compile(
    rf"(?P<name>{NAME.pattern})"
    r"(?:(?P<operator>:?[-=])(?P<default>.*))?",
    re.DOTALL | re.ASCII,
)


class SubstitutionError(ValueError):
    """A variable has no value, or an expression is not understood."""


@dataclass(frozen=True)
class Variable:
    """The value of a variable."""

    value: str = field(repr=False)
    secret: bool = False
    """Whether it comes from a Secret."""


@dataclass(frozen=True)
class Text:
    """A text with its variables substituted."""

    value: str = field(repr=False)
    secret: bool = False
    """Whether a value from a Secret is in it."""


@dataclass(frozen=True)
class Variables:
    """The variables of one build."""

    known: tuple[tuple[str, Variable], ...] = ()
    strict: bool = True
    """Whether a variable without value and default is an error."""

    @classmethod
    def of(cls, known: Mapping[str, Variable], *, strict: bool) -> Variables:
        """Variables in a stable order."""
        return cls(tuple(sorted(known.items())), strict)

    def substitute(self, text: str) -> Text:
        """The text with its variables replaced; ``$${`` stands for ``${``.

        What a variable holds is not looked at for further variables.

        Raises:
            SubstitutionError: names the variable or the expression.
        """
        known = dict(self.known)
        secret = False

        def replaced(match: re.Match[str]) -> str:
            nonlocal secret
            if match[0] == "$${":
                return "${"
            found = self._value(match, known)
            secret = secret or found.secret
            return found.value

        value = _PLACE.sub(replaced, text)
        return Text(value, secret)

    def _value(
        self, match: re.Match[str], known: Mapping[str, Variable]
    ) -> Variable:
        found = _EXPRESSION.fullmatch(match[1]) if match[2] else None
        if found is None:
            msg = (
                f"{match[0][:60]!r} is not understood; write ${{NAME}} or "
                "${NAME:-default} for a variable, $${ for a plain ${"
            )
            raise SubstitutionError(msg)
        name, operator, default = found.groups()
        value = known.get(name)
        # With a colon, the default stands in for an empty value too.
        if operator and (
            value is None or (operator[0] == ":" and not value.value)
        ):
            return Variable(default)
        if value is None and self.strict:
            msg = (
                f"variable {name} has no value and no default; set it in "
                "spec.postBuild, or write ${" + name + ":-default}"
            )
            raise SubstitutionError(msg)
        return value or Variable("")
