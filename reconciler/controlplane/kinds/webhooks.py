"""Webhook configurations, with the rules of a kube-apiserver for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.controlplane.kinds.columns import AGE, NAME
from reconciler.controlplane.kinds.model import Column, Hooks, ResourceKind
from reconciler.controlplane.kinds.selectors import check_selector
from reconciler.controlplane.kinds.webhook_clients import check_client
from reconciler.controlplane.objects.names import (
    check_qualified,
    label_faults,
    name_faults,
)
from reconciler.controlplane.schema import webhooks as schemas
from reconciler.controlplane.schema.errors import (
    FieldError,
    not_supported,
    too_many,
)

Json = dict[str, Any]

GROUP = "admissionregistration.k8s.io"
MUTATING = "mutatingwebhookconfigurations"
VALIDATING = "validatingwebhookconfigurations"

_LONGEST_TIMEOUT = 30
_LABELS = 3
_MOST_CONDITIONS = 64
_REVIEWS = ("v1", "v1beta1")
_LISTS = {
    "operations": "operations",
    "apiGroups": "API groups",
    "apiVersions": "API versions",
    "resources": "",
}
"""Lists of a rule, and what * in them excludes."""

_OPERATIONS = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]
_CHOICES = {
    "failurePolicy": ["Fail", "Ignore"],
    "matchPolicy": ["Equivalent", "Exact"],
    "sideEffects": ["None", "NoneOnDryRun"],
    "reinvocationPolicy": ["IfNeeded", "Never"],
}
_COUNT = Column(
    "Webhooks",
    "integer",
    lambda obj: len(obj.get("webhooks") or ()),
    "How many webhooks it has.",
)


def kinds() -> list[ResourceKind]:
    """The two kinds."""
    return [
        _kind("MutatingWebhookConfiguration", MUTATING, schemas.MUTATING),
        _kind(
            "ValidatingWebhookConfiguration", VALIDATING, schemas.VALIDATING
        ),
    ]


def _kind(name: str, plural: str, schema: Json) -> ResourceKind:
    return ResourceKind(
        group=GROUP,
        version="v1",
        plural=plural,
        kind=name,
        namespaced=False,
        singular=name.lower(),
        categories=("api-extensions",),
        columns=(NAME, _COUNT, AGE),
        schema=schema,
        counted=True,
        unconditional=False,
        hooks=Hooks(check=_check),
    )


def _check(configuration: Json, _old: Json | None) -> list[FieldError]:
    faults: list[FieldError] = []
    for index, hook in enumerate(configuration.get("webhooks") or ()):
        path = f"webhooks[{index}]"
        faults += _check_hook(hook, path)
        faults += _check_reviews(
            hook["admissionReviewVersions"], f"{path}.admissionReviewVersions"
        )
    return faults


def _check_hook(hook: Json, path: str) -> Iterator[FieldError]:
    yield from _check_name(hook["name"], f"{path}.name")
    for index, rule in enumerate(hook.get("rules") or ()):
        yield from _check_rule(rule, f"{path}.rules[{index}]")
    for name, allowed in _CHOICES.items():
        if name in hook and hook[name] not in allowed:
            yield not_supported(f"{path}.{name}", hook[name], allowed)
    if not 1 <= hook["timeoutSeconds"] <= _LONGEST_TIMEOUT:
        yield FieldError(
            f"{path}.timeoutSeconds",
            "FieldValueInvalid",
            "the timeout value must be between 1 and 30 seconds",
            hook["timeoutSeconds"],
        )
    for name in ("namespaceSelector", "objectSelector"):
        yield from check_selector(hook.get(name) or {}, f"{path}.{name}")
    yield from check_client(hook["clientConfig"], f"{path}.clientConfig")
    yield from _check_conditions(hook, f"{path}.matchConditions")


def _check_name(name: str, path: str) -> Iterator[FieldError]:
    """Field errors for a name that must be fully qualified."""
    if not name:
        yield FieldError(path, "FieldValueRequired")
    elif faults := name_faults(name):
        yield FieldError(path, "FieldValueInvalid", ",".join(faults), name)
    elif len(name.split(".")) < _LABELS:
        yield FieldError(
            path,
            "FieldValueInvalid",
            "should be a domain with at least three segments separated by "
            "dots",
            name,
        )


def _check_reviews(versions: list[str], path: str) -> Iterator[FieldError]:
    if not versions:
        why = f"must specify one of {', '.join(_REVIEWS)}"
        yield FieldError(path, "FieldValueRequired", why)
        return
    for index, version in enumerate(versions):
        at = f"{path}[{index}]"
        if version in versions[:index]:
            yield FieldError(
                at, "FieldValueInvalid", "duplicate version", version
            )
            continue
        for why in label_faults(version):
            yield FieldError(at, "FieldValueInvalid", why, version)
    if not set(_REVIEWS) & set(versions):
        why = f"must include at least one of {', '.join(_REVIEWS)}"
        yield FieldError(path, "FieldValueInvalid", why, versions)


def _check_conditions(hook: Json, path: str) -> Iterator[FieldError]:
    conditions = hook.get("matchConditions") or ()
    if len(conditions) > _MOST_CONDITIONS:
        yield too_many(path, len(conditions), _MOST_CONDITIONS)
    for index, condition in enumerate(conditions):
        yield from _check_condition(condition, f"{path}[{index}]")


def _check_condition(condition: Json, path: str) -> Iterator[FieldError]:
    from reconciler.controlplane.admission.conditions import compile_condition
    from reconciler.controlplane.schema.cel.compiler import CompileError

    expression, at = condition["expression"].strip(), f"{path}.expression"
    if not expression:
        yield FieldError(at, "FieldValueRequired")
    else:
        try:
            compile_condition(expression)
        except CompileError as error:
            why = f"compilation failed: {error}"
            yield FieldError(at, "FieldValueInvalid", why, expression)
    if not condition["name"]:
        yield FieldError(f"{path}.name", "FieldValueRequired")
    else:
        yield from check_qualified(condition["name"], f"{path}.name")


def _check_rule(rule: Json, path: str) -> Iterator[FieldError]:
    for name, shown in _LISTS.items():
        values = rule.get(name) or []
        if not values:
            yield FieldError(f"{path}.{name}", "FieldValueRequired")
        if "*" in values and len(values) > 1 and shown:
            yield FieldError(
                f"{path}.{name}",
                "FieldValueInvalid",
                f"if '*' is present, must not specify other {shown}",
                values,
            )
    for index, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            yield FieldError(
                f"{path}.apiVersions[{index}]", "FieldValueRequired"
            )
    yield from _check_resources(rule.get("resources") or [], path)
    for index, operation in enumerate(rule.get("operations") or ()):
        if operation not in _OPERATIONS:
            at = f"{path}.operations[{index}]"
            yield not_supported(at, operation, _OPERATIONS)
    scopes = ["*", "Cluster", "Namespaced"]
    if rule.get("scope", "*") not in scopes:
        yield not_supported(f"{path}.scope", rule["scope"], scopes)


def _check_resources(values: list[str], path: str) -> Iterator[FieldError]:
    at = f"{path}.resources"
    if "*/*" in values and len(values) > 1:
        why = "if '*/*' is present, must not specify other resources"
        yield FieldError(at, "FieldValueInvalid", why, values)
    if "*" in values and any("/" not in v for v in values if v != "*"):
        why = (
            "if '*' is present, must not specify other resources without "
            "subresources"
        )
        yield FieldError(at, "FieldValueInvalid", why, values)
    for index, value in enumerate(values):
        if not value:
            yield FieldError(f"{at}[{index}]", "FieldValueRequired")
            continue
        plural, slash, subresource = value.partition("/")
        for other in values if slash else ():
            covers = (f"{plural}/*", f"*/{subresource}")
            if other != value and other in covers:
                why = f"if '{other}' is present, must not specify {value}"
                yield FieldError(
                    f"{at}[{index}]", "FieldValueInvalid", why, value
                )
