"""Structural schemas, OpenAPI documents and JSONPath. Pure.

Nothing here does I/O. Walks recurse once per level of nesting; the server
bounds the nesting of what it accepts.
"""

from reconciler.controlplane.schema.compiled import CompiledSchema
from reconciler.controlplane.schema.errors import FieldError
from reconciler.controlplane.schema.jsonpath import jsonpath
from reconciler.controlplane.schema.structural import check_structural

__all__ = ["CompiledSchema", "FieldError", "check_structural", "jsonpath"]
