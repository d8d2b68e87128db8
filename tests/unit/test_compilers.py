"""Processes that compile the candidates of a search."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

from mbench.build import builders
from mbench.build.compilers import Compilers
from mbench.build.local_executor import LocalExecutor
from mbench.core.children import TaskLimits


def test_compilers_of_candidates_have_the_limits_of_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[TaskLimits] = []
    submit = LocalExecutor.submit_within

    def spy(self: LocalExecutor, limits: TaskLimits, task: Any, /, *arguments: Any) -> Any:
        given.append(limits)
        return submit(self, limits, task, *arguments)

    monkeypatch.setattr(LocalExecutor, "submit_within", spy)
    with Compilers() as compilers:
        assert compilers.all_of({"one": os.getpid}, 7.0)["one"].answer()
    assert given == [builders.limits(7.0)]
    assert (given[0].time_s, given[0].memory_bytes < math.inf) == (7.0, True)
