"""Access as somebody with kubectl sees it."""

import json

import pytest

ACCOUNT = "system:serviceaccount:default:reader"


@pytest.fixture
def reader(kubectl, shared_plane, tmp_path):
    """A kubeconfig without credentials, and an account that may read."""
    kubectl("create", "serviceaccount", "reader")
    kubectl(
        *("create", "role", "reader", "--verb", "get,list"),
        *("--resource", "configmaps"),
    )
    kubectl(
        *("create", "rolebinding", "reader", "--role", "reader"),
        *("--serviceaccount", "default:reader"),
    )
    config = json.loads(shared_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {}
    bare = tmp_path / "bare"
    bare.write_text(json.dumps(config))
    return f"--kubeconfig={bare}"


def test_the_rights_of_an_account(kubectl, reader):
    token = f"--token={kubectl('create', 'token', 'reader').strip()}"
    kubectl("get", "configmaps", reader, token)
    assert kubectl.fails("get", "secrets", reader, token) == (
        "Error from server (Forbidden): secrets is forbidden: User "
        f'"{ACCOUNT}" cannot list resource "secrets" in API group "" in the '
        'namespace "default"\n'
    )
    who = json.loads(kubectl("auth", "whoami", "-ojson", reader, token))
    assert who["status"]["userInfo"]["username"] == ACCOUNT
    can = ("auth", "can-i", "--as", ACCOUNT)
    assert kubectl(*can, "list", "configmaps") == "yes\n"
    assert kubectl.fails(*can, "list", "secrets") == ""
    listed = kubectl(*can, "--list")
    assert "configmaps" in listed
    described = kubectl("describe", "role", "reader")
    assert "configmaps  []                 []              [get list]" in (
        described
    )
    kubectl(
        *("create", "clusterrolebinding", "reader", "--clusterrole", "view"),
        *("--serviceaccount", "default:reader"),
    )
    assert kubectl(*can, "list", "events") == "yes\n"
