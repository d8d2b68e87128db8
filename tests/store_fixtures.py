"""Stores for tests: files of SQLite, and databases of PostgreSQL in a cluster of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import postgres_cluster
import pytest
from conftest import require
from postgres_cluster import Cluster

from mbench.history.store import Store, open_store

ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return a running server."""
    found = postgres_cluster.programs()
    require(found, "the programs of PostgreSQL's server; Debian: apt install postgresql")
    assert found is not None
    yield from postgres_cluster.running(found, "fsync=off")


@pytest.fixture(params=ENGINES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a new store may be made, of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.url(cluster.new_database())


@pytest.fixture
def each_store(store_url: str) -> Iterator[Store]:
    """Return a new, empty store of each kind."""
    with open_store(store_url, create=True) as opened:
        yield opened


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    """Return a new, empty store in a file, `store.db`."""
    with open_store(tmp_path / "store.db", create=True) as opened:
        yield opened
