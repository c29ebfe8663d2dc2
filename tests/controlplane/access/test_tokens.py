"""Signed tokens: what is accepted, and what is not."""

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.controlplane.access.tokens import (
    ISSUER,
    Subject,
    TokenError,
    Tokens,
)

SUBJECT = Subject("ci", "builder", "uid-1")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return Tokens(tmp_path_factory.mktemp("keys") / "accounts.key")


@pytest.fixture(scope="module")
def token(tokens):
    return tokens.issue(SUBJECT, 3600)[0]


def part(value):
    text = json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def test_a_token_says_for_whom_it_is(tokens, token):
    claims = tokens.claims(token)
    assert claims["sub"] == "system:serviceaccount:ci:builder"
    assert claims["aud"] == [ISSUER]
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["kubernetes.io"]["serviceaccount"] == {
        "name": "builder",
        "uid": "uid-1",
    }


def test_the_key_outlives_the_process_and_is_private(tokens, token):
    again = Tokens(tokens._path)
    assert again.claims(token) == tokens.claims(token)
    assert tokens._path.stat().st_mode & 0o777 == 0o600


def test_an_expired_token_is_refused(tokens):
    with pytest.raises(TokenError, match="expired"):
        tokens.claims(tokens.issue(SUBJECT, -1)[0])


def test_a_token_of_another_cluster_is_refused(token, tmp_path):
    other = Tokens(tmp_path / "other.key")
    with pytest.raises(TokenError, match="ever issued"):
        other.claims(token)
    other.issue(SUBJECT, 60)
    with pytest.raises(TokenError, match="signature"):
        other.claims(token)


def test_the_algorithm_is_not_the_tokens_choice(tokens, token):
    _, claims, signature = token.split(".")
    for header in ({"alg": "none"}, {"alg": "HS256"}, {}):
        with pytest.raises(TokenError, match="algorithm"):
            tokens.claims(f"{part(header)}.{claims}.{signature}")
    with pytest.raises(TokenError):
        tokens.claims(f"{part({'alg': 'ES256'})}.{claims}.")


@given(st.data())
def test_no_changed_token_is_accepted(tokens, token, data):
    """Not one that means something else, at least."""
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(codec="utf-8"))
    changed = token[:at] + letter + token[at + 1 :]
    with contextlib.suppress(TokenError):
        assert tokens.claims(changed) == tokens.claims(token)


@given(st.text())
def test_garbage_is_refused(tokens, text):
    with pytest.raises(TokenError):
        tokens.claims(text)


@given(st.recursive(st.none() | st.integers(), st.lists))
def test_other_json_is_refused(tokens, value):
    with pytest.raises(TokenError):
        tokens.claims(f"{part(value)}.{part(value)}.{part(value)}")
