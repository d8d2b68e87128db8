"""Processes that compile the candidates of a search."""

from __future__ import annotations

import math
import os
import signal
import time
from typing import Any

import pytest

from mbench.build import builders
from mbench.build.compilers import Compilers, Done
from mbench.build.local_executor import LocalExecutor
from mbench.core.children import TaskLimits
from mbench.core.errors import BuildError


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


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    time.sleep(600)


def fail() -> None:
    raise RuntimeError("first line\nsecond line")


def answer() -> int:
    return 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "limit_s", "said"),
    [(crash, 60.0, builders.DIED), (hang, 5.0, "compiling was stopped: it took more than 5 s")],
)
def test_a_compilation_that_crashes_or_hangs_takes_no_other_with_it(fault: Any, limit_s: float, said: str) -> None:
    with Compilers() as pool:
        pool.all_of(dict.fromkeys(range(4), answer), 60.0)  # processes that have started count no time for it
        found = pool.all_of({"a": answer, "b": fault, "c": answer, "d": fail}, limit_s)
        assert [found[name].answer() for name in ("a", "c")] == [7, 7]
        assert (found["b"].reason, found["d"].reason) == (said, "RuntimeError: first line")
        with pytest.raises(BuildError, match=said):
            found["b"].answer()
        assert pool.all_of({"e": answer}, 60.0)["e"].answer() == 7


def test_an_answer_may_be_nothing() -> None:
    assert Done("").answer() == ""
