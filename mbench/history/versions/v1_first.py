"""The first tables: records whole, and their results, series and points as rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v1"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _records()
    _series()


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("run_id", sa.Text, nullable=False, unique=True),
        sa.Column("at", sa.BigInteger, nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("mbench", "host", "target", "device")),
        sa.Column("branch", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("labels", "networks")),
        sa.Column("failures", sa.Integer, nullable=False),
    )
    op.create_table(
        "contents",
        sa.Column("record_id", sa.Integer, _of("records.id"), primary_key=True, autoincrement=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "fingerprints",
        sa.Column("record_id", sa.Integer, _of("records.id"), primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
    )
    op.create_index("fingerprints_by_fingerprint", "fingerprints", ["fingerprint"])


def _series() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("network", "family", "source", "dtype")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("batch", "threads")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("target", "device", "machine", "hardware")),
    )
    op.create_table(
        "series",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("identity_id", sa.Integer, sa.ForeignKey("identities.id"), nullable=False, index=True),
        sa.Column("quantity", sa.Text, nullable=False),
    )
    op.create_table(
        "results",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("record_id", sa.Integer, _of("records.id"), nullable=False, index=True),
        sa.Column("identity_id", sa.Integer, sa.ForeignKey("identities.id"), nullable=False, index=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("disturbed", "marks")),
    )
    op.create_table(
        "points",
        sa.Column("series_id", sa.Integer, sa.ForeignKey("series.id"), primary_key=True, autoincrement=False),
        sa.Column("result_id", sa.Integer, _of("results.id"), primary_key=True, autoincrement=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.Column("sessions", sa.Text),
        sqlite_with_rowid=False,
    )
    op.create_index("points_by_result", "points", ["result_id"])


def _of(column: str) -> sa.ForeignKey:
    """Return a reference whose row goes with the one that it refers to."""
    return sa.ForeignKey(column, ondelete="CASCADE")
