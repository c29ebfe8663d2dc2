"""A structural schema, ready to default, prune and validate objects."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.controlplane.schema.defaulting import (
    apply_defaults,
    drop_nulls,
)
from reconciler.controlplane.schema.embedded import embedded_errors
from reconciler.controlplane.schema.errors import FieldError, invalid
from reconciler.controlplane.schema.node import Node, read_node
from reconciler.controlplane.schema.object_meta import OBJECT_META
from reconciler.controlplane.schema.pruning import prune
from reconciler.controlplane.schema.validation import (
    list_type_errors,
    validate_value,
)
from reconciler.controlplane.schema.values import UNCORRELATED

if TYPE_CHECKING:
    from reconciler.controlplane.schema.cel.rules import RuleSet

Object = dict[str, Any]

_BLOCKING = frozenset(
    (
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTypeInvalid",
        "FieldValueTooLong",
        "FieldValueTooMany",
    )
)
_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


@lru_cache(maxsize=1)
def metadata_node() -> Node:
    """Return the compiled schema of every object's metadata."""
    return read_node(OBJECT_META)


class CompiledSchema:
    """The schema of one version of a kind.

    Instances are immutable and may be shared. CEL rules are compiled when
    the first object is validated, so that a server without rules, or idle,
    never loads the CEL library.
    """

    def __init__(self, root: Node) -> None:
        self.root = root

    @classmethod
    def compile(cls, openapi_v3_schema: dict[str, Any]) -> CompiledSchema:
        """Read an ``openAPIV3Schema``.

        Raises:
            PatternError: a pattern is no regular expression.
        """
        return cls(read_node(openapi_v3_schema))

    @cached_property
    def _rules(self) -> RuleSet | None:
        if not self.root.cel:
            return None
        # Only who has rules pays for the language at the start.
        from reconciler.controlplane.schema.cel.rules import RuleSet

        return RuleSet.compile(self.root)

    def default(self, obj: Object) -> Object:
        """Fill in defaults and drop nulls that are not allowed.

        Args:
            obj: the object; changed in place.

        Returns:
            The same object.
        """
        apply_defaults(obj, self.root)
        drop_nulls(obj, self.root)
        return obj

    def prune(self, obj: Object) -> list[str]:
        """Remove unknown fields from `obj`, in place.

        Returns:
            Paths of the removed fields, for example ``spec.ports[0].foo``.
        """
        return prune(obj, self.root, metadata_node(), resource=True)

    def validate(self, obj: Object, old: Object | None) -> list[FieldError]:
        """Return what is wrong with `obj`; nothing means valid.

        Args:
            obj: the object, defaulted and pruned.
            old: the object that it replaces: unchanged parts are not judged
                again and transition rules compare with it. None on create.
        """
        before = UNCORRELATED if old is None else old
        errors = list(validate_value(obj, self.root, "", before))
        errors += embedded_errors(obj, self.root)
        errors += list_type_errors(obj, self.root, "", before)
        rules = self._rules
        if rules is None:
            return errors
        if any(error.type in _BLOCKING for error in errors):
            return [*errors, invalid("", None, _NOT_CHECKED)]
        return errors + rules.check(obj, before)
