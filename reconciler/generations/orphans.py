"""Models that a node serves although no object names them any more."""

from __future__ import annotations

import logging

from reconciler.engine.controller import Objects
from reconciler.generations.model_controller import served_name
from reconciler.generations.resource import Model
from reconciler.serving.documents import ServingState

logger = logging.getLogger(__name__)


def undeploy_orphans(serving: ServingState, objects: Objects) -> list[str]:
    """Stop serving what was deleted while this node did not look.

    A Model whose data was moved to another node is deleted there; whoever
    served it before learns of that when it starts again.

    Args:
        serving: what this node serves.
        objects: every Model, also those of other nodes.

    Returns:
        The names under which they were served.
    """
    named = {served_name(model) for model in objects.list(Model)}
    orphans = [name for name in serving.desired_models() if name not in named]
    for name in orphans:
        logger.warning("%s is served but no Model is called so: stopped", name)
        serving.remove_desired(name)
    return orphans
