"""A PostgreSQL of our own: found, initialised, started, found again.

::

    directory/            0700
      data/               the cluster; appears by one rename
      data.new-*          an unfinished one, removed by the next start
      socket/             0700, unless its path would be too long
      log, log.1          what the server says; no row is written there
      lock                flock of whoever starts or stops

The server outlives whoever started it, and listens on the Unix socket only:
who may enter the socket's folder may use the database, nobody else can.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from reconciler.feedback import processes
from reconciler.feedback.binaries import Binaries, discover, select
from reconciler.feedback.errors import FeedbackError, NoServerError
from reconciler.feedback.identity import Identity, choose_identity
from reconciler.feedback.settings import command_line
from reconciler.feedback.sockets import (
    PORT,
    make_private,
    socket_folder,
    socket_name,
)
from reconciler.runs.protocol import sync_directory

USER = "reconciler"
_INITDB_SECONDS = 120
_LOG_BYTES = 4 << 20


@dataclass(frozen=True)
class EmbeddedServer:
    """The PostgreSQL of one state directory.

    Any number of processes may use it at once. Methods raise
    `FeedbackError` if a retry may help and `NoServerError` if only a person
    can.
    """

    directory: Path
    timeout_seconds: float = 60
    namespaces: bool = True
    """Whether root may use a user namespace instead of another user."""

    def ensure(self, database: str = USER) -> str:
        """Have the server run and the database exist.

        Returns:
            The connection string of the database.
        """
        home = self._home()
        with self._locked():
            if processes.postmaster(home / "data") is None:
                self._start()
            self._await_ready()
            self._create(database)
        return self.dsn(database)

    def dsn(self, database: str = USER) -> str:
        """Connection string of a database, whether it exists or not."""
        return make_conninfo(
            host=str(socket_folder(self._home())),
            port=PORT,
            user=USER,
            dbname=database,
        )

    def running(self) -> bool:
        """Whether the server's process lives; it may still be starting."""
        return processes.postmaster(self._home() / "data") is not None

    def stop(self, timeout_seconds: float = 30) -> None:
        """End all sessions and shut down cleanly; stopped already is fine.

        Raises:
            FeedbackError: it did not end in time, not even when killed.
        """
        home = self._home()
        if not home.is_dir():
            return
        with self._locked():
            for number in (signal.SIGINT, signal.SIGQUIT):
                if self._signal(number, timeout_seconds):
                    return
        msg = f"the server of {home} does not end; see {home / 'log'}"
        raise FeedbackError(msg)

    def _signal(self, number: signal.Signals, seconds: float) -> bool:
        data = self._home() / "data"
        pid = processes.postmaster(data)
        if pid is None:
            return True
        with suppress(ProcessLookupError):
            os.kill(pid, number)

        def ended() -> bool:
            # It writes its last line to the log after its lock file is gone.
            return processes.postmaster(data) is None and not (
                processes.alive(pid)
            )

        return processes.wait_until(ended, seconds)

    def _home(self) -> Path:
        return self.directory.resolve()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._home() / "lock"
        patience = self.timeout_seconds + _INITDB_SECONDS
        try:
            lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with processes.exclusive(lock, patience):
                yield
        except (OSError, psycopg.Error) as error:
            msg = f"the server of {self._home()}: {error}"
            raise FeedbackError(msg) from error

    def _start(self) -> None:
        home = self._home()
        data = home / "data"
        binaries, identity = self._prepare()
        if not data.exists():
            self._initialise(binaries, identity)
        elif identity.uid not in {None, data.stat().st_uid}:
            identity.own(data)
        sockets = socket_folder(home)
        make_private(sockets, identity.uid, identity.gid)
        _clear_leftovers(data, sockets)
        log = home / "log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(home / "log.1")
        log.touch(0o600)
        identity.own(log)
        pid = identity.start(home, command_line(binaries, data, sockets), log)
        processes.wait_until(
            lambda: (
                processes.postmaster(data) is not None
                or not processes.alive(pid)
            ),
            self.timeout_seconds,
        )

    def _prepare(self) -> tuple[Binaries, Identity]:
        """Programs that fit the data, and a user that may run them."""
        home = self._home()
        data = home / "data"
        version = owner = None
        if data.exists():
            version = _version_of(data)
            owner = data.stat().st_uid
        binaries = select(discover(), version)
        identity = choose_identity(
            binaries.postgres, home, owner, namespaces=self.namespaces
        )
        return binaries, identity

    def _initialise(self, binaries: Binaries, identity: Identity) -> None:
        home = self._home()
        for unfinished in home.glob("data.new-*"):
            shutil.rmtree(unfinished)
        new = Path(tempfile.mkdtemp(prefix="data.new-", dir=home))
        identity.own(new)
        done = identity.run(
            home,
            [
                str(binaries.initdb),
                *("--pgdata", str(new), "--username", USER),
                *("--auth=trust", "--encoding=UTF8", "--locale=C"),
                *("--data-checksums", "--no-instructions"),
            ],
            _INITDB_SECONDS,
        )
        if done.returncode:
            shutil.rmtree(new)
            msg = f"initdb failed: {done.stderr.strip()[-500:]}"
            raise FeedbackError(msg)
        new.rename(home / "data")
        sync_directory(home)

    def _await_ready(self) -> None:
        """Wait until it answers: after a crash it replays its log first."""
        home = self._home()
        failure = ""

        def answers_or_dead() -> bool:
            nonlocal failure
            if not self.running():
                failure = f"the server ended: {_tail(home / 'log')}"
                return True
            return self._answers()

        if not processes.wait_until(answers_or_dead, self.timeout_seconds):
            failure = f"no answer yet: {_tail(home / 'log')}"
        if failure:
            raise FeedbackError(failure)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create(self, database: str) -> None:
        with psycopg.connect(
            self.dsn("postgres"), autocommit=True, connect_timeout=5
        ) as connection:
            found = connection.execute(
                "SELECT FROM pg_database WHERE datname = %s", (database,)
            )
            if found.fetchone() is None:
                create = sql.SQL("CREATE DATABASE {}")
                connection.execute(create.format(sql.Identifier(database)))


def _clear_leftovers(data: Path, sockets: Path) -> None:
    """Remove what a killed server left that would keep the next one away.

    PostgreSQL itself recognises a stale lock file by its process being
    gone. If another process has got that number, it cannot; we know that
    none of the processes alive works in the directory. Queries that go on
    without their server answer nobody and are killed: the next server
    recovers from the log in any case.
    """
    for pid in list(processes.backends(data)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not processes.wait_until(
        lambda: not any(True for _ in processes.backends(data)), 20
    ):
        msg = f"processes of a dead server still use {data}"
        raise FeedbackError(msg)
    socket = sockets / socket_name()
    for lock in (data / "postmaster.pid", Path(f"{socket}.lock")):
        recorded = processes.recorded_pid(lock)
        if recorded is not None and processes.exists(recorded):
            lock.unlink()


def _version_of(data: Path) -> str:
    try:
        return (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        msg = f"{data} is no PostgreSQL data directory: restore or remove it"
        raise NoServerError(msg) from None


def _tail(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return "it has written no log"
    return " / ".join(lines[-4:])
