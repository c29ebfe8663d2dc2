"""The embedded server, with everything that can happen to it."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from reconciler.feedback import EmbeddedServer, FeedbackError, NoServerError
from reconciler.feedback import embedded as embedded_module
from reconciler.feedback.binaries import VARIABLE, Binaries, discover, select
from reconciler.feedback.processes import (
    alive,
    backends,
    exclusive,
    postmaster,
    wait_until,
)
from reconciler.feedback.sockets import make_private, socket_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def own(tmp_path):
    """A server of this test's own, below a private directory."""
    if not discover():
        pytest.skip("no PostgreSQL here")
    embedded = EmbeddedServer(tmp_path / "pg")
    yield embedded
    embedded.stop()


def pid_of(server: EmbeddedServer) -> int | None:
    return postmaster(server.directory / "data")


def setting(dsn: str, name: str) -> str:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,))
        return row.fetchone()[0]


def test_ensure_starts_once_and_only_on_a_private_socket(own):
    dsn = own.ensure("one")
    first = pid_of(own)
    assert own.ensure("one") == dsn
    assert pid_of(own) == first
    assert setting(dsn, "listen_addresses") == ""
    assert setting(dsn, "fsync") == "on"
    folder = Path(setting(dsn, "unix_socket_directories").strip('"'))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((own.directory / "data").stat().st_mode) == 0o700


def test_databases_are_apart_and_rows_survive_a_restart(own):
    with psycopg.connect(own.ensure("one")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    with psycopg.connect(own.ensure("two")) as connection:
        found = connection.execute("SELECT to_regclass('t')").fetchone()
        assert found == (None,)
    own.stop()
    assert not own.running()
    own.stop()
    with psycopg.connect(own.ensure("one")) as connection:
        assert connection.execute("SELECT n FROM t").fetchone() == (7,)


def test_a_server_outlives_its_starter_and_is_found_again(own):
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from reconciler.feedback import EmbeddedServer\n"
        "EmbeddedServer(Path(sys.argv[1])).ensure()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", script, str(own.directory)]
    assert subprocess.run(command, check=False).returncode == -9
    pid = pid_of(own)
    assert pid is not None
    own.ensure()
    assert pid_of(own) == pid


def test_two_starters_at_once_start_one_server(own):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from reconciler.feedback import EmbeddedServer\n"
        "EmbeddedServer(Path(sys.argv[1])).ensure('shared')\n"
    )
    command = [sys.executable, "-c", script, str(own.directory)]
    starters = [subprocess.Popen(command) for _ in range(3)]
    assert [starter.wait(60) for starter in starters] == [0, 0, 0]
    log = (own.directory / "log").read_text()
    assert log.count("ready to accept connections") == 1


def test_a_killed_server_comes_back_with_its_rows(own):
    with psycopg.connect(own.ensure()) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    pid = pid_of(own)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not alive(pid), 10)
    assert not own.running()
    with psycopg.connect(own.ensure()) as connection:
        assert connection.execute("SELECT n FROM t").fetchone() == (7,)
    assert pid_of(own) != pid


def test_lock_files_with_a_recycled_process_id_do_not_keep_it_down(own):
    dsn = own.ensure()
    pid = pid_of(own)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not alive(pid), 10)
    socket = Path(setting_folder(own)) / ".s.PGSQL.5432.lock"
    for lock in (own.directory / "data" / "postmaster.pid", socket):
        text = lock.read_text().split("\n", 1)[1]
        lock.write_text(f"{os.getppid()}\n{text}")
    assert own.ensure() == dsn
    assert pid_of(own) not in {None, os.getppid()}


def busy(dsn: str) -> None:
    """A query that looks at nothing else while it computes."""
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(dsn) as connection,
    ):
        connection.execute("SELECT count(*) FROM generate_series(1, 1e12)")


def test_a_query_that_survived_its_server_is_ended_first(own):
    dsn = own.ensure()
    query = threading.Thread(target=busy, args=(dsn,))
    query.start()
    data = own.directory / "data"

    def computing() -> bool:
        with psycopg.connect(dsn) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE query LIKE '%generate_series%' AND state = 'active' "
                "AND wait_event IS NULL AND pid <> pg_backend_pid()"
            )
            return row.fetchone() == (1,)

    assert wait_until(computing, 20)
    pid = pid_of(own)
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not alive(pid), 10)
    orphans = set(backends(data))
    assert orphans
    assert own.ensure() == dsn
    assert not orphans & set(backends(data))
    query.join(20)
    assert not query.is_alive()


def test_a_server_that_does_not_end_is_reported_not_forgotten(own):
    own.ensure()
    pid = pid_of(own)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(FeedbackError, match="does not end"):
            own.stop(timeout_seconds=0.2)
        assert own.running()
    finally:
        os.kill(pid, signal.SIGCONT)
    own.stop()
    assert not own.running()


def test_a_long_log_is_put_aside_at_the_next_start(own):
    own.ensure()
    own.stop()
    log = own.directory / "log"
    log.write_text("x" * (5 << 20))
    own.ensure()
    assert (own.directory / "log.1").stat().st_size == 5 << 20
    assert log.stat().st_size < 1 << 20


def setting_folder(server: EmbeddedServer) -> Path:
    return socket_folder(server.directory.resolve())


def test_an_interrupted_initdb_is_begun_anew(own):
    half = own.directory / "data.new-abc"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    own.ensure()
    assert not half.exists()


def test_an_initdb_that_fails_leaves_nothing(own, monkeypatch):
    monkeypatch.setattr(
        Binaries, "initdb", property(lambda _: Path("/bin/false"))
    )
    with pytest.raises(FeedbackError, match="initdb failed"):
        own.ensure()
    left = {path.name for path in own.directory.iterdir()}
    assert left == {"lock"}


def test_data_of_another_version_is_refused_with_the_way_out(own):
    own.ensure()
    own.stop()
    version = own.directory / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")
    with pytest.raises(NoServerError, match=r"written by PostgreSQL 9\.6"):
        own.ensure()
    version.unlink()
    with pytest.raises(NoServerError, match="no PostgreSQL data directory"):
        own.ensure()
    version.write_text(right)
    own.ensure()


def test_a_server_that_ends_at_once_says_why(own):
    own.ensure()
    own.stop()
    control = own.directory / "data" / "global" / "pg_control"
    original = control.read_bytes()
    control.write_bytes(b"\0" * len(original))
    with pytest.raises(
        FeedbackError, match=r"the server ended: .*(FATAL|PANIC)"
    ):
        own.ensure()
    control.write_bytes(original)
    own.ensure()


def test_a_lock_that_is_not_given_back_is_reported(own, monkeypatch):
    own.directory.mkdir()
    monkeypatch.setattr(embedded_module, "_INITDB_SECONDS", 0)
    impatient = EmbeddedServer(own.directory, timeout_seconds=0.1)
    with (
        exclusive(own.directory / "lock", 1),
        pytest.raises(FeedbackError, match="locked"),
    ):
        impatient.ensure()


def test_a_long_path_gets_a_socket_elsewhere(tmp_path):
    deep = EmbeddedServer(tmp_path / ("d" * 100) / "pg")
    try:
        with psycopg.connect(deep.ensure()) as connection:
            connection.execute("SELECT 1")
        folder = setting_folder(deep)
        assert not folder.is_relative_to(tmp_path)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        deep.stop()
        shutil.rmtree(setting_folder(deep))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused")
def test_without_user_namespaces_root_uses_another_user():
    top = Path(tempfile.mkdtemp(prefix="reconciler-test-"))
    top.chmod(0o755)
    fallback = EmbeddedServer(top / "pg", namespaces=False)
    try:
        with psycopg.connect(fallback.ensure()) as connection:
            connection.execute("CREATE TABLE t (n int)")
        assert (top / "pg" / "data").stat().st_uid != 0
        fallback.stop()
        # Data of another user is served as that user from then on.
        EmbeddedServer(top / "pg").ensure()
    finally:
        fallback.stop()
        shutil.rmtree(top)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused")
def test_a_path_that_no_other_user_reaches_is_said_to_be_so(tmp_path):
    tmp_path.chmod(0o700)
    fallback = EmbeddedServer(tmp_path / "pg", namespaces=False)
    with pytest.raises(NoServerError, match="does not run as root"):
        fallback.ensure()


@pytest.mark.skipif(os.geteuid() != 0, reason="data of root needs root")
def test_data_stays_roots_where_namespaces_work(own):
    own.ensure()
    owner = (own.directory / "data").stat().st_uid
    postgres = Path(f"/proc/{pid_of(own)}/uid_map").read_text().split()
    if postgres == ["0", "0", "4294967295"]:
        pytest.skip("no user namespaces here")
    assert owner == 0


def test_binaries_of_the_wheel_are_found_and_work(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "reconciler.feedback.binaries._system", lambda: iter(())
    )
    found = discover()
    if not found:
        pytest.skip("the extra embedded is not installed")
    private = EmbeddedServer(tmp_path / "pg")
    before = tmp_path.stat().st_mode
    try:
        dsn = private.ensure()
        assert int(setting(dsn, "server_version_num")) >= 140000
        assert tmp_path.stat().st_mode == before
    finally:
        private.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="others have no such trouble")
def test_programs_and_data_below_a_private_home_work(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "reconciler.feedback.binaries._system", lambda: iter(())
    )
    found = discover()
    if not found:
        pytest.skip("the extra embedded is not installed")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    package = found[0].folder.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    install = found[0].folder.parent.name
    shutil.copytree(package / install, home / package.name / install)
    shutil.copytree(libraries, home / libraries.name)
    monkeypatch.setenv(VARIABLE, str(home / package.name / install / "bin"))
    private = EmbeddedServer(home / "pg")
    try:
        dsn = private.ensure()
    except NoServerError as error:
        pytest.skip(f"no user namespaces here: {error}")
    try:
        assert setting(dsn, "data_directory").startswith(str(home))
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert home.stat().st_uid == 0
    finally:
        private.stop()


def test_a_prepared_socket_folder_of_somebody_else_is_refused(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    with pytest.raises(NoServerError, match="somebody else"):
        make_private(link, None, None)
    if os.geteuid() == 0:
        os.chown(elsewhere, 65534, 65534)
        with pytest.raises(NoServerError, match="somebody else"):
            make_private(elsewhere, None, None)


def test_no_server_and_old_servers_are_told_apart_from_good_ones(
    tmp_path, monkeypatch
):
    with pytest.raises(NoServerError, match="install the package"):
        select([], None)
    for name, text in (
        ("postgres", "postgres (PostgreSQL) 13.9"),
        ("initdb", ""),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert discover() == []
    (tmp_path / "postgres").write_text(
        "#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n"
    )
    assert discover() == [Binaries(tmp_path, 17)]
    assert select(discover(), "17").major == 17
