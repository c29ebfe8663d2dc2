"""Every kind of the project, in the order of a staged apply."""

from __future__ import annotations

from reconciler.engine.resource import Resource
from reconciler.evaluation.resource import EvaluationSuite
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
    TrainingSchedule,
)
from reconciler.gitops.resource import ConfigRepository
from reconciler.indexes.resource import VectorIndex
from reconciler.notifications.resource import Alert
from reconciler.storage.resource import DatasetLayout

KINDS: tuple[type[Resource], ...] = (
    ConfigRepository,
    DatasetLayout,
    EvaluationSuite,
    FeedbackStore,
    Model,
    TrainingSchedule,
    ModelGeneration,
    VectorIndex,
    Alert,
)
