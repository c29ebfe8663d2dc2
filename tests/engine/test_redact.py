from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.redact import one_line, redact


@pytest.mark.parametrize(
    "text",
    [
        "fatal: https://alice:{}@git.example.com/x.git not found",
        "https://{}@git.example.com/x.git",
        "postgresql://rec:{}@127.0.0.1:5432/feedback",
        "password={}",
        "connection failed: host=db password='{}' user=x",
        '{{"apiKey": "{}"}}',
        "api_key: {}",
        "HF_TOKEN={}",
        "AWS_SECRET_ACCESS_KEY={}",
        "Authorization: Bearer {}",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n{} and the rest is cut off",
    ],
)
def test_secrets_are_masked(text):
    secret = "hunter2hunter2"
    assert secret in text.format(secret)
    assert secret not in redact(text.format(secret))
    assert "***" in redact(text.format(secret))


@pytest.mark.parametrize(
    "text",
    [
        "12 tokens of 2048 used",
        "generation docs-assistant-2 passed: 0.41 (0.38 to 0.44)",
        "https://git.example.com/a@b: not found",
        "the server says: basic rules apply",
    ],
)
def test_ordinary_messages_stay(text):
    assert redact(text) == text


@given(st.text(max_size=400), st.integers(10, 200))
def test_one_line_is_bounded_in_bytes_and_has_no_breaks(text, limit):
    line = one_line(text, limit)
    assert len(line.encode()) <= limit
    assert len(line.splitlines()) <= 1
