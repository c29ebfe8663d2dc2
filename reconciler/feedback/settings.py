"""How our own PostgreSQL is set up: small, quiet, durable, private."""

from __future__ import annotations

from pathlib import Path

from reconciler.feedback.binaries import Binaries
from reconciler.feedback.sockets import PORT

_SETTINGS = {
    # Reachable by the socket alone.
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    # Durable: a row that was acknowledged survives the power.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Small: it shares a laptop with training.
    "shared_buffers": "32MB",
    "max_connections": "40",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "autovacuum_max_workers": "1",
    "bgwriter_delay": "10s",
    "huge_pages": "off",
    # A forgotten transaction would hold back the export for ever.
    "idle_in_transaction_session_timeout": "10min",
    # Quiet: no statement and no value of a row gets into the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def command_line(
    binaries: Binaries, data: Path, sockets: Path
) -> tuple[str, ...]:
    """The server's command; whatever is in postgresql.conf, this wins."""
    settings = {**_SETTINGS, "unix_socket_directories": f'"{sockets}"'}
    if binaries.major >= 18:  # noqa: PLR2004 - three idle processes less
        settings["io_method"] = "sync"
    options = [
        part
        for name, value in settings.items()
        for part in ("-c", f"{name}={value}")
    ]
    return (str(binaries.postgres), "-D", str(data), *options)
