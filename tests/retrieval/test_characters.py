"""Evidence stands where it says: document[start:end] is its text."""

from __future__ import annotations

import re

import pytest

from reconciler.retrieval.build import build
from reconciler.retrieval.chunking import Chunking, passages
from reconciler.retrieval.library import Library
from reconciler.retrieval.rows import Rows
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.source import scan
from tests.retrieval.library_support import Counting

SMALL = Chunking(90, 10)
MARKDOWN = """\
# Wood

It grows on  trees, which grow
   slowly in the forest. So it takes time, äöü and 🪵 too. Then more follows.

```console
# no heading
$ saw --in wood

$ saw again, and again
```

## Cutting\twell
Saws cut it; sharp ones do it quicker than blunt ones do it.
"""
PYTHON = '''\
"""Módule of wood, which is told at some length\tand with tabs."""

class Größe: "On the same line, after letters that are two bytes."

def cut():
    r"""Cut \\alpha once,
    at the line that was drawn, and never beside it.
    """

def saw():
    """\
    Saw along\\x20the grain, \\"quickly\\" \\N{BULLET} and \\d well.\\
    Then go home and have some \\u00e9clairs.
    """
'''
METADATA = (
    "Metadata-Version: 2.1\r\nName: saw\r\nSummary: Cuts wood of any kind.\r\n"
    "\r\nThis package cuts wood.\r\nName: not this one, it is only text.\r\n"
)
DOCUMENTS = {
    "wood.md": MARKDOWN,
    "mac.txt": MARKDOWN.replace("\n", "\r"),
    "dos.rst": MARKDOWN.replace("\n", "\r\n"),
    "pages.txt": "One page of text.\n\n\x0cAnother page.\x0b\u2028Same line.",
    "saw-1/METADATA": METADATA,
    "wood.py": PYTHON,
    "dos.py": PYTHON.replace("\n", "\r\n"),
}


def collapsed(text: str) -> str:
    return " ".join(text.split())


def lines_before(document: str, place: int) -> int:
    return len(re.split("\r\n|\r|\n", document[:place]))


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize(
    "chunking", [SMALL, Chunking(20, 1), Chunking(700, 10)]
)
def test_every_part_of_a_passage_stands_where_it_says(path, chunking) -> None:
    document = DOCUMENTS[path]
    found = passages(path, document, chunking)
    assert found
    for passage in found:
        for start, end in parts(passage.body):
            a, b = passage.characters(start, end)
            stands = collapsed(document[a:b])
            if "\\" not in stands:  # an escape, checked below
                assert stands == passage.body[start:end]
        a, b = passage.characters()
        assert passage.first == lines_before(document, a)
        assert passage.last == lines_before(document, b - 1)


def parts(body: str):
    """All of it, and each stretch from one word to another."""
    words = [(m.start(), m.end()) for m in re.finditer(r"\S+", body)]
    for i, (start, _) in enumerate(words):
        for _, end in words[i:]:
            yield start, end


@pytest.mark.parametrize("path", ["wood.py", "dos.py"])
def test_escapes_of_a_literal_are_pointed_at_as_they_are_written(path) -> None:
    document = DOCUMENTS[path]
    (saw,) = [p for p in passages(path, document) if p.title.endswith("saw")]
    for said, written in [
        ('"quickly"', '\\"quickly\\"'),
        ("•", "\\N{BULLET}"),
        ("\\d", "\\d"),
        ("éclairs.", "\\u00e9clairs."),
    ]:
        start = saw.body.index(said)
        a, b = saw.characters(start, start + len(said))
        assert document[a:b] == written


def test_raw_literals_have_no_escapes() -> None:
    (cut,) = [p for p in passages("wood.py", PYTHON) if p.title == "wood.cut"]
    a, b = cut.characters()
    assert collapsed(PYTHON[a:b]) == cut.body
    assert "\\alpha" in cut.body


def test_a_docstring_of_several_literals_says_that_it_does_not_know() -> None:
    text = (
        'def f():\n    ("This is one literal, " "and this is another one.")\n'
    )
    (found,) = passages("a.py", text)
    assert found.characters() is None
    assert (found.first, found.last) == (2, 2)


def test_a_byte_order_mark_is_no_part_of_a_document(tmp_path) -> None:
    (tmp_path / "a.py").write_text(PYTHON, "utf-8-sig")
    (tmp_path / "b.md").write_text(MARKDOWN, "utf-8-sig")
    found = scan([tmp_path]).passages
    assert {p.path for p in found} == {"a.py", "b.md"}
    assert any(p.title == "b, Wood" for p in found)
    for passage in found:
        document = DOCUMENTS[f"wood{passage.path[1:]}"]
        a, b = passage.characters()
        if "\\" not in document[a:b]:
            assert collapsed(document[a:b]) == passage.body


def test_metadata_with_other_line_ends_has_a_description() -> None:
    found = passages("saw-1/METADATA", METADATA, SMALL)
    assert {p.title for p in found} == {"saw"}
    assert [p.body.split()[0] for p in found] == ["Cuts", "This"]


def test_comments_in_fenced_code_are_no_headings() -> None:
    titles = {p.title for p in passages("wood.md", MARKDOWN, SMALL)}
    assert titles == {"wood, Wood", "wood, Cutting\twell"}


def test_characters_of_a_hit_are_those_of_its_document(tmp_path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "wood.md").write_text(MARKDOWN)
    library = Library(tmp_path / "index")
    build(library, [tmp_path / "docs"], Counting())
    with Searcher(library, Counting()) as searcher:
        (hit,) = searcher.search("blunt saws", 1)
    a, b = hit.passage.characters()
    assert MARKDOWN[a:b].startswith("Saws cut it; sharp ones")


def test_characters_of_a_row_are_those_of_its_text(tmp_path) -> None:
    text = "First line\\nSecond  line of it."
    row = f'{{"path": "m/1", "title": "t", "text": "{text}"}}\n'
    (tmp_path / "rows").write_text(row)
    (found,) = Rows(tmp_path / "rows").scan(None).passages
    start = found.body.index("Second")
    said = text.replace("\\n", "\n")
    a, b = found.characters(start, len(found.body))
    assert said[a:b] == "Second  line of it."
