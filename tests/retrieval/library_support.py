"""A directory of documents, and an embedder that counts its work."""

from __future__ import annotations

from pathlib import Path

from reconciler.retrieval.embedder import HashingEmbedder


class Counting(HashingEmbedder):
    """Hashed features; remembers every text, and can die at one."""

    def __init__(self, dim: int = 256, die_after: int | None = None) -> None:
        super().__init__(dim)
        object.__setattr__(self, "seen", [])
        object.__setattr__(self, "die_after", die_after)

    def embed(self, texts):
        if self.die_after is not None and len(self.seen) >= self.die_after:
            raise RuntimeError("the device went away")
        self.seen.extend(texts)
        return super().embed(texts)


def write_documents(root: Path, count: int) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        (root / f"doc{i}.md").write_text(
            f"# Topic {i}\n\nThe subject number {i} is about thing{i} and "
            f"nothing else, as was said before.\n"
        )
    return root
