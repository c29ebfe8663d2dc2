"""Indexes that a node answers from although no object names them any more."""

from __future__ import annotations

import logging

from reconciler.engine.controller import Objects
from reconciler.indexes.plan import served_name
from reconciler.indexes.resource import VectorIndex
from reconciler.serving.index_documents import IndexFiles

logger = logging.getLogger(__name__)


def undeploy_orphan_indexes(files: IndexFiles, objects: Objects) -> list[str]:
    """Let go of what was deleted while this node did not look.

    Returns:
        The names under which they answered.
    """
    named = {served_name(index) for index in objects.list(VectorIndex)}
    orphans = [name for name in files.names() if name not in named]
    for name in orphans:
        logger.warning("no VectorIndex is called %s: it is let go", name)
        files.remove_desired(name)
    return orphans
