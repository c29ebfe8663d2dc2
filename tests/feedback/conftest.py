"""One real PostgreSQL for all tests here, a database for each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from reconciler.feedback import EmbeddedServer, NoServerError, migrate
from reconciler.feedback.binaries import discover, select


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EmbeddedServer]:
    try:
        select(discover(), None)
    except NoServerError as error:
        pytest.skip(str(error))
    embedded = EmbeddedServer(tmp_path_factory.mktemp("pg"))
    embedded.ensure()
    yield embedded
    embedded.stop()


@pytest.fixture
def empty_dsn(server: EmbeddedServer) -> str:
    """A database without tables."""
    return server.ensure(f"test.{uuid.uuid4().hex[:12]}")


@pytest.fixture
def dsn(empty_dsn: str) -> str:
    """A database with tables and no rows."""
    migrate(empty_dsn)
    return empty_dsn
