"""The ModelGeneration that a schedule creates. Pure."""

from __future__ import annotations

from typing import Any

from reconciler.engine.resource import API_VERSION, GROUP
from reconciler.generations.resource import (
    GenerationTemplate,
    Model,
    TrainingSchedule,
)
from reconciler.generations.schedule_plan import (
    SCHEDULE_GENERATION,
    CreateGeneration,
)


def generation_body(
    schedule: TrainingSchedule, model: Model, action: CreateGeneration
) -> dict[str, Any]:
    """The object to apply: the same inputs give the same object."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelGeneration",
        "metadata": {
            "name": action.name,
            "namespace": schedule.metadata.namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "reconciler",
                f"{GROUP}/model": model.metadata.name,
            },
            "annotations": {
                SCHEDULE_GENERATION: str(schedule.metadata.generation)
            },
            "ownerReferences": [_owner(model)],
        },
        "spec": _spec(schedule, model, action),
    }


def _owner(model: Model) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "Model",
        "name": model.metadata.name,
        "uid": model.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _spec(
    schedule: TrainingSchedule, model: Model, action: CreateGeneration
) -> dict[str, Any]:
    first = action.parent is None
    template = schedule.spec.bootstrap if first else schedule.spec.template
    spec = _wire(template)
    spec["modelRef"] = {"name": model.metadata.name}
    spec["suiteRef"] = {"name": model.spec.suite_ref.name}
    spec["number"] = action.number
    if action.parent is None:
        spec["architecture"] = model.spec.architecture.model_dump(
            mode="json", by_alias=True
        )
    else:
        spec["parentRef"] = {"name": action.parent}
    if "feedback" in spec["data"]:
        spec["data"]["feedback"]["after"] = action.after
        spec["data"]["feedback"]["through"] = action.through
    return spec


def _wire(template: GenerationTemplate) -> dict[str, Any]:
    data: dict[str, Any] = template.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return data
