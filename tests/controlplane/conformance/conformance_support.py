"""A place of its own on any API server, and clients for it."""

import json

from controlplane_support import (
    CRDS,
    Client,
    eventually,
    widget,
    widget_crd,
)

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


class World(Client):
    """A namespace with widgets on a server that others may use too.

    Attributes:
        names: How the widgets of this session are called.
        namespace: The namespace; gone after the test.
    """

    def __init__(self, kubeconfig, names, namespace):
        super().__init__(kubeconfig)
        self.names = names
        self.namespace = namespace

    @property
    def inside(self):
        """The path of the namespace."""
        return f"/api/v1/namespaces/{self.namespace}"

    @property
    def maps(self):
        """The path of its ConfigMaps."""
        return f"{self.inside}/configmaps"

    @property
    def secrets(self):
        """The path of its Secrets, of which a new namespace has none."""
        return f"{self.inside}/secrets"

    @property
    def widgets(self):
        """The path of its widgets."""
        return self.names.path(self.namespace)

    def widget(self, name="a", size=1, **metadata):
        """A widget of this session."""
        return widget(name, size, self.names, **metadata)

    async def define(self, crd, seconds=15.0):
        """Create a definition and wait until it is served."""
        await self.ok("POST", CRDS, crd)
        return await self.established(crd["metadata"]["name"], seconds)

    async def established(self, name, seconds=15.0):
        """Watch a definition until it is established."""
        query = f"&fieldSelector=metadata.name%3D{name}"
        async with self.watching(CRDS, query) as following:
            while True:
                crd = (await following(seconds))["object"]
                if condition(crd, "Established") == "True":
                    break
        # The definition says so a moment before its kind is served.
        path = f"/apis/{crd['spec']['group']}"
        await self.served(path, crd["spec"]["names"]["plural"])
        return crd

    async def served(self, path, plural):
        """Wait until discovery and the handlers know a kind."""

        async def known():
            code, group = await self.call("GET", path)
            if code != 200:
                return False
            for version in group["versions"]:
                where = f"/apis/{version['groupVersion']}/{plural}?limit=1"
                if (await self.call("GET", where))[0] != 200:
                    return False
            return True

        await eventually(known)


def secret(name="a", **metadata):
    """A Secret with one value."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **metadata},
        "stringData": {"key": "value"},
    }


def condition(obj, kind):
    """The status of a condition, or None."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    found = {one["type"]: one["status"] for one in conditions}
    return found.get(kind)


def crd_with(names, *, spec=None, status=None, **version):
    """A definition of widgets with other properties in spec or status."""
    crd = widget_crd(names, **version)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part, properties in (("spec", spec), ("status", status)):
        schema["properties"][part]["properties"] |= properties or {}
    return crd


def shown(text):
    """What ``-o json`` printed."""
    return json.loads(text)


def names_of(answer):
    """The names in a list."""
    return [item["metadata"]["name"] for item in answer["items"]]
