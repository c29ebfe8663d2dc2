"""A VectorIndex to be asked: the serving process, or else its files here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reconciler.cli.errors import CommandError
from reconciler.cli.session import DEFAULT_STATE
from reconciler.engine.paths import StateDirectory

if TYPE_CHECKING:
    from reconciler.serving.open_index import OpenIndex

Route = Literal["search", "answer"]
Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""From the body of a request to that of the answer."""

SECONDS = 60.0
"""For one answer, where no serving process says otherwise."""


def index_asker(arguments: argparse.Namespace, route: Route) -> Ask:
    """What answers for the index that --index names.

    Raises:
        CommandError: nothing does, here and in each call.
    """
    from reconciler.serving.process import ServerProcess

    namespace, name = arguments.namespace, arguments.index
    served = name if namespace == "default" else f"{namespace}--{name}"
    if arguments.kubeconfig:
        return _over_http(*_from_object(arguments), route)
    state = StateDirectory(Path(arguments.state or DEFAULT_STATE).resolve())
    info = ServerProcess(state.serving).info()
    if info is not None:
        return _over_http(info.url, served, route)
    root = state.vector_indexes / namespace / name
    if not root.is_dir():
        msg = f"no serving process runs, and there is no index at {root}"
        raise CommandError(msg)
    return _from_files(state, root, served, route)


def _from_object(arguments: argparse.Namespace) -> tuple[str, str]:
    """Endpoint and name of an index, from its status."""
    from reconciler.cli.session import Session, kubeconfig_of
    from reconciler.indexes.resource import VectorIndex

    path = kubeconfig_of(arguments.kubeconfig, None)
    with Session(path) as session:
        found = session.get(
            "VectorIndex", arguments.namespace, arguments.index
        )
    status = VectorIndex.parse(found).status
    if status.endpoint is None or status.index is None:
        msg = f"VectorIndex {arguments.index} does not answer yet"
        raise CommandError(msg)
    return status.endpoint, status.index


def _over_http(endpoint: str, index: str, route: Route) -> Ask:
    from reconciler.serving.client import CompletionError, post

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        try:
            return post(endpoint, route, {"index": index, **body})
        except CompletionError as error:
            raise CommandError(str(error)) from error

    return ask


def _from_files(
    state: StateDirectory, root: Path, served: str, route: Route
) -> Ask:
    try:
        from reconciler.serving.completions import ApiError

        opened = _opened(state, root, served)
    except ImportError as error:
        msg = f"{error.name} is not installed: pip install 'reconciler[all]'"
        raise CommandError(msg) from error
    from reconciler.cli.local_library import failures_named
    from reconciler.retrieval.selfrag.protocols import PartError

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        try:
            with failures_named():
                return _answer(opened, {"index": served, **body}, route)
        except (ApiError, PartError) as error:
            raise CommandError(str(error)) from error

    return ask


def _opened(state: StateDirectory, root: Path, served: str) -> OpenIndex:
    from reconciler.serving.index_documents import DesiredIndex, IndexFiles
    from reconciler.serving.open_index import Opener, OpeningError

    try:
        desired = IndexFiles(state.serving).desired(served)
        return Opener().open(
            desired
            or DesiredIndex(
                index=served,
                root=str(root),
                graphs=str(state.graphs),
                device="CPU",
            )
        )
    except (OpeningError, ValueError) as error:
        raise CommandError(str(error)) from error


def _answer(
    index: OpenIndex, body: dict[str, Any], route: Route
) -> dict[str, Any]:
    from reconciler.serving.answer_endpoint import answered_from, parse_answer
    from reconciler.serving.search_api import parse_search
    from reconciler.serving.search_endpoint import answer_from

    if route == "answer":
        return answered_from(index, parse_answer(body), SECONDS)
    return answer_from(index, parse_search(body))
