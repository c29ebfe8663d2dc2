"""A promotion that should be written into the repository."""

from __future__ import annotations

from dataclasses import dataclass

TRAILER = "Reconciler-Promotion"


@dataclass(frozen=True)
class Promotion:
    """One generation of a Model that serves and is not yet in Git."""

    namespace: str
    model: str
    generation: str
    """Name of the generation: the new value of spec.generation."""

    previous: str | None = None
    """spec.generation when it was promoted. If the branch says something
    else by now, a person decided meanwhile and nothing is written."""

    evidence: tuple[str, ...] = ()
    """Lines for the commit message: improvement with its interval, gate,
    digests."""

    uid: str = ""
    """uid of the generation's object: a lineage that was begun anew has the
    same names, and its promotions are others."""

    @property
    def token(self) -> str:
        """Value of the trailer: names the promotion for ever."""
        name = f"{self.namespace}/{self.model}/{self.generation}"
        return f"{name}@{self.uid[:8]}" if self.uid else name

    def message(self) -> str:
        """The commit message."""
        subject = f"Promote {self.model} to {self.generation}"
        before = self.previous or "not pinned"
        body = [f"spec.generation: {before} -> {self.generation}"]
        body += [_flat(line) for line in self.evidence]
        parts = [subject, "\n".join(body), f"{TRAILER}: {self.token}"]
        return "\n\n".join(parts) + "\n"


def _flat(line: str) -> str:
    """One line that cannot pass for a trailer of ours."""
    text = " ".join(line.split())
    return text.replace(f"{TRAILER}:", f"{TRAILER} :")


def is_recorded(message: str, token: str) -> bool:
    """Whether a commit message says that it wrote this promotion."""
    wanted = f"{TRAILER}: {token}"
    return any(line.strip() == wanted for line in message.splitlines())


def token_of(message: str) -> str | None:
    """The promotion that a commit message says that it wrote, if any."""
    prefix = f"{TRAILER}: "
    lines = [line.strip() for line in message.splitlines()]
    found = [x.removeprefix(prefix) for x in lines if x.startswith(prefix)]
    return found[-1] if found else None
