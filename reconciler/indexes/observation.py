"""What is known of an index at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.engine.resource import Timestamp
from reconciler.retrieval.approximate.tier import Tier


@dataclass(frozen=True)
class Problem:
    """Why something cannot be had."""

    reason: str
    message: str
    lasting: bool = False
    """Whether only a person can help, as opposed to waiting."""


@dataclass(frozen=True)
class Wanted:
    """What the newest generation should have been made of."""

    recipe: str
    """Digest of embedder, chunking and metric."""

    source: str
    """Fingerprint of the documents."""


@dataclass(frozen=True)
class Built:
    """The newest finished build, as it recorded itself."""

    wanted: Wanted
    generation: str
    documents: int
    passages: int
    embedded: int
    reused: int
    skipped: int
    recall: float | None
    run: str
    seconds: float
    finished_at: Timestamp
    tier: Tier | None = None
    """Whether a graph was made, if one was asked for."""


@dataclass(frozen=True)
class BuildRun:
    """The run that builds what is wanted."""

    name: str
    phase: str = "Pending"
    failures: int = 0
    step: int = 0
    max_steps: int | None = None
    eta_seconds: float | None = None
    message: str = ""
    failed_at: datetime | None = None


@dataclass(frozen=True)
class Answering:
    """What the serving process says of the index."""

    generation: str | None
    """The one that answers; None: none does."""

    message: str = ""
    damaged: str | None = None
    """A generation that has to be built again before it can answer."""

    graph_fault: str = ""
    """Why a graph that is there does not answer."""

    graph_damaged: bool = False
    """Whether making it again would help."""

    questions: int = 0
    p50: float = 0.0
    p99: float = 0.0
    """Milliseconds."""


@dataclass(frozen=True)
class IndexFacts:
    """An index, its source and who answers from it, as found."""

    ours: bool = True
    """Whether the index is kept by the node that we run on."""

    node: str | None = None
    """That node."""

    problems: tuple[Problem, ...] = ()
    """What keeps a build from being started."""

    wanted: Wanted | None = None
    exported: bool = True
    """Whether the source lies on this node to be read."""

    device: str | None = None
    run: BuildRun | None = None
    """The run for what is wanted; None where nothing can be wanted."""

    other_run: str | None = None
    """A live run of this index that builds something else."""

    other_recipe: bool = False
    """Whether that one also has another recipe: nobody wants its result."""

    built: Built | None = None
    current: str | None = None
    """The generation that the pointer names."""

    leftovers: bool = False
    """Files of builds that have ended."""

    on_disk: bool = False
    """Whether there are files of the index at all."""

    deployed: bool = False
    """Whether the serving process was asked for exactly this index."""

    known_to_server: bool = False
    """Whether it was asked for this index in any form."""

    server_alive: bool = False
    endpoint: str | None = None
    answering: Answering | None = None
