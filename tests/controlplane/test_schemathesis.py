"""Requests made up from our own OpenAPI documents: none may give a 5xx."""

import base64
import json
import urllib.request

import pytest
import schemathesis
from controlplane_support import CRDS, connection_of, widget_crd
from hypothesis import HealthCheck, Phase, given, settings

DOCUMENTS = (
    "api/v1",
    "apis/example.dev/v1",
    "apis/apiextensions.k8s.io/v1",
    "apis/authorization.k8s.io/v1",
    "apis/coordination.k8s.io/v1",
    "apis/rbac.authorization.k8s.io/v1",
)
EXAMPLES = 20


def fetched(plane, path, body=None):
    """JSON of the plane."""
    to = connection_of(plane.kubeconfig)
    request = urllib.request.Request(  # noqa: S310 - our own https server
        to.url + path,
        None if body is None else json.dumps(body).encode(),
        {**to.headers, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, context=to.tls) as answer:  # noqa: S310
        return json.load(answer)


@pytest.fixture(scope="module")
def served(shared_plane, tmp_path_factory):
    """The plane, with widgets, and its CA in a file."""
    fetched(shared_plane, CRDS, widget_crd())
    config = json.loads(shared_plane.kubeconfig.read_text())
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    file.write_bytes(base64.b64decode(authority))
    return shared_plane, str(file)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", DOCUMENTS)
def test_no_request_of_the_document_gives_a_5xx(served, path):
    plane, authority = served
    to = connection_of(plane.kubeconfig)
    schema = schemathesis.openapi.from_dict(
        fetched(plane, f"/openapi/v3/{path}")
    )
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def requests(case):
            # A watch would go on for as long as it is asked to.
            case.query = {**(case.query or {}), "timeoutSeconds": "1"}
            case.query.pop("watch", None)
            answer = case.call(
                base_url=to.url,
                headers=to.headers,
                verify=authority,
                timeout=20,
            )
            assert answer.status_code < 500, (
                case.as_curl_command(),
                answer.text,
            )
            tried.add(answer.status_code // 100)

        requests()
    # Its document does not say what a question must have: none is complete.
    answered = set() if path.startswith("apis/authorization") else {2}
    assert answered | {4} <= tried
