"""Artifacts stay as long as any object or run mentions them."""

from __future__ import annotations

import fcntl
import os
import time

import pytest
from generation_objects import generation, model, record

from reconciler.artifacts import ArtifactStore
from reconciler.engine.status import to_json
from reconciler.generations import collected
from reconciler.generations.artifact_upkeep import ArtifactUpkeep
from reconciler.generations.stages import OUTPUTS
from reconciler.runs.protocol import Result, RunDirectory

DAY = 86400.0


class World:
    """A store, run directories, and a clock to turn."""

    def __init__(self, path) -> None:
        self.path, self.now = path, time.time()
        self.store = ArtifactStore(path / "artifacts")
        self.runs = path / "runs"
        self.upkeep = ArtifactUpkeep(
            self.store, self.runs, 14 * DAY, lambda: self.now
        )

    def put(self, name: str) -> str:
        """Store something a year ago."""
        source = self.path / name
        source.mkdir()
        (source / "file").write_text(name)
        digest = self.store.put(source)
        manifest = self.store.path(digest).parent / "manifest.json"
        os.utime(manifest, (self.now - 365 * DAY,) * 2)
        return digest

    def live(self, objects, days=15.0) -> None:
        """Look, let days pass, and look again."""
        self.upkeep(objects)
        self.now += days * DAY
        self.upkeep(objects)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def raw(obj) -> dict:
    """An object as the server has it."""
    body = obj.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**body, "status": to_json(obj.status)}


def of(name, **digests):
    """A generation whose status names digests."""
    made = generation(1, name=name)
    status = made.status.model_copy(update=digests)
    return raw(made.model_copy(update={"status": status}))


def test_what_generations_and_models_name_stays(world) -> None:
    names = ("data", "weights", "artifact", "served", "stage", "gone")
    digest = {name: world.put(name) for name in names}
    candidate = of(
        "docs-1",
        data_digest=digest["data"],
        weights_digest=digest["weights"],
        artifact_digest=digest["artifact"],
        stages=(
            record("convert").model_copy(update={"digest": digest["stage"]}),
        ),
    )
    serves = raw(model())
    serves["status"]["previous"] = {
        "generation": "docs-0",
        "digest": digest["served"],
    }
    world.live([candidate, serves])
    assert set(world.store.digests()) == set(digest.values()) - {
        digest["gone"]
    }


def test_a_deleted_generation_can_be_missed_for_two_weeks(world) -> None:
    kept, deleted = world.put("kept"), world.put("deleted")
    left = [of("docs-1", weights_digest=kept)]
    world.live(left, days=13.0)
    assert world.store.has(deleted)
    world.now += DAY
    world.upkeep(left)
    assert not world.store.has(deleted)
    assert world.store.has(kept)


def test_an_object_that_cannot_be_parsed_keeps_its_artifacts(world) -> None:
    kept, strange = world.put("kept"), world.put("strange")
    foreign = {
        "kind": "ModelGeneration",
        "metadata": {"name": "from-the-future"},
        "status": {"renamed": {"digest": strange}},
    }
    world.live([of("docs-1", weights_digest=kept), foreign])
    assert world.store.has(strange)


def test_what_a_run_collected_is_named_before_the_status_is(world) -> None:
    kept, fresh = world.put("kept"), world.put("fresh")
    run = world.runs / "default.docs-2.uid.train"
    run.mkdir(parents=True)
    (run / "collected.json").write_text(f'{{"digest": "{fresh}"}}')
    world.live([of("docs-1", weights_digest=kept)])
    assert world.store.has(fresh)


def test_a_cluster_that_lost_its_objects_loses_no_artifacts(world) -> None:
    orphan = world.put("orphan")
    world.live([raw(model())], days=1000.0)
    assert world.store.has(orphan)


def test_a_store_in_use_waits(world, caplog) -> None:
    caplog.set_level("INFO")
    kept, gone = world.put("kept"), world.put("gone")
    left = [of("docs-1", weights_digest=kept)]
    world.live(left, days=13.0)
    world.now += 2 * DAY
    with (world.store.root / "lock").open("a") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        world.upkeep(left)
    assert "next time" in caplog.text
    assert world.store.has(gone)
    world.upkeep(left)
    assert f"1 artifacts removed that no object named for 14 days: {gone}" in (
        caplog.text
    )


def finished_run(world, stage: str, made: str) -> RunDirectory:
    """A run with a result, and something beside what it made."""
    run = RunDirectory(world.runs / f"default.docs-1.uid.{stage}")
    (run.output / made).mkdir(parents=True)
    (run.output / made / "file").write_text(stage)
    (run.output / "report.json").write_text("{}")
    outputs = {OUTPUTS[stage] or "report": f"output/{made}"}
    run.write_result(Result(phase="Succeeded", outputs=outputs))
    return run


def collect(run: RunDirectory, stage: str, digest: str | None) -> None:
    note = collected.Collected.of(stage, run.path.name, digest, 1, {})
    collected.write(run.path, note)


def test_what_a_run_made_goes_once_it_is_an_artifact(world) -> None:
    run = finished_run(world, "train", "model")
    digest = world.store.put(run.output / "model")
    collect(run, "train", digest)
    objects = [of("docs-1", weights_digest=digest)]
    world.upkeep(objects)
    assert (run.output / "model").exists()
    world.live(objects, days=2.0)
    assert not (run.output / "model").exists()
    assert (run.output / "report.json").exists()
    world.store.verify(digest)


def test_the_copy_of_a_damaged_artifact_stays(world, caplog) -> None:
    run = finished_run(world, "train", "model")
    digest = world.store.put(run.output / "model")
    collect(run, "train", digest)
    stored = world.store.path(digest) / "file"
    stored.chmod(0o644)
    stored.write_text("other")
    world.live([of("docs-1", weights_digest=digest)], days=2.0)
    assert (run.output / "model").exists()
    assert "stays" in caplog.text


def test_reports_of_evaluations_stay(world) -> None:
    run = finished_run(world, "evaluate", "answers")
    collect(run, "evaluate", None)
    world.live([raw(model())], days=30.0)
    assert (run.output / "answers").exists()


def test_an_export_has_no_result_and_goes_as_a_whole(world) -> None:
    run = RunDirectory(world.runs / "default.docs-1.uid.data")
    run.output.mkdir(parents=True)
    (run.output / "train.jsonl").write_text("{}")
    digest = world.store.put(run.output)
    collect(run, "data", digest)
    world.live([of("docs-1", data_digest=digest)], days=2.0)
    assert not run.output.exists()
