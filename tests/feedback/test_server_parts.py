"""Sockets, processes, identities, settings: parts of the server."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.feedback import launcher
from reconciler.feedback.binaries import Binaries, select
from reconciler.feedback.errors import FeedbackError, NoServerError
from reconciler.feedback.identity import (
    Identity,
    _candidates,
    choose_identity,
)
from reconciler.feedback.processes import (
    alive,
    exclusive,
    exists,
    postmaster,
    recorded_pid,
    serves,
    wait_until,
)
from reconciler.feedback.settings import command_line
from reconciler.feedback.sockets import (
    make_private,
    socket_folder,
    socket_name,
)


def test_a_short_path_keeps_its_socket():
    folder = socket_folder(Path("/srv/state/postgres"))
    assert folder == Path("/srv/state/postgres/socket")


@given(st.text("abc/\u00e9", min_size=1, max_size=250))
def test_every_socket_path_fits_and_is_stable(text):
    directory = Path("/srv") / text.strip("/")
    folder = socket_folder(directory)
    assert len(os.fsencode(folder / socket_name())) <= 107
    assert socket_folder(directory) == folder


def test_different_long_paths_have_different_sockets():
    one = socket_folder(Path("/srv") / ("a" * 120))
    other = socket_folder(Path("/srv") / ("b" * 120))
    assert one != other


def test_a_runtime_directory_is_preferred_if_it_exists(tmp_path, monkeypatch):
    short = Path("/run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    long = Path("/srv") / ("a" * 120)
    assert socket_folder(long).parent == short
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "missing"))
    assert socket_folder(long).parent == Path("/tmp")  # noqa: S108


def test_no_path_at_all_is_an_error_not_a_truncated_socket(monkeypatch):
    monkeypatch.setattr("reconciler.feedback.sockets._LONGEST", 10)
    with pytest.raises(NoServerError, match="short enough"):
        socket_folder(Path("/srv/state"))


def test_a_private_folder_is_made_private_again(tmp_path):
    folder = tmp_path / "socket"
    folder.mkdir(mode=0o755)
    make_private(folder, None, None)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        ("4711\n/data\n", 4711),
        ("-4711\n", 4711),
        ("", None),
        ("garbage\n", None),
    ],
)
def test_process_ids_in_lock_files(tmp_path, text, pid):
    (tmp_path / "postmaster.pid").write_text(text)
    assert recorded_pid(tmp_path / "postmaster.pid") == pid


def test_no_lock_file_is_no_server(tmp_path):
    assert recorded_pid(tmp_path / "postmaster.pid") is None
    assert postmaster(tmp_path) is None


def test_another_program_with_the_recorded_number_is_no_server(tmp_path):
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    assert postmaster(tmp_path) is None
    assert not serves(os.getpid(), Path.cwd())


def test_a_program_that_waits_to_be_reaped_does_not_live():
    child = subprocess.Popen(["/bin/true"])
    assert wait_until(lambda: not alive(child.pid), 10)
    assert exists(child.pid)
    child.wait()
    assert not exists(child.pid)


def test_waiting_is_bounded():
    started = time.monotonic()
    assert not wait_until(lambda: False, 0.05)
    assert time.monotonic() - started < 5
    assert wait_until(lambda: True, 0)


def test_a_lock_is_given_back_when_its_body_fails(tmp_path):
    with pytest.raises(KeyError), exclusive(tmp_path / "lock", 1):
        raise KeyError
    with (
        exclusive(tmp_path / "lock", 0.1),
        pytest.raises(FeedbackError, match="locked"),
        exclusive(tmp_path / "lock", 0.05),
    ):
        pytest.fail("two at once")


def test_a_command_runs_in_its_directory_with_little_environment(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("VAST_API_KEY", "hunter2")
    script = "import os; print(os.getcwd(), sorted(os.environ))"
    done = Identity().run(tmp_path, [sys.executable, "-c", script], 30)
    assert done.stdout.startswith(str(tmp_path))
    assert "VAST_API_KEY" not in done.stdout
    assert "'LC_ALL'" in done.stdout


def test_a_command_that_hangs_is_ended(tmp_path):
    with pytest.raises(FeedbackError, match="not done after"):
        Identity().run(tmp_path, ["/bin/sleep", "30"], 0.3)


def test_a_detached_command_writes_to_its_log_and_has_no_parent(tmp_path):
    log = tmp_path / "log"
    script = "import os; print(os.getppid(), os.getsid(0) == os.getpid())"
    pid = Identity().start(tmp_path, [sys.executable, "-c", script], log)
    assert wait_until(lambda: not alive(pid), 20)
    parent, leads = log.read_text().split()
    assert int(parent) != os.getpid()
    assert leads == "True"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_command_that_does_not_exist_is_reported(tmp_path):
    done = Identity().run(tmp_path, [str(tmp_path / "none")], 30)
    assert done.returncode == launcher.REFUSED
    assert "No such file" in done.stderr
    missing = tmp_path / "missing"
    with pytest.raises(FeedbackError, match="did not start"):
        Identity().start(missing, ["/bin/true"], tmp_path / "log")


def test_an_ordinary_user_is_itself(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert list(_candidates(None, namespaces=True)) == [Identity()]
    assert list(_candidates(1234, namespaces=True)) == [Identity()]
    with pytest.raises(NoServerError, match="belongs to user 99"):
        list(_candidates(99, namespaces=True))


def test_root_prefers_a_namespace_and_never_stays_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    modes = [each.mode for each in _candidates(None, namespaces=True)]
    assert modes[0].startswith("namespace:")
    assert all(mode.startswith("switch:") for mode in modes[1:])
    assert not any(":0:" in mode for mode in modes)
    assert len(list(_candidates(None, namespaces=False))) == len(modes) - 1


def test_data_of_another_user_is_served_as_that_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nobody = pwd.getpwnam("nobody")
    found = list(_candidates(nobody.pw_uid, namespaces=True))
    assert [each.uid for each in found] == [nobody.pw_uid]


def test_when_nobody_can_run_it_the_reasons_are_given(tmp_path):
    with pytest.raises(NoServerError, match="engine External") as caught:
        choose_identity(tmp_path / "postgres", tmp_path, None)
    assert "No such file" in str(caught.value)


def test_the_server_is_durable_and_deaf(tmp_path):
    command = command_line(
        Binaries(Path("/x"), 15), tmp_path / "data", tmp_path / "s"
    )
    assert command[:3] == ("/x/postgres", "-D", str(tmp_path / "data"))
    options = dict(part.split("=", 1) for part in command[4::2])
    assert options["listen_addresses"] == ""
    assert options["fsync"] == "on"
    assert options["full_page_writes"] == "on"
    assert options["unix_socket_permissions"] == "0700"
    assert options["unix_socket_directories"] == f'"{tmp_path / "s"}"'
    assert "io_method" not in options


def test_settings_of_new_versions_are_given_to_new_versions_only(tmp_path):
    command = command_line(Binaries(Path("/x"), 18), tmp_path, tmp_path)
    assert "io_method=sync" in command


@pytest.mark.parametrize(
    ("data", "expected"), [(None, 18), ("18", 18), ("15", 15)]
)
def test_the_version_follows_the_data(data, expected):
    found = [Binaries(Path("/a"), 18), Binaries(Path("/b"), 15)]
    assert select(found, data).major == expected


def test_no_version_is_tried_on_foreign_data():
    with pytest.raises(NoServerError, match="here is only 18, 15"):
        select([Binaries(Path("/a"), 18), Binaries(Path("/b"), 15)], "16")
