"""Certificates are made by another process; it may be lost at any time."""

import datetime as dt
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from reconciler.controlplane import credentials, issuing
from reconciler.controlplane.cli import main
from reconciler.controlplane.issuing import Issuing, IssuingError, issue

KILLED = (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
FAILS = (sys.executable, "-c", "raise SystemExit('no entropy today')")
FOREVER = ("sleep", "60")


def belongs_together(directory):
    """The server's certificate is of this CA, and its key is the server's."""
    certificate = (directory / "server.crt").read_bytes()
    authority = (directory / "ca.crt").read_bytes()
    x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(
        x509.load_pem_x509_certificate(authority)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    return True


def test_what_is_asked_for_is_made():
    asked = {"server": ["localhost", "::1"], "clients": False, "days": 3}
    made = issue(asked)
    assert sorted(made) == ["ca.crt", "server.crt", "server.key"]
    server = x509.load_pem_x509_certificate(made["server.crt"].encode())
    left = server.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=2) < left <= dt.timedelta(days=3)
    made = issue({"server": None, "clients": True, "days": 3})
    assert sorted(made) == ["clients.crt", "clients.key"]


@pytest.mark.parametrize(
    ("command", "words"),
    [(KILLED, "exit code -9"), (FAILS, "no entropy today")],
)
def test_a_lost_process_leaves_nothing(tmp_path, monkeypatch, command, words):
    with monkeypatch.context() as patch:
        patch.setattr(issuing, "_COMMAND", command)
        with pytest.raises(IssuingError, match=words):
            credentials.ensure(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"token"}
    credentials.ensure(tmp_path).context()


def test_a_process_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(issuing, "_COMMAND", FOREVER)
    monkeypatch.setattr(issuing, "SECONDS", 0.1)
    with Issuing(None, clients=True, days=1) as process:
        with pytest.raises(IssuingError, match="took more than"):
            process.answer()
        assert process._process.poll() is None
    assert process._process.poll() == -9


def test_a_start_that_fails_ends_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr(issuing, "_COMMAND", FOREVER)
    with pytest.raises(RuntimeError, match="the database"):  # noqa: SIM117
        with credentials.Identity(tmp_path) as identity:
            raise RuntimeError("the database is damaged")
    assert identity._issuing._process.poll() == -9


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of the program runs after it."""


@pytest.mark.parametrize("files", range(5))
@pytest.mark.parametrize("then", [(), ("laptop",)])
def test_killed_while_the_files_are_placed(tmp_path, monkeypatch, files, then):
    """A new name renews the CA; half of a renewal is never served."""
    credentials.ensure(tmp_path)
    left = files
    write = credentials.write_private

    def dies(path, content):
        nonlocal left
        if not left:
            raise KilledError
        left -= 1
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(credentials, "write_private", dies)
        if files < 4:
            with pytest.raises(KilledError):
                credentials.ensure(tmp_path, ["laptop"])
        else:
            credentials.ensure(tmp_path, ["laptop"])
    credentials.ensure(tmp_path, then).context()
    assert belongs_together(tmp_path)


def test_steady_starts_need_no_process(tmp_path, monkeypatch):
    first = credentials.ensure(tmp_path, ["laptop"])
    monkeypatch.setattr(issuing, "_COMMAND", FAILS)
    assert credentials.ensure(tmp_path, ["laptop"]) == first
    assert credentials.ensure(tmp_path) == first


def test_the_process_takes_nothing_from_where_it_is_started(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('taken over')")
    done = subprocess.run(
        issuing._COMMAND,
        cwd=tmp_path,
        input='{"server": null, "clients": false, "days": 1}',
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "{}")


def test_the_process_finds_what_is_not_installed(tmp_path):
    """Without site-packages the program itself is there, the library not."""
    python, _, *rest = issuing._COMMAND
    done = subprocess.run(
        [python, "-P", "-S", *rest],
        cwd=tmp_path,
        input='{"server": null, "clients": true, "days": 1}',
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'cryptography'" in done.stderr


def test_the_server_never_loads_what_makes_certificates(server_process):
    """It would keep 14 MB for it."""
    server_process.start()
    maps = Path(f"/proc/{server_process.process.pid}/maps").read_text()
    assert "_sqlite3" in maps
    assert "cryptography" not in maps


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["ann", "--days", "0"], "--days must be from 1 to 3650"),
        (["ann", "--days", "99999999"], "--days must be from 1 to 3650"),
        ([""], "must have from 1 to 64 characters"),
        (["ann", "--group", "g" * 65], "must have from 1 to 64 characters"),
    ],
)
def test_users_that_no_certificate_can_name(tmp_path, capsys, words, why):
    credentials.ensure(tmp_path / "identity")
    (tmp_path / "url").write_text("https://127.0.0.1:1")
    out = tmp_path / "out"
    code = main(["user", *words, "--state", str(tmp_path), "-o", str(out)])
    assert code == 2
    assert why in capsys.readouterr().err
    assert not out.exists()
