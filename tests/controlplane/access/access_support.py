"""Roles, bindings and an account to try them with."""

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
MAPS = "/api/v1/namespaces/default/configmaps"
ROLES = f"{RBAC}/namespaces/default/roles"
BINDINGS = f"{RBAC}/namespaces/default/rolebindings"


def token_request(**spec):
    return {"spec": spec}


def role(*rules, name="r", kind="Role"):
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "rules": list(rules),
    }


def rule(verbs, resources, group="", names=()):
    made = {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }
    return made | ({"resourceNames": list(names)} if names else {})


def binding(name="b", target="r", kind="Role", account="builder"):
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": kind,
            "name": target,
        },
        "subjects": [
            {
                "kind": "ServiceAccount",
                "name": account,
                "namespace": "default",
            }
        ],
    }


class Account:
    """Requests with the token of a ServiceAccount."""

    def __init__(self, client, token):
        self._client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    async def call(self, method, path, body=None, **headers):
        return await self._client.call(
            method, path, body, headers=self.headers | headers
        )

    async def may(self, method, path, body=None, **headers):
        code, _ = await self.call(method, path, body, **headers)
        assert code != 401
        return code != 403


async def grant(client, *rules):
    """Give the builder these rules, and no others."""
    code, _ = await client.call("PUT", f"{ROLES}/r", role(*rules))
    if code == 201:
        await client.ok("POST", BINDINGS, binding())
