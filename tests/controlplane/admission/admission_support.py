"""A webhook server on loopback that answers as a test tells it."""

import base64
import copy
import json

from aiohttp import web

HOOKS = "/apis/admissionregistration.k8s.io/v1"


def answer(review, *, allowed=True, patch=None, **more):
    """A well-formed answer to a review."""
    response = {"uid": review["request"]["uid"], "allowed": allowed, **more}
    if patch is not None:
        text = json.dumps(patch).encode()
        response["patch"] = base64.b64encode(text).decode()
        response["patchType"] = "JSONPatch"
    head = {key: review[key] for key in ("apiVersion", "kind")}
    return head | {"response": response}


class Webhook:
    """Answers reviews; by path, so that several can be told apart."""

    def __init__(self, bundle):
        self.bundle, self.asked, self.behaviours = bundle, [], {}
        self.port, self.request = 0, None

    def on(self, path, behave):
        """Have a path answered by a function of the review."""
        self.behaviours[path] = behave

    async def handle(self, request):
        self.request = request
        review = json.loads(await request.read())
        self.asked.append((request.path, copy.deepcopy(review["request"])))
        made = self.behaviours[request.path](review)
        if hasattr(made, "__await__"):
            made = await made
        if isinstance(made, web.StreamResponse):
            return made
        return web.json_response(made)

    def hook(self, name, path, **more):
        """One webhook of a configuration."""
        return {
            "name": f"{name}.example.dev",
            "clientConfig": {
                "url": f"https://127.0.0.1:{self.port}{path}",
                "caBundle": base64.b64encode(self.bundle).decode(),
            },
            "rules": [
                {
                    "apiGroups": ["example.dev"],
                    "apiVersions": ["*"],
                    "operations": ["*"],
                    "resources": ["widgets"],
                }
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }


def configuration(kind, name, *hooks):
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": list(hooks),
    }
