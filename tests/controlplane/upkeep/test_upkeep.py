"""check, compact, backup and restore, on databases of real servers."""

import functools
import io
import itertools
import json
import random
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pytest
from controlplane_support import CRDS, Client, config_map, widget, widget_crd

from reconciler.controlplane.cli import main
from reconciler.controlplane.lock import LockedError, StateLock
from reconciler.controlplane.server import ControlPlane
from reconciler.controlplane.storage.database import StorageError
from reconciler.controlplane.upkeep import backup as backup_module
from reconciler.controlplane.upkeep import checking
from reconciler.controlplane.upkeep.backup import backup
from reconciler.controlplane.upkeep.checking import _findings, check
from reconciler.controlplane.upkeep.compacting import compact
from reconciler.controlplane.upkeep.restore import JUMP, restore

MAPS = "/api/v1/namespaces/default/configmaps"
WIDGETS = "/apis/example.dev/v1/namespaces/default/widgets"


async def fill(client):
    """Objects, an owner, changes and deletions."""
    await client.ok("POST", CRDS, widget_crd())
    owner = await client.ok("POST", WIDGETS, widget())
    reference = {
        "apiVersion": "example.dev/v1",
        "kind": "Widget",
        "name": "a",
        "uid": owner["metadata"]["uid"],
    }
    await client.ok(
        "POST", MAPS, config_map("owned", ownerReferences=[reference])
    )
    for number in range(20):
        await client.ok("POST", MAPS, config_map(f"m{number}"))
        await client.ok("DELETE", f"{MAPS}/m{number}")
    await client.ok("POST", MAPS, config_map("kept"))


@pytest.fixture
async def stopped(tmp_path):
    """The state directory of a server that was used and stopped."""
    plane = ControlPlane(tmp_path / "state")
    await plane.start()
    client = Client(plane.kubeconfig)
    await fill(client)
    await client.close()
    await plane.stop()
    return tmp_path / "state"


async def test_a_database_in_use_is_in_order(client, tmp_path):
    await fill(client)
    assert check(tmp_path / "state" / "objects.sqlite3") == []


BROKEN = {
    "metadata.resourceVersion": "UPDATE revisions SET number = number + 1000"
    " WHERE name = 'kept'",
    "metadata.name is 'kept'": "UPDATE revisions SET name = 'other'"
    " WHERE name = 'kept'",
    "holds no object": "UPDATE revisions SET data = '[]' WHERE name = 'kept'",
    "has the uid of revision": "UPDATE revisions SET data = replace(data, "
    "json_extract(data, '$.metadata.uid'), 'twice')"
    " WHERE superseded IS NULL",
    "not indexed": "DELETE FROM owners",
    "has no owner": "INSERT INTO owners VALUES ('u', '/configmaps', '', 'x')",
    "is marked wrongly": "UPDATE revisions SET terminating = 1"
    " WHERE name = 'kept'",
    "does not end revision": "UPDATE revisions SET superseded = 1"
    " WHERE name = 'm3' AND deleted = 0",
    "format 7": "UPDATE facts SET value = 7 WHERE name = 'format'",
}


@pytest.mark.parametrize("problem", BROKEN)
async def test_what_is_wrong_is_found(stopped, problem, capsys):
    path = stopped / "objects.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute(BROKEN[problem])
    connection.close()
    assert any(problem in found.problem for found in check(path))
    assert main(["check", "--state", str(stopped), "-o", "json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert any(problem in found["problem"] for found in findings)


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"no database" * 99])
async def test_files_that_are_no_database_are_told(tmp_path, content):
    path = tmp_path / "objects.sqlite3"
    path.write_bytes(content)
    assert len(check(path)) == 1
    assert len(check(tmp_path / "absent")) == 1


def contents(directory):
    return {
        path.name: path.read_bytes() if path.is_file() else None
        for path in directory.iterdir()
        if path.name != "lock"
    }


async def test_an_examination_leaves_nothing_behind(stopped, monkeypatch):
    before = contents(stopped)
    assert not any(name.endswith(("-wal", "-shm")) for name in before)
    refused = []

    def while_it_lasts(connection, path):
        with pytest.raises(LockedError) as error:
            StateLock(stopped)
        refused.append(str(error.value))
        return _findings(connection, path)

    monkeypatch.setattr(checking, "_findings", while_it_lasts)
    assert check(stopped / "objects.sqlite3") == []
    assert "in use by `reconciler controlplane check`" in refused[0]
    assert contents(stopped) == before
    StateLock(stopped).release()


async def test_what_a_killed_server_had_not_put_in_order(client, tmp_path):
    """The newest commits are in the log beside the file."""
    await fill(client)
    killed = tmp_path / "killed"
    killed.mkdir()
    for path in (tmp_path / "state").glob("objects.sqlite3*"):
        (killed / path.name).write_bytes(path.read_bytes())
    assert (killed / "objects.sqlite3-wal").stat().st_size
    assert check(killed / "objects.sqlite3") == []
    with sqlite3.connect(killed / "objects.sqlite3") as connection:
        connection.execute(BROKEN["metadata.name is 'kept'"])
    assert (killed / "objects.sqlite3-wal").stat().st_size
    found = check(killed / "objects.sqlite3")
    assert any("metadata.name is 'kept'" in one.problem for one in found)
    connection.close()


async def test_compaction_forgets_history_and_loses_nothing(stopped, capsys):
    before = await listed(stopped)
    assert main(["compact", "--state", str(stopped)]) == 0
    assert "revisions forgotten" in capsys.readouterr().out
    assert check(stopped / "objects.sqlite3") == []
    assert await listed(stopped) == before
    assert compact(stopped).revisions >= 0


async def listed(state):
    """Names and versions of all ConfigMaps, and the version of the list."""
    plane = ControlPlane(state)
    await plane.start()
    client = Client(plane.kubeconfig)
    found = await client.ok("GET", MAPS)
    await client.close()
    await plane.stop()
    return [
        (item["metadata"]["name"], item["metadata"]["resourceVersion"])
        for item in found["items"]
    ]


async def test_a_running_server_is_backed_up_but_not_compacted(
    client, tmp_path
):
    await fill(client)
    with pytest.raises(LockedError):
        compact(tmp_path / "state")
    file = tmp_path / "saved"
    done = backup(tmp_path / "state", file)
    await client.ok("POST", MAPS, config_map("later"))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.glob(".backup-*")] == []
    restored = restore(file, tmp_path / "other", replace=False)
    assert restored.objects == done.objects
    names = [name for name, _ in await listed(tmp_path / "other")]
    assert "kept" in names
    assert "later" not in names


async def test_versions_go_on_and_old_watchers_list_again(
    plane, client, tmp_path
):
    await fill(client)
    file, state = tmp_path / "saved", tmp_path / "state"
    backup(state, file)
    for number in range(5):  # what the backup does not know of
        await client.ok("POST", MAPS, config_map(f"after{number}"))
    last = int((await client.ok("GET", MAPS))["metadata"]["resourceVersion"])
    await plane.stop()
    done = restore(file, state, replace=True)
    assert done.moved is not None
    assert (done.moved / "objects.sqlite3").is_file()
    again = ControlPlane(state)
    await again.start()
    fresh = Client(again.kubeconfig)
    try:
        found = await fresh.ok("GET", MAPS)
        version = int(found["metadata"]["resourceVersion"])
        assert version >= last + JUMP
        watch = f"{MAPS}?watch=1&timeoutSeconds=1&resourceVersion="
        _, told = await fresh.call("GET", f"{watch}{last}")
        assert told.get("object", told)["code"] == 410
        made = await fresh.ok("POST", MAPS, config_map("next"))
        assert int(made["metadata"]["resourceVersion"]) > version
    finally:
        await fresh.close()
        await again.stop()
    assert check(state / "objects.sqlite3") == []


async def test_the_same_kubeconfig_works_after_a_restore(stopped, tmp_path):
    plane = ControlPlane(stopped)
    await plane.start()
    config = plane.kubeconfig.read_text()
    port = plane.url.rpartition(":")[2]
    await plane.stop()
    backup(stopped, tmp_path / "saved")
    restore(tmp_path / "saved", tmp_path / "new", replace=False)
    again = ControlPlane(tmp_path / "new", int(port))
    await again.start()
    old = tmp_path / "old.kubeconfig"
    old.write_text(config)
    client = Client(old)
    await client.ok("GET", MAPS)
    await client.close()
    await again.stop()


async def test_a_directory_that_is_used_or_full_is_left_alone(
    stopped, tmp_path
):
    backup(stopped, tmp_path / "saved")
    before = (stopped / "objects.sqlite3").read_bytes()
    with pytest.raises(StorageError, match="--replace"):
        restore(tmp_path / "saved", stopped, replace=False)
    lock = StateLock(stopped)
    with pytest.raises(LockedError):
        restore(tmp_path / "saved", stopped, replace=True)
    lock.release()
    assert (stopped / "objects.sqlite3").read_bytes() == before


async def test_a_damaged_backup_is_refused_before_anything_changes(
    stopped, tmp_path
):
    good = tmp_path / "saved"
    backup(stopped, good)
    content = good.read_bytes()
    broken = tmp_path / "broken"
    target = tmp_path / "target"
    for cut in (0, 10, len(content) // 2):
        broken.write_bytes(content[:cut])
        with pytest.raises(StorageError):
            restore(broken, target, replace=False)
    changed = bytearray(content)
    changed[len(content) // 2] ^= 0xFF
    broken.write_bytes(bytes(changed))
    with pytest.raises(StorageError):
        restore(broken, target, replace=False)
    assert [p.name for p in target.iterdir()] == ["lock"]
    assert list(tmp_path.glob(".restore-*")) == []
    assert main(["restore", "--state", str(target), str(broken)]) == 1


@pytest.mark.parametrize("name", ["../evil", "identity/../../evil", "other"])
async def test_an_archive_with_other_files_is_no_backup(tmp_path, name):
    archive = tmp_path / "archive"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        tar.addfile(entry)
    with pytest.raises(StorageError, match="is in no backup"):
        restore(archive, tmp_path / "target", replace=False)
    assert not (tmp_path / "evil").exists()


def test_nothing_to_save_is_said(tmp_path, capsys):
    argv = ["--state", str(tmp_path), str(tmp_path / "file")]
    assert main(["backup", *argv]) == 1
    assert "no server was started" in capsys.readouterr().err
    assert main(["compact", "--state", str(tmp_path)]) == 1
    assert main(["check", "--state", str(tmp_path)]) == 1


async def test_the_commands_tell_what_they_did(stopped, tmp_path, capsys):
    file, target = str(tmp_path / "saved"), str(tmp_path / "target")
    assert main(["backup", "--state", str(stopped), file]) == 0
    assert main(["restore", "--state", target, file]) == 0
    assert main(["restore", "--state", target, file, "--replace"]) == 0
    assert main(["check", "--state", target]) == 0
    out = capsys.readouterr().out
    for text in ("objects at resource", "go on from", "former", "nothing wr"):
        assert text in out


async def test_a_changed_archive_never_passes_unnoticed(stopped, tmp_path):
    """Wherever it is: a clear refusal, or exactly what was saved."""
    archive, state = tmp_path / "saved", tmp_path / "new"
    saved = backup(stopped, archive)
    whole = archive.read_bytes()
    choice = random.Random(7)  # noqa: S311
    for place in choice.sample(range(len(whole)), 120):
        changed = bytearray(whole)
        if place % 2:
            changed[place] ^= 1 << choice.randrange(8)
        else:
            changed[place : place + 64] = b"\xff" * 64
        archive.write_bytes(changed)
        try:
            done = restore(archive, state, replace=False)
        except StorageError:
            assert not (state / "objects.sqlite3").exists()
        else:
            assert done.objects == saved.objects
            assert check(state / "objects.sqlite3") == []
            shutil.rmtree(state)


@pytest.mark.parametrize(
    "manifest", ["[]", "{}", '{"kind": 1, "format": 1, "sha256": 5}']
)
def test_a_manifest_of_another_shape_is_refused(tmp_path, manifest):
    archive = tmp_path / "saved"
    (tmp_path / "manifest.json").write_text(manifest)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "manifest.json", "manifest.json")
    with pytest.raises(StorageError, match="no complete backup"):
        restore(archive, tmp_path / "new", replace=False)


async def test_owners_of_another_shape_are_told(stopped):
    path = stopped / "objects.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE revisions SET data = json_set(data,"
            " '$.metadata.ownerReferences', json('[1]')) WHERE name = 'owned'"
        )
    connection.close()
    assert any("has no owner" in found.problem for found in check(path))


@pytest.mark.parametrize("kept", [0, 1, None])
async def test_a_database_cut_to_nothing_is_not_taken_for_new(stopped, kept):
    path = stopped / "objects.sqlite3"
    if kept is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(StorageError, match="is missing or was cut to"):
        await ControlPlane(stopped).start()
    assert path.exists() == (kept is not None)


def test_a_cut_database_is_not_compacted_into_a_new_one(tmp_path):
    (tmp_path / "url").touch()
    path = tmp_path / "objects.sqlite3"
    path.touch()
    with pytest.raises(StorageError, match="cut to 0 bytes"):
        compact(tmp_path)
    assert path.stat().st_size == 0


async def test_a_backup_ends_however_much_is_written(
    stopped, tmp_path, monkeypatch
):
    """A server that writes after each step does not make it begin again."""
    real, steps = sqlite3.connect, itertools.count()
    server = real(stopped / "objects.sqlite3", isolation_level=None)

    def write(*_):
        number = next(steps)
        assert number < 1000, "it does not come to an end"
        server.execute(
            "INSERT OR REPLACE INTO facts VALUES ('x', ?)", (number,)
        )

    class Watched(sqlite3.Connection):
        def backup(self, target, **options):
            super().backup(target, progress=write, **options)

    monkeypatch.setattr(
        sqlite3, "connect", functools.partial(real, factory=Watched)
    )
    monkeypatch.setattr(backup_module, "_STEP_PAGES", 1)
    backup(stopped, tmp_path / "saved")
    monkeypatch.undo()
    server.close()
    assert next(steps) > 10  # there were writes in between
    restore(tmp_path / "saved", tmp_path / "new", replace=False)


async def test_a_backup_without_identity_is_neither_made_nor_taken(
    stopped, tmp_path
):
    good, bad = tmp_path / "good", tmp_path / "bad"
    backup(stopped, good)
    with tarfile.open(good) as old, tarfile.open(bad, "w:gz") as new:
        for member in old:
            if member.name.startswith("identity/"):
                continue
            content = old.extractfile(member).read()
            if member.name == "manifest.json":
                manifest = json.loads(content)
                manifest["sha256"] = {
                    name: digest
                    for name, digest in manifest["sha256"].items()
                    if not name.startswith("identity/")
                }
                content = json.dumps(manifest).encode()
                member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    before = sorted(p.name for p in stopped.iterdir())
    with pytest.raises(StorageError, match="identity/token is missing"):
        restore(bad, stopped, replace=True)
    assert sorted(p.name for p in stopped.iterdir()) == before
    shutil.rmtree(stopped / "identity")
    with pytest.raises(StorageError, match="identity/token does not exist"):
        backup(stopped, bad)


async def test_a_restore_that_was_cut_short_is_not_served(
    stopped, tmp_path, monkeypatch
):
    """Killed between any two of its steps: no server starts on the half."""
    backup(stopped, tmp_path / "saved")
    steps = 0

    def dies(path, target, real=Path.replace):
        nonlocal steps
        steps -= 1
        if steps < 0:
            raise Killed
        return real(path, target)

    monkeypatch.setattr(Path, "replace", dies)
    for count in range(20):
        state = tmp_path / f"state{count}"
        shutil.copytree(stopped, state)
        steps = count
        try:
            restore(tmp_path / "saved", state, replace=True)
        except Killed:
            steps = 1000
            with pytest.raises(StorageError, match="was cut short"):
                await ControlPlane(state).start()
            with pytest.raises(StorageError, match=r"cut short|not exist"):
                compact(state)
            restore(tmp_path / "saved", state, replace=True)
            assert check(state / "objects.sqlite3") == []
        else:
            break
    assert count > 5
    steps = 1000
    assert "kept" in [name for name, _ in await listed(state)]


class Killed(BaseException):
    """The end of the process."""


async def test_a_restored_server_has_its_port_and_private_files(
    stopped, tmp_path
):
    backup(stopped, tmp_path / "saved")
    port = (stopped / "port").read_text()
    state = tmp_path / "new"
    state.mkdir(mode=0o755)
    restore(tmp_path / "saved", state, replace=False)
    assert (state / "port").read_text() == port
    assert (state / "identity").stat().st_mode & 0o777 == 0o700
    modes = {p.stat().st_mode & 0o777 for p in state.glob("identity/*")}
    assert modes == {0o600}
    assert sorted(p.name for p in state.iterdir()) == [
        "identity",
        "lock",
        "objects.sqlite3",
        "port",
    ]


async def test_restore_takes_the_current_directory_and_links(
    stopped, tmp_path, monkeypatch
):
    backup(stopped, tmp_path / "saved")
    link = tmp_path / "link"
    link.symlink_to(stopped)
    moved = restore(tmp_path / "saved", link, replace=True).moved
    assert moved is not None
    assert moved.parent == tmp_path
    monkeypatch.chdir(stopped)
    assert restore(tmp_path / "saved", Path(), replace=True).moved is not None
    names = [p.name for p in stopped.iterdir()]
    assert sorted(names) == ["identity", "lock", "objects.sqlite3", "port"]
