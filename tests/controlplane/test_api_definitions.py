"""Definitions that this server refuses and a cluster would take."""

import pytest
from controlplane_support import CRDS, widget_crd


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.update(group="events.k8s.io"), "spec.group"),
        (
            lambda s: s.update(conversion={"strategy": "Webhook"}),
            "spec.conversion.strategy",
        ),
        (lambda s: s.update(versions=[]), "spec.versions"),
    ],
)
async def test_bad_definitions(client, change, field):
    crd = widget_crd()
    change(crd["spec"])
    status = await client.refused("POST", CRDS, crd)
    assert status["code"] == 422
    fields = [cause["field"] for cause in status["details"]["causes"]]
    assert field in fields
