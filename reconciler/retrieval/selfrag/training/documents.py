"""Documents of this machine that have a headline: text to train critics on.

Docstrings of installed Python packages (the first sentence is the headline)
and descriptions of Debian packages (the short one is). Files are parsed,
nothing is imported.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.corpus.summary import summarise

DPKG = Path("/var/lib/dpkg/status")
MIN_BODY = 100
"""Characters that must remain when the headline is taken away."""
MAX_BODY = 1400
PER_PACKAGE = 60
"""Documents of one package, so that none outweighs the others."""

_PARSED_FILES = 120
"""Of one package, spread by their digests."""
_FIELD = re.compile(r"^([A-Za-z-]+): ?(.*)$")
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Document:
    """A text without its headline.

    Attributes:
        package: decides the split.
        title: a dotted name, or that of a Debian package.
        headline: what it is about, in one sentence.
        body: the rest, paragraphs separated by an empty line.
    """

    package: str
    title: str
    headline: str
    body: str

    @property
    def path(self) -> str:
        """Its file in a directory of documents."""
        return f"{self.package}/{self.title}.md"


def rank(*parts: str) -> int:
    """A number that only depends on the text: what shuffles and splits."""
    text = "\x1f".join(parts)
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def documents(packages: Path, status: Path = DPKG) -> list[Document]:
    """Every document, in a fixed order; of twins the first.

    Args:
        packages: a directory of Python packages, such as site-packages.
        status: dpkg's list of installed packages; may be absent.
    """
    found: dict[tuple[str, str], Document] = {}
    for document in (*_python(packages), *_debian(status)):
        found.setdefault((document.headline, document.body), document)
    by_title = {document.path: document for document in found.values()}
    return [by_title[path] for path in sorted(by_title)]


def _python(packages: Path) -> Iterator[Document]:
    for folder in sorted(p for p in packages.iterdir() if p.is_dir()):
        name = folder.name
        if name.isidentifier() and not name.startswith("_"):
            yield from _chosen(_docstrings(folder))


def _chosen(found: Iterable[Document]) -> list[Document]:
    ordered = sorted(found, key=lambda d: rank("document", d.title))
    titles = {document.title.lower(): document for document in ordered}
    return list(titles.values())[:PER_PACKAGE]


def _docstrings(folder: Path) -> Iterator[Document]:
    paths = sorted(
        (path for path in folder.rglob("*.py") if _public(path, folder)),
        key=lambda path: rank("file", path.as_posix()[len(str(folder)) :]),
    )
    for path in paths[:_PARSED_FILES]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # old escapes
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError, OSError):
            continue
        parts = path.relative_to(folder.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        yield from _below(tree, ".".join(parts), folder.name)


def _public(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).with_suffix("").parts
    return not any(
        part in ("test", "tests", "testing", "vendor")
        or (part.startswith("_") and part != "__init__")
        for part in parts
    )


def _below(
    node: ast.Module | ast.ClassDef, prefix: str, package: str
) -> Iterator[Document]:
    for child in node.body:
        if not isinstance(child, _Scope) or child.name.startswith("_"):
            continue
        title = f"{prefix}.{child.name}"
        text = ast.get_docstring(child, clean=False)
        headline = summarise(text) if text else None
        if text and headline:
            body = _after_headline(inspect.cleandoc(text))
            if len(body) >= MIN_BODY and len(title) < MIN_BODY:
                yield Document(package, title, headline, body)
        if isinstance(child, ast.ClassDef):
            yield from _below(child, title, package)


def _after_headline(text: str) -> str:
    """The paragraphs after the first; it holds the headline."""
    paragraphs = re.split(r"\n\s*\n", text.strip())[1:]
    joined = "\n\n".join(" ".join(each.split()) for each in paragraphs)
    return joined[:MAX_BODY].encode("utf-8", "replace").decode()


def _debian(status: Path) -> Iterator[Document]:
    if not status.is_file():
        return
    for stanza in status.read_text("utf-8", "replace").split("\n\n"):
        fields: dict[str, list[str]] = {}
        values: list[str] = []
        for line in stanza.splitlines():
            named = _FIELD.match(line)
            if named:
                values = fields.setdefault(named.group(1), [])
                line = named.group(2)  # noqa: PLW2901 - the rest of it
            values.append(line)
        title = " ".join(fields.get("Package", [""]))
        headline, *rest = fields.get("Description", [""])
        body = "\n".join("" if x == " ." else x.strip() for x in rest)
        source = fields.get("Source", [title])[0].split(" ")[0]
        if title and headline and len(body) >= MIN_BODY:
            yield Document(f"debian-{source}", title, headline, body)
