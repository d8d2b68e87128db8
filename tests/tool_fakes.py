"""Refusals of tools and packages that are made to be missing."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from mbench.core.errors import UsageError

ARM = "aarch64-linux-gnu"


def refusal(call: Any, *arguments: Any) -> str:
    """Return the message of what must be refused; it is one line."""
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def lacking(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make this Python lack packages."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else find(name))
