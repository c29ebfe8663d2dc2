import pytest

from reconciler.corpus.summary import summarise


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("Return the sum of a and b.", "Return the sum of a and b."),
        ("Return it all.  Then stop there.", "Return it all."),
        ("\n  Return the\n  whole.\n\n  More.", "Return the whole."),
        ("Use e.g. A and B for this. Or not.", "Use e.g. A and B for this."),
        ("pop(key[, x]) -> value  Remove the key and return it.",
         "Remove the key and return it."),
        ("Return ``obj`` as :class:`~a.B` now.", "Return obj as a.B now."),
        ("No stop at the end", "No stop at the end"),
    ],
)  # fmt: skip
def test_the_first_sentence_is_taken(docstring: str, summary: str) -> None:
    assert summarise(docstring) == summary


@pytest.mark.parametrize(
    ("docstring", "reason"),
    [
        ("", "empty"),
        ("Too short.", "two words"),
        ("word " * 60, "over 200 characters"),
        ("Résumé of the thing.", "not ASCII"),
        ("* a list of things", "does not begin with a letter"),
        ("A thing with\x00 a null.", "not printable"),
    ],
)
def test_what_is_not_an_answer_is_refused(docstring: str, reason: str) -> None:
    assert summarise(docstring) is None, reason
