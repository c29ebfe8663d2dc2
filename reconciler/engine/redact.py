"""Secrets never reach a condition, an event or a log line.

Callers keep secrets out of messages in the first place; this is the net
below them, for text that comes from other systems.
"""

from __future__ import annotations

import re

_MASK = "***"
_NAMES = r"passw(?:or)?d|passphrase|secret|token|api[-_]?key|access[-_]?key"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*"
            r"PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        _MASK,
    ),
    (re.compile(r"(?<=://)[^/\s@]+(?=@)"), _MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_MASK}"),
    (
        re.compile(
            rf"(?i)\b([\w-]*(?:{_NAMES})(?:[-_]\w+)*[\"']?\s*[=:]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
        ),
        rf"\1{_MASK}",
    ),
)


def redact(text: str) -> str:
    """The text with what looks like a secret replaced by ``***``."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def one_line(text: str, limit: int) -> str:
    """Redacted, on one line, at most `limit` UTF-8 bytes."""
    flat = " ".join(redact(text).split())
    encoded = flat.encode()
    if len(encoded) <= limit:
        return flat
    return encoded[: limit - 3].decode(errors="ignore") + "..."
