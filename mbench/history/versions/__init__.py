"""The versions of a store's tables, in order: Alembic's revisions. A version that was published is never edited."""
