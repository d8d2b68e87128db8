"""The tables of a store, as this version of mbench reads and writes them; `versions/` makes them in databases.

A record is kept whole, compressed, in `contents`. Beside it its results and their values are rows, so that SQL finds
series and their points without reading a record.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

VERSION_TABLE = "mbench_version"
"""Holds the name of the newest of `versions/` that made the tables, and shows that a database is a store."""
METADATA = MetaData()

RECORDS = Table(
    "records",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("run_id", Text, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False, index=True),  # microseconds since 1970, UTC
    Column("mbench", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("branch", Text),
    Column("labels", Text, nullable=False),  # JSON
    Column("networks", Text, nullable=False),  # JSON: names of those with a result
    Column("failures", Integer, nullable=False),
)
CONTENTS = Table(
    "contents",
    METADATA,
    Column("record_id", Integer, ForeignKey("records.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),  # the record's JSON, by zlib
)
FINGERPRINTS = Table(
    "fingerprints",
    METADATA,
    Column("record_id", Integer, ForeignKey("records.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("fingerprint", String(64), primary_key=True),  # of samples: a copy of a run has the same
    Index("fingerprints_by_fingerprint", "fingerprint"),
)
IDENTITIES = Table(
    "identities",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    *(Column(name, Text, nullable=False) for name in ("network", "family", "source", "dtype")),
    *(Column(name, Integer, nullable=False) for name in ("batch", "threads")),
    *(Column(name, Text, nullable=False) for name in ("target", "device", "machine", "hardware")),
)
SERIES = Table(
    "series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),  # the series' name in all stores
    Column("identity_id", Integer, ForeignKey("identities.id"), nullable=False, index=True),
    Column("quantity", Text, nullable=False),
)
RESULTS = Table(
    "results",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("record_id", Integer, ForeignKey("records.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("identity_id", Integer, ForeignKey("identities.id"), nullable=False, index=True),
    Column("disturbed", Text, nullable=False),  # JSON
    Column("marks", Text, nullable=False),  # JSON
)
POINTS = Table(
    "points",
    METADATA,
    Column("series_id", Integer, ForeignKey("series.id"), primary_key=True, autoincrement=False),
    Column("result_id", Integer, ForeignKey("results.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("value", Double, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("sessions", Text),  # JSON: the value of each session
    Index("points_by_result", "result_id"),
    sqlite_with_rowid=False,
)
