"""Webhook configurations, with the rules of a kube-apiserver for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from reconciler.controlplane.kinds.columns import AGE, NAME
from reconciler.controlplane.kinds.model import Column, Hooks, ResourceKind
from reconciler.controlplane.schema import webhooks as schemas
from reconciler.controlplane.schema.errors import FieldError, not_supported

Json = dict[str, Any]

GROUP = "admissionregistration.k8s.io"
MUTATING = "mutatingwebhookconfigurations"
VALIDATING = "validatingwebhookconfigurations"

_LONGEST_TIMEOUT = 30
_LABELS = 3
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
        hooks=Hooks(check=_check),
    )


def _check(configuration: Json, _old: Json | None) -> list[FieldError]:
    return [
        fault
        for index, hook in enumerate(configuration.get("webhooks") or ())
        for fault in _check_hook(hook, f"webhooks[{index}]")
    ]


def _check_hook(hook: Json, path: str) -> Iterator[FieldError]:
    if len(hook["name"].split(".")) < _LABELS:
        yield FieldError(
            f"{path}.name",
            "FieldValueInvalid",
            "should be a domain with at least three segments separated by "
            "dots",
            hook["name"],
        )
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
    if not {"v1", "v1beta1"} & set(hook["admissionReviewVersions"]):
        yield FieldError(
            f"{path}.admissionReviewVersions",
            "FieldValueInvalid",
            "must include at least one of v1, v1beta1",
            hook["admissionReviewVersions"],
        )
    yield from _check_client(hook["clientConfig"], f"{path}.clientConfig")
    yield from _check_conditions(hook, path)
    for index, rule in enumerate(hook.get("rules") or ()):
        yield from _check_rule(rule, f"{path}.rules[{index}]")


def _check_client(client: Json, path: str) -> Iterator[FieldError]:
    if ("url" in client) == ("service" in client):
        yield FieldError(
            path,
            "FieldValueRequired",
            "exactly one of url or service is required",
        )
        return
    if "url" not in client:
        return
    url = client["url"]
    parts = urlsplit(url)
    for wrong, why in (
        (parts.scheme != "https", "'https' is the only allowed URL scheme"),
        (not parts.hostname, "host must be specified"),
        ("@" in parts.netloc, "user information is not permitted in the URL"),
        (bool(parts.query), "query parameters are not permitted in the URL"),
        (bool(parts.fragment), "fragments are not permitted in the URL"),
    ):
        if wrong:
            yield FieldError(f"{path}.url", "FieldValueInvalid", why, url)


def _check_conditions(hook: Json, path: str) -> Iterator[FieldError]:
    conditions = hook.get("matchConditions") or ()
    if not conditions:
        return
    from reconciler.controlplane.admission.conditions import compile_condition
    from reconciler.controlplane.schema.cel.compiler import CompileError

    for index, condition in enumerate(conditions):
        try:
            compile_condition(condition["expression"])
        except CompileError as error:
            yield FieldError(
                f"{path}.matchConditions[{index}].expression",
                "FieldValueInvalid",
                f"compilation failed: {error}",
                condition["expression"],
            )


def _check_rule(rule: Json, path: str) -> Iterator[FieldError]:
    for name in ("operations", "apiGroups", "apiVersions", "resources"):
        values = rule.get(name) or []
        if not values:
            yield FieldError(f"{path}.{name}", "FieldValueRequired")
        if "*" in values and len(values) > 1 and name != "resources":
            yield FieldError(
                f"{path}.{name}",
                "FieldValueInvalid",
                "if '*' is present, must not specify other values",
                values,
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
