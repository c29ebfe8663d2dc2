"""Health endpoints: what probes and people get."""

import pytest

from reconciler.controlplane.discovery.health import health


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_probes_read_ok(path):
    answer = health(path, ready=True, verbose=False)
    assert (answer.code, answer.text) == (200, "ok")


def test_verbose_names_the_checks():
    answer = health("/readyz", ready=True, verbose=True)
    assert answer.text == ("[+]ping ok\n[+]shutdown ok\nreadyz check passed\n")
    assert health("/livez/ping", ready=True, verbose=True).text == "ok"


def test_a_stopping_server_lives_but_is_not_ready():
    assert health("/livez", ready=False, verbose=False).code == 200
    answer = health("/readyz", ready=False, verbose=False)
    assert answer.code == 500
    assert "[-]shutdown failed: reason withheld" in answer.text
    assert answer.text.endswith("readyz check failed\n")


@pytest.mark.parametrize("path", ["/", "/version", "/livez/nope", "/livezz"])
def test_other_paths_are_none(path):
    assert health(path, ready=True, verbose=False) is None
