"""What may stand in the Secret of a proxy."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.gitops.credentials import Credentials, CredentialsError

URL = "https://git.example.org/x.git"


def proxied(address: str, **more: str) -> Credentials:
    values = {"address": address, **more}
    return Credentials(URL, {}, {k: v.encode() for k, v in values.items()})


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "the Secret has no address"),
        (" \n", "the Secret has no address"),
        ("proxy:3128", "proxy:3128 has no scheme; write http://proxy:3128"),
        ("10.0.0.1:3128", "has no scheme; write http://10.0.0.1:3128"),
        ("proxy", "has no scheme; write http://proxy"),
        ("ftp://proxy:21", "has the scheme ftp; known are http, https"),
        ("file:///etc/passwd", "has the scheme file"),
        ("http://", "names no host"),
        ("http://:3128", "names no host"),
        ("http://proxy:port", "is not a URL"),
        ("http://proxy:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://proxy:3128/pac", "more than a host and a port"),
        ("http://proxy:3128?x", "more than a host and a port"),
        ("http://a\nb", "a credential has more than one line"),
    ],
)
def test_an_address_that_git_would_misread(address: str, message: str) -> None:
    with pytest.raises(CredentialsError) as error:
        proxied(address)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "address", ["http://ada:geheim@proxy:3128", "ada:geheim@proxy:3128"]
)
def test_a_password_in_the_address_is_not_repeated(address: str) -> None:
    with pytest.raises(CredentialsError) as error:
        proxied(address)
    assert "git.proxySecretRef" in str(error.value)
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://proxy:3128",
        "https://proxy.example.org",
        "http://proxy:3128/",
        "socks5h://[::1]:1080",
    ],
)
def test_addresses_of_proxies(address: str) -> None:
    with proxied(f" {address}\n").environment() as environment:
        assert environment["https_proxy"] == address.rstrip("/")
    with proxied(address, username="u", password="p@s").environment() as given:
        scheme, _, rest = address.rstrip("/").partition("://")
        assert given["ALL_PROXY"] == f"{scheme}://u:p%40s@{rest}"
        assert given["no_proxy"] == ""


async def test_a_repository_says_what_is_wrong_with_its_proxy(
    make_engine: Any, cluster: Any
) -> None:
    reference = {"name": "proxy"}
    engine = make_engine({"git": {"url": URL, "proxySecretRef": reference}})
    cluster.objects["Secret", "default", "proxy"] = {
        "metadata": {"name": "proxy"},
        "stringData": {"address": "proxy:3128"},
    }
    await engine.settle()
    condition = engine.condition()
    assert condition["reason"] == "AuthenticationFailed"
    assert condition["message"] == (
        "git.proxySecretRef: address proxy:3128 has no scheme; "
        "write http://proxy:3128"
    )
