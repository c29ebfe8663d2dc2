"""Reviews: who am I, and may I. Whoever holds the token may everything."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.errors import bad_request
from reconciler.controlplane.verbs.call import Answer, Call

Json = dict[str, Any]

USER = "kubernetes-admin"
GROUPS = ["system:masters", "system:authenticated"]


def review(call: Call) -> Answer:
    """Answer a review.

    Raises:
        ApiError: 400, the body is no such review.
    """
    body, _ = call.parsed()
    if not isinstance(body, dict):
        raise bad_request("the body must be an object")
    head = {
        "apiVersion": call.kind.api_version,
        "kind": call.kind.kind,
        "metadata": {},
        "spec": body.get("spec") or {},
    }
    return Answer(201, obj=head | {"status": _status(call.kind.kind)})


def _status(kind: str) -> Json:
    if kind == "SelfSubjectReview":
        return {"userInfo": {"username": USER, "groups": GROUPS}}
    if kind == "SelfSubjectRulesReview":
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        return {
            "incomplete": False,
            "resourceRules": [everything],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }
    return {"allowed": True, "reason": "the token allows everything"}
