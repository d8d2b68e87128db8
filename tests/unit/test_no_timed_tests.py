"""No test's outcome hangs on how fast a machine is, or how busy: what the code of the tests may not do.

A test injects the clock or the times, plants what cannot be missed, or asserts structure. Where one waits for something
to happen, it waits for the event itself; a limit is there to end a test that hangs, and is minutes long.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CLOCKS = {
    f"time.{name}{unit}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    for unit in ("", "_ns")
}
SHORT_S = 60
"""What ends a test that hangs is no shorter: a process that imports TVM takes tens of seconds on a busy machine."""

SLEEPS = {
    "dask_clusters.py::until": "looks again until something is so; ends what hangs",
    "integration/running_mbench.py::Running.assert_nobody_left": "looks until processes have ended; ends what hangs",
    "integration/running_mbench.py::Running.wait_until_stopped": "looks again until a process has stopped itself",
    "integration/board_server.py::Serving.assert_idle": "looks again until processes have ended; ends those that hang",
    "integration/board_server.py::settled": "looks again until a server has forgotten its clients; ends what hangs",
    "integration/rpc_fixtures.py::server": "looks again until a folder is empty; ends what hangs",
    "integration/test_gate.py::test_a_worker_that_is_killed_is_a_failure": "looks again until there is a worker",
    "integration/test_interrupt.py::test_a_building_process_that_is_killed_once_is_tried_again": "likewise",
    "integration/board_server.py::wait_for_devices": "asks a tracker again until devices are there; ends what hangs",
    "integration/labgrid_site.py::Site.wait_for": "asks a labgrid again until something is there; ends what hangs",
    "integration/test_tune_command.py::test_a_worker_that_is_killed_costs_one_candidate": "until there is a worker",
    "integration/test_process.py::hang": "is what hangs",
    "unit/test_compilers.py::hang": "is what hangs",
    "unit/test_children.py::until": "looks again until something is so; ends what hangs",
    "unit/test_children.py::test_a_signal_that_does_not_wake_the_wait_for_builds_is_heard":
        "makes a rare order of events likely; the test passes in any other order too",
}  # fmt: skip
"""Who may sleep, and why the outcome does not hang on it."""

TIMED = {
    "integration/measure_plans.py::assert_accounted":
        "runs one after the other are no longer than the time in which they ran",
}  # fmt: skip
"""Who may compare what a clock said, and why that holds on every machine."""

LIMITS = {
    "integration/board_server.py::_end": "politeness: what does not end in two seconds is killed",
    "integration/labgrid_site.py::_running": "politeness: what does not end in ten seconds is killed",
    "unit/test_tracker.py::test_one_that_trickles": "the pace of the bytes that it sends",
    "unit/test_farm.py::test_who_still_waits_when_all_is_done_is_not_set_aside": "the pace of who waits for a board",
    "integration/test_serve_command.py::test_what_is_packed_for_this_machine_starts_here": "of what is refused at once",
}
"""Who may have a short limit, and why."""


@functools.cache
def sources() -> dict[str, ast.Module]:
    files = sorted(TESTS.rglob("*.py"))
    return {file.relative_to(TESTS).as_posix(): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def functions(tree: ast.AST, before: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield the outer functions and the methods of a module, by name; what is within a function is part of it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{before}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{before}{node.name}", node


def called(node: ast.AST) -> str:
    """Return `time.sleep` where a node calls it, also where it is handed on to be called."""
    node = node.func if isinstance(node, ast.Call) else node
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return ""


def reads_clock(node: ast.AST, tainted: set[str]) -> bool:
    return any(called(one) in CLOCKS or (isinstance(one, ast.Name) and one.id in tainted) for one in ast.walk(node))


def timed_asserts(function: ast.AST) -> Iterator[ast.Assert]:
    """Yield the assertions about what a clock said, directly or by names that were made of it."""
    tainted: set[str] = set()
    before = -1
    while before != len(tainted):  # names of names
        before = len(tainted)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if reads_clock(node.value, tainted):
                    tainted |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("append", "extend")
                and any(reads_clock(one, tainted) for one in node.args)
            ):
                tainted |= {one.id for one in ast.walk(node.func.value) if isinstance(one, ast.Name)}
    for node in ast.walk(function):
        if isinstance(node, ast.Assert) and reads_clock(node.test, tainted):
            yield node


def retries(function: ast.AST) -> Iterator[ast.Call]:
    """Yield `any(… for _ in range(…))`: what is tried until it holds."""
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "any"):
            continue
        names = [one.target for one in ast.walk(node) if isinstance(one, ast.comprehension)]
        if any(isinstance(name, ast.Name) and name.id == "_" for name in names):
            yield node


def short_limits(function: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls whose limit is a few seconds: `timeout=30`, `.wait(5)`, `.join(10)`."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg == "timeout"]
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("wait", "join", "communicate"):
            given += node.args[:1]
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, int | float) and value.value < SHORT_S:
                yield node


def places(find: str) -> dict[str, list[int]]:
    """Return where in the tests something is found: function to lines."""
    found: dict[str, list[int]] = {}
    for file, tree in sources().items():
        for name, function in functions(tree):
            if find == "sleeps":
                lines = [
                    node.lineno
                    for node in ast.walk(function)
                    if isinstance(node, ast.Call) and called(node) == "time.sleep"
                ]
            else:
                lines = [node.lineno for node in globals()[find](function)]
            if lines:
                found[f"{file}::{name}"] = lines
    return found


def test_no_assertion_is_about_what_a_clock_said() -> None:
    assert places("timed_asserts").keys() == TIMED.keys(), (
        "inject the clock, or assert what was done instead of how long it took"
    )


def test_nothing_is_tried_until_it_holds() -> None:
    assert places("retries") == {}, "ask for something that holds at once"


def test_who_sleeps_says_why_that_decides_nothing() -> None:
    assert places("sleeps").keys() == SLEEPS.keys()


def test_limits_are_for_what_hangs() -> None:
    assert places("short_limits").keys() == LIMITS.keys()


def test_examples_of_hypothesis_have_no_deadline() -> None:
    from hypothesis import settings

    assert settings().deadline is None


# ---------------------------------------------------------------------------------------------- it finds what it is for
BAD = {
    "timed_asserts": [
        "start = time.monotonic()\nwork()\nassert time.monotonic() - start < 60",
        "seen = []\nfor _ in range(3):\n    start = time.perf_counter()\n    seen.append(time.perf_counter() - start)\n"
        "assert min(seen) < 0.3",
        "before = activity.busy_s() - time.process_time()\nassert found == approx(before, abs=1.0)",
        "start = time.time_ns()\ntook = time.time_ns() - start\nratio = took / 2\nassert ratio < 1.2",
    ],
    "retries": ["assert any(fits(measure()) for _ in range(10))"],
    "short_limits": ["run(command, timeout=30)", "begun.wait(30)", "thread.join(10)", "process.wait(timeout=2.5)"],
}


@pytest.mark.parametrize(("find", "text"), [(find, text) for find, texts in BAD.items() for text in texts])
def test_what_is_looked_for_is_found(find: str, text: str) -> None:
    assert list(globals()[find](ast.parse(text)))
    assert called(ast.parse("pool.submit(time.sleep, 600)").body[0].value.args[0]) == "time.sleep"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "deadline = time.monotonic() + 60\nwhile (left := sessions()) and time.monotonic() < deadline:\n    look()\n"
        "assert not left",
        "assert any(name.startswith('host-') for name in names)",
        "process.wait(60)",
        "assert books.overhead_s == 0.25e-6",
    ],
)
def test_what_is_harmless_is_left_alone(text: str) -> None:
    assert not any(list(globals()[find](ast.parse(text))) for find in BAD)
