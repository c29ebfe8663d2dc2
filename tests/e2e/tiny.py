"""A config repository whose model is tiny: the whole loop in seconds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MODEL = "tiny"

YAML = {
    "storage.yaml": """\
apiVersion: reconciler.dev/v1alpha1
kind: DatasetLayout
metadata:
  name: models
spec:
  interval: 1s
  datasets:
    - name: tiny
""",
    "feedback.yaml": """\
apiVersion: reconciler.dev/v1alpha1
kind: FeedbackStore
metadata:
  name: opinions
spec:
  interval: 1s
""",
    "evaluation.yaml": """\
apiVersion: reconciler.dev/v1alpha1
kind: EvaluationSuite
metadata:
  name: suite
spec:
  data:
    corpus: python-docstrings
    samples: 60
  decoding:
    maxNewTokens: 12
  primary:
    name: house-style
  gate:
    alpha: "0.05"
    minSamples: 40
    resamples: 1000
""",
    "model.yaml": """\
apiVersion: reconciler.dev/v1alpha1
kind: Model
metadata:
  name: tiny
spec:
  # a comment that write-back has to keep
  architecture:
    vocabularySize: 512
    hiddenSize: 32
    layers: 1
    heads: 2
    contextLength: 96
  suiteRef:
    name: suite
  storage:
    layoutRef:
      name: models
    dataset: tiny
  serving:
    minTop1Agreement: "0.5"
    maxPerplexityChange: "0.5"
""",
    "schedule.yaml": """\
apiVersion: reconciler.dev/v1alpha1
kind: TrainingSchedule
metadata:
  name: tiny
spec:
  modelRef:
    name: tiny
  learnFrom:
    storeRef:
      name: opinions
    minRows: 1000
  bootstrap:
    algorithm: SFT
    data:
      corpus:
        name: python-docstrings
    training:
      steps: 120
      batchSize: 8
      learningRate: "0.01"
      checkpointSteps: 10
      threads: 1
    seed: 1
  template:
    algorithm: DPO
    data:
      feedback:
        storeRef:
          name: opinions
    seed: 1
""",
}


def git(repository: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@localhost",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@localhost",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )
    return done.stdout


def make_repository(path: Path) -> Path:
    """A repository that accepts pushes to its checked-out branch."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "receive.denyCurrentBranch", "updateInstead")
    for name, text in YAML.items():
        (path / name).write_text(text)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "tiny")
    return path


def repository_object(path: Path) -> dict[str, object]:
    return {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "ConfigRepository",
        "metadata": {"name": "config", "namespace": "default"},
        "spec": {
            "git": {"url": path.resolve().as_uri()},
            "interval": "1s",
            "writeBack": {"enabled": True},
        },
    }
