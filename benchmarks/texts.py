"""Real texts that are on a machine: package descriptions and docstrings.

Descriptions are those of all packages of the Debian release, installed or
not, with their paragraphs; docstrings those of the standard library and of
the installed packages. What there is depends on the versions: keep the digest
of what was made from them.
"""

from __future__ import annotations

import ast
import random
import shutil
import subprocess
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

SHORTEST, LONGEST = 40, 160
"""Characters of a text; of longer ones the beginning is taken."""
SHORTEST_PARAGRAPH = 80
LISTS = Path("/var/lib/apt/lists")
_APT_HELPER = Path("/usr/lib/apt/apt-helper")
_SECONDS = 300.0


def collect(lists: Path) -> dict[str, list[str]]:
    """Different texts by where they are from.

    What is said under several names, as generated code does, counts once.

    Args:
        lists: a directory of apt with translations (``Translation-en``).
    """
    found: dict[str, list[str]] = {}
    seen: set[str] = set()  # without the names
    sources = {
        "packages": _descriptions(lists, paragraphs=False),
        "paragraphs": _descriptions(lists, paragraphs=True),
        "docstrings": _installed_docstrings(),
    }
    for source, texts in sources.items():
        new = found[source] = []
        for text in texts:
            said = text.partition(": ")[2] or text
            if said not in seen:
                seen.add(said)
                new.append(text)
    return found


def shuffled(found: dict[str, list[str]]) -> list[str]:
    """All texts in an order that depends on nothing but them."""
    texts = sorted(text for part in found.values() for text in part)
    random.Random(0).shuffle(texts)  # noqa: S311 - no secret
    return texts


def apt_lists(private: Path) -> Path:
    """A directory of apt that has descriptions.

    apt's own where it has them; else they are downloaded to `private`, which
    needs no rights and changes nothing of the system's.
    """
    if any(LISTS.glob("*Translation-en*")) or shutil.which("apt-get") is None:
        return LISTS
    (private / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    settings = (
        f"Dir::State::Lists={private / 'lists'}",
        f"Dir::Cache={private / 'cache'}",
        "Acquire::Languages=en",
        "APT::Update::Post-Invoke=",
        "APT::Update::Post-Invoke-Success=",
    )
    options = [word for each in settings for word in ("-o", each)]
    # Some sources of a machine may be out of reach: what came is used.
    subprocess.run(
        ["apt-get", "-qq", *options, "update"],
        check=False,
        timeout=_SECONDS,
    )
    return private / "lists"


def _descriptions(lists: Path, *, paragraphs: bool) -> Iterator[str]:
    for path in sorted(lists.glob("*Translation-en*")):
        # apt keeps its lists compressed in one of several ways.
        content = subprocess.run(
            [_APT_HELPER, "cat-file", path],
            check=True,
            capture_output=True,
            timeout=_SECONDS,
        ).stdout.decode(errors="replace")
        for stanza in content.split("\n\n"):
            yield from stanza_texts(stanza, paragraphs=paragraphs)


def stanza_texts(stanza: str, *, paragraphs: bool) -> Iterator[str]:
    """The description of one package, or its paragraphs after the first."""
    name, _, rest = stanza.strip().partition("\n")
    if not name.startswith("Package: "):
        return
    head, *lines = rest.partition("Description-en: ")[2].split("\n")
    parts = "\n".join(line[1:] for line in lines).split("\n.\n")
    texts = [" ".join(part.split()) for part in parts]
    if paragraphs:
        for text in texts[1:]:
            if len(text) > SHORTEST_PARAGRAPH:
                yield text[:LONGEST]
    else:
        whole = f"{name.removeprefix('Package: ')}: {head}. {' '.join(texts)}"
        yield whole.strip()[:LONGEST]


def _installed_docstrings() -> Iterator[str]:
    places = {sysconfig.get_path(name) for name in ("stdlib", "purelib")}
    for place in sorted(places):
        yield from docstrings(Path(place))


def docstrings(directory: Path) -> Iterator[str]:
    """Docstrings with their names, of all Python files but tests."""
    for path in sorted(directory.rglob("*.py")):
        inside = path.relative_to(directory)
        if any("test" in part for part in inside.parts):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other people's code
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue  # templates, other versions of Python
        yield from _of_module(tree, path.stem)


def _of_module(tree: ast.Module, stem: str) -> Iterator[str]:
    documented = (
        ast.Module,
        ast.ClassDef,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
    )
    for node in ast.walk(tree):
        if not isinstance(node, documented):
            continue
        text = " ".join((ast.get_docstring(node) or "").split())
        if len(text) >= SHORTEST:
            yield f"{getattr(node, 'name', stem)}: {text}"[:LONGEST]
