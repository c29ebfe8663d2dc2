from __future__ import annotations

from reconciler.retrieval.chunking import MAX_CHARACTERS, passages

MODULE = '''"""What the module is for, told in one long sentence."""


class Tool:
    """Cuts wood along the grain and across it, as the user wishes."""

    def cut(self):
        """Cut once, at the line that was drawn, and never beside it."""

    def _hidden(self):
        """This is private and must not be found by anybody at all."""


def short():
    """Too short."""
'''


def test_docstrings_come_under_dotted_names_with_their_lines() -> None:
    found = [(p.title, p.first) for p in passages("pkg/wood.py", MODULE)]
    assert found == [
        ("pkg.wood", 1),
        ("pkg.wood.Tool", 5),
        ("pkg.wood.Tool.cut", 8),
    ]


def test_python_that_does_not_parse_has_no_passages() -> None:
    assert passages("a.py", "def f(:\n") == []


def test_paragraphs_come_under_their_headings() -> None:
    text = (
        "# Wood\n\nIt grows on trees, which grow slowly in the forest.\n"
        "So it takes time.\n\n## Cutting\n\n"
        "Saws cut it; sharp ones do it quicker than blunt ones.\n"
    )
    first, second = passages("docs/wood.md", text)
    assert (first.title, first.first, first.last) == ("wood, Wood", 3, 4)
    assert first.body.endswith("So it takes time.")
    assert (second.title, second.first) == ("wood, Cutting", 8)


def test_metadata_gives_summary_and_description_under_the_name() -> None:
    text = (
        "Metadata-Version: 2.1\nName: saw\n"
        "Summary: Cuts wood of any kind, quickly and without noise.\n\n"
        "This package cuts wood. It has cut wood for many years.\n"
    )
    found = passages("saw-1.dist-info/METADATA", text)
    assert [p.title for p in found] == ["saw", "saw"]
    assert [p.first for p in found] == [3, 5]


def test_long_text_is_cut_at_sentences_and_nothing_is_lost() -> None:
    sentences = [f"Sentence number {i} tells of things." for i in range(60)]
    found = passages("a.txt", " ".join(sentences))
    assert len(found) > 1
    assert all(len(p.body) <= MAX_CHARACTERS for p in found)
    assert " ".join(p.body for p in found) == " ".join(sentences)


def test_a_long_sentence_is_cut_between_words() -> None:
    text = " ".join(f"word{i}" for i in range(300))
    found = passages("a.txt", text)
    assert len(found) > 1
    assert " ".join(p.body for p in found) == text


def test_text_without_spaces_is_cut_hard() -> None:
    found = passages("a.txt", "x" * (2 * MAX_CHARACTERS + 50))
    assert [len(p.body) for p in found] == [MAX_CHARACTERS] * 2 + [50]


def test_an_id_is_that_of_the_text_and_not_of_its_place() -> None:
    body = "The same paragraph stands in two places of one document."
    first, second = passages("a.txt", f"{body}\n\n{body}\n")
    assert first.id == second.id
    assert first.first != second.first
    assert passages("b.txt", body)[0].id != first.id  # another title
