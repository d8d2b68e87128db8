"""Shared by all tests: `require`, and the folder of `factory` on the import path (pytest adds this file's own)."""

from __future__ import annotations

import os

import pytest


def require(condition: object, reason: str) -> None:
    """Skip the test unless `condition` holds; with MBENCH_REQUIRE_ALL=1 fail instead, so that no skip goes unseen."""
    if condition:
        return
    if os.environ.get("MBENCH_REQUIRE_ALL") == "1":
        pytest.fail(f"required by MBENCH_REQUIRE_ALL: {reason}")
    pytest.skip(reason)
