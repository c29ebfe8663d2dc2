"""Moments of a generation at which `kill -9` may strike, and the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from operating import CLOSE_LOOK_SECONDS, Up, operator
from tiny import MODEL, git, make_repository, repository_object

from reconciler.generations.resource import Model, ModelGeneration

GENERATION = f"{MODEL}-1"
END_SECONDS = 240.0


def run_file(up: Up, stage: str, name: str) -> Path | None:
    found = list(up.state.runs.glob(f"default.{GENERATION}.*.{stage}/{name}"))
    return found[0] if found else None


def started(stage: str) -> Callable[[Up, Path], bool]:
    return lambda up, _: run_file(up, stage, "status.json") is not None


def ended(stage: str) -> Callable[[Up, Path], bool]:
    return lambda up, _: run_file(up, stage, "result.json") is not None


def collected(stage: str) -> Callable[[Up, Path], bool]:
    return lambda up, _: run_file(up, stage, "collected.json") is not None


def training(up: Up, _: Path) -> bool:
    progress = run_file(up, "train", "progress.jsonl")
    return progress is not None and progress.stat().st_size > 0


def stored(up: Up, _: Path) -> bool:
    return any(
        up.state.datasets.glob("default/models/datasets/tiny/*/tiny-1-*")
    )


def asked(up: Up, _: Path) -> bool:
    return (up.state.serving / "models" / "tiny.json").exists()


def committed(_: Up, repository: Path) -> bool:
    """Whether somebody has pushed: the log of the branch has two lines."""
    log = repository / ".git/logs/refs/heads/main"
    return log.read_text().count("\n") > 1


MOMENTS: dict[str, Callable[[Up, Path], bool]] = {
    "data starts": started("data"),
    "data ended, not collected": ended("data"),
    "train starts": started("train"),
    "in training": training,
    "train ended, not collected": ended("train"),
    "evaluation ended, not collected": ended("evaluate"),
    "converted, not promoted": collected("convert"),
    "stored, not served": stored,
    "asked for, not answered": asked,
    "write-back": committed,
}


def converge(up: Up, repository: Path) -> tuple[Model, ModelGeneration]:
    """Wait until the generation serves and the promotion is recorded."""
    with up.session() as session:

        def done():
            model = session.find(Model, "default", MODEL)
            generation = session.find(ModelGeneration, "default", GENERATION)
            if model is None or generation is None:
                return None
            record = model.status.promotion
            recorded = record is not None and record.state == "Recorded"
            served = generation.status.promoted_at is not None
            return (model, generation) if recorded and served else None

        found = up.until(done, END_SECONDS, "promotion")
    commits = git(repository, "log", "--format=%s").splitlines()
    assert len(commits) == 2, commits
    assert "# a comment" in (repository / "model.yaml").read_text()
    return found


def assert_trained_once(up: Up) -> None:
    """No step was done again from the start."""
    progress = run_file(up, "train", "progress.jsonl")
    assert progress is not None
    text = progress.read_text()
    assert text.count('"step": 10,') == 1, text


def begin(up: Up, tmp_path: Path) -> Path:
    repository = make_repository(tmp_path / "config")
    up.start()
    with up.session() as session:
        session.run(session.client.apply(repository_object(repository)))
    return repository


def undisturbed_digest(root: Path) -> str:
    """The digest that a run without any kill promotes."""
    with operator(root) as up:
        _, generation = converge(up, begin(up, root))
    assert generation.status.artifact_digest is not None
    return generation.status.artifact_digest


def kill_when(moment: str, up: Up, repository: Path) -> None:
    """Kill at the moment, and start again."""
    reached = MOMENTS[moment]
    up.until(
        lambda: reached(up, repository),
        END_SECONDS,
        moment,
        CLOSE_LOOK_SECONDS,
    )
    up.kill()
    up.start()


def kill_at(moment: str, up: Up, root: Path, expected: str) -> None:
    """Kill at the moment, start again, and end as an undisturbed run."""
    repository = begin(up, root)
    kill_when(moment, up, repository)
    model, generation = converge(up, repository)
    assert generation.status.artifact_digest == expected
    assert model.status.production.digest == expected
    assert_trained_once(up)
