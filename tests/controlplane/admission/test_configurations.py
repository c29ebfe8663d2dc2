"""What is wrong with a webhook configuration, in a kube-apiserver's words."""

import pytest

from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.kinds.builtin import builtin_registry
from reconciler.controlplane.objects import strategy

API = "admissionregistration.k8s.io/v1"
KIND = "ValidatingWebhookConfiguration"
SERVICE = {"namespace": "ns", "name": "hooks"}
HOOK = {
    "name": "hook.example.dev",
    "clientConfig": {"service": SERVICE},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
RULE = {
    "apiGroups": ["*"],
    "apiVersions": ["*"],
    "operations": ["*"],
    "resources": ["*"],
}


def faults(*hooks):
    """Field and message of each cause; none if it is sound."""
    kind = builtin_registry().by_kind(API, KIND)
    body = {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {"name": "v"},
        "webhooks": list(hooks),
    }
    try:
        strategy.create(kind, body, None)
    except ApiError as error:
        causes = (error.details or {}).get("causes", [])
        return [(cause["field"], cause["message"]) for cause in causes]
    return []


def service(**more):
    return {"clientConfig": {"service": SERVICE | more}}


def url(text):
    return {"clientConfig": {"url": text}}


def conditions(*names, expression="true"):
    made = [{"name": name, "expression": expression} for name in names]
    return {"matchConditions": made}


SOUND = {
    "a service": {},
    "a path": service(path="/a/b.c/", port=65535),
    "the root": service(path="/"),
    "a URL": url("https://hooks.example.dev:8443/a"),
    "64 conditions": conditions(*(f"c{i}" for i in range(64))),
    "selectors": {
        "objectSelector": {
            "matchExpressions": [
                {"key": "example.dev/a", "operator": "In", "values": ["b"]},
                {"key": "c", "operator": "Exists"},
            ]
        }
    },
    "old reviews": {"admissionReviewVersions": ["v2", "v1beta1"]},
}


@pytest.mark.parametrize("what", SOUND)
def test_what_is_sound_is_taken(what):
    assert faults(HOOK | SOUND[what]) == []


WRONG = [
    ({"name": ""}, "name", "Required value"),
    (
        {"name": "a.b"},
        "name",
        (
            'Invalid value: "a.b": should be a domain with at least three '
            "segments separated by dots"
        ),
    ),
    ({"name": "A.b.c"}, "name", "a lowercase RFC 1123 subdomain must"),
    (
        {"timeoutSeconds": 0},
        "timeoutSeconds",
        "Invalid value: 0: the timeout value must be between 1 and 30 seconds",
    ),
    (
        {"admissionReviewVersions": []},
        "admissionReviewVersions",
        "Required value: must specify one of v1, v1beta1",
    ),
    (
        {"admissionReviewVersions": ["v1", "v1"]},
        "admissionReviewVersions[1]",
        'Invalid value: "v1": duplicate version',
    ),
    (
        {"admissionReviewVersions": ["v1", "1v"]},
        "admissionReviewVersions[1]",
        'Invalid value: "1v": a DNS-1035 label must consist of',
    ),
    (
        {"admissionReviewVersions": ["v9"]},
        "admissionReviewVersions",
        "must include at least one of v1, v1beta1",
    ),
    (
        service(port=0),
        "clientConfig.service.port",
        "Invalid value: 0: port is not valid: must be between 1 and 65535,",
    ),
    (
        service(name=""),
        "clientConfig.service.name",
        "Required value: service name is required",
    ),
    (
        service(path="ab"),
        "clientConfig.service.path",
        "Invalid value: \"ab\": must start with a '/'",
    ),
    (
        service(path="/a//b"),
        "clientConfig.service.path",
        'Invalid value: "/a//b": segment[1] may not be empty',
    ),
    (
        service(path="//"),
        "clientConfig.service.path",
        'Invalid value: "//": segment[0] may not be empty',
    ),
    (
        service(path="/A"),
        "clientConfig.service.path",
        'Invalid value: "/A": segment[0]: a lowercase RFC 1123 subdomain',
    ),
    (
        url("http://example.dev"),
        "clientConfig.url",
        (
            "Invalid value: \"http\": 'https' is the only allowed URL scheme; "
            "desired format: https://host[/path]"
        ),
    ),
    (
        url("https:///path"),
        "clientConfig.url",
        (
            'Invalid value: "": host must be specified; desired format: '
            "https://host[/path]"
        ),
    ),
    (
        url("https://[::1"),
        "clientConfig.url",
        "Required value: url must be a valid URL: ",
    ),
    (
        url("https://me@example.dev"),
        "clientConfig.url",
        'Invalid value: "me": user information is not permitted in the URL',
    ),
    (
        url("https://example.dev?a=b"),
        "clientConfig.url",
        'Invalid value: "a=b": query parameters are not permitted in the URL',
    ),
    (
        conditions(*(f"c{i}" for i in range(65))),
        "matchConditions",
        "Too many: 65: must have at most 64 items",
    ),
    (conditions("not a name"), "matchConditions[0].name", "Invalid value"),
    (conditions(""), "matchConditions[0].name", "Required value"),
    (
        conditions("c", expression="  "),
        "matchConditions[0].expression",
        "Required value",
    ),
    (
        {"rules": [RULE | {"apiVersions": [""]}]},
        "rules[0].apiVersions[0]",
        "Required value",
    ),
    (
        {"rules": [RULE | {"apiVersions": ["*", "v1"]}]},
        "rules[0].apiVersions",
        "if '*' is present, must not specify other API versions",
    ),
    (
        {"rules": [RULE | {"apiGroups": ["*", "v1"]}]},
        "rules[0].apiGroups",
        "if '*' is present, must not specify other API groups",
    ),
    (
        {"rules": [RULE | {"operations": ["*", "CREATE"]}]},
        "rules[0].operations",
        "if '*' is present, must not specify other operations",
    ),
    (
        {
            "namespaceSelector": {
                "matchExpressions": [
                    {"key": "a", "operator": "Exists", "values": ["b"]}
                ]
            }
        },
        "namespaceSelector.matchExpressions[0].values",
        "Forbidden: may not be specified when `operator` is 'Exists'",
    ),
    (
        {"objectSelector": {"matchLabels": {"a b": "c"}}},
        "objectSelector.matchLabels",
        "name part must consist of alphanumeric characters",
    ),
]


@pytest.mark.parametrize(("changes", "field", "words"), WRONG)
def test_what_is_wrong_is_named(changes, field, words):
    found = faults(HOOK | changes)
    assert [one for one, _ in found] == [f"webhooks[0].{field}"]
    assert words in found[0][1]


def test_names_are_unique():
    (field, message), *_ = faults(HOOK, HOOK)
    assert field.startswith("webhooks[1]")
    assert message.startswith("Duplicate value")
    twice = faults(HOOK | conditions("c", "c"))
    assert twice[0][0].startswith("webhooks[0].matchConditions[1]")
