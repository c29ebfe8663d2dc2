"""What to search for when the question itself found nothing. Pure."""

from __future__ import annotations

import re

from reconciler.retrieval.selfrag.sentences import words

_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*[_.]\w+|\b\w*[a-z][A-Z]\w*")
_FORM = re.compile(
    r"^(?:please\s+)?(?:how (?:do|can|could|should|would) (?:i|we|you)|"
    r"how to|what (?:is|are|does|do)|which \w+ (?:is|are|does|can)|"
    r"where (?:is|are|can i)|is there (?:a|an|any)|can (?:i|you)|"
    r"tell me about|explain)\s+",
    re.IGNORECASE,
)


def queries(question: str) -> tuple[str, ...]:
    """The question, and other ways to search for it, each different.

    Without its form as a question; then the names in it, taken apart, with
    its content words only.
    """
    plain = question.strip()
    bare = _FORM.sub("", plain).rstrip("?!. ")
    names = [
        re.sub(r"[_.]|(?<=[a-z])(?=[A-Z])", " ", name)
        for name in _IDENTIFIER.findall(plain)
    ]
    kept = {word: None for word in bare.split() if words(word)}
    terms = " ".join([*kept, *names])
    found = (plain, bare, terms)
    return tuple(dict.fromkeys(query for query in found if query))
