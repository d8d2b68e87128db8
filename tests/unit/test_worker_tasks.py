"""What a worker delivers, whatever comes of an order."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builder_fakes import TARGET, WANTED, compiled

from mbench.build import build, builders, worker_facts, worker_tasks
from mbench.build.orders import BuildOrder, Delivery, SharedFolder
from mbench.core.artifact import FILES
from mbench.core.children import Died, NotWanted, TookTooLong, TooLarge
from mbench.core.errors import (
    BuildError,
    OtherInputsError,
    PluginError,
    TargetError,
    UnwritableCacheError,
    UsageError,
)


def order(**changes: Any) -> bytes:
    given: dict[str, Any] = {
        "facts": worker_facts.facts(), "variant": WANTED[0], "target": TARGET, "use_cache": True, "limit_s": 5.0,
        "inputs": build.digest_inputs(WANTED[0], TARGET), **changes,
    }  # fmt: skip
    return pickle.dumps(BuildOrder(**given))


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "build", lambda variant, target, cache, **_: compiled(variant, target, cache))
    monkeypatch.setattr(worker_tasks, "_in_a_child", lambda _limit_s, task: task())


def test_an_artifact_is_delivered_with_its_files() -> None:
    done = worker_tasks.fulfil(order())
    assert (done.outcome, done.answer, done.worker) == ("done", False, worker_tasks.name())
    assert done.files is not None
    assert set(done.files) == set(FILES)


def test_in_a_shared_folder_it_lies_there(tmp_path: Path) -> None:
    shared = SharedFolder(path=str(tmp_path), token=worker_facts.write_token(str(tmp_path)))
    done = worker_tasks.fulfil(order(shared=shared))
    assert (done.outcome, done.files) == ("done", None)
    assert len(list(shared.artifacts.iterdir())) == 1
    lost = worker_tasks.fulfil(order(shared=SharedFolder(path=str(tmp_path), token="none")))
    assert (lost.outcome, lost.files) == ("elsewhere", None)
    assert lost.reason.startswith(f"the folder {tmp_path} is not shared with it: ")


def test_a_worker_with_another_version_builds_nothing() -> None:
    refused = worker_tasks.fulfil(order(facts={**worker_facts.facts(), "torch": "0.1"}))
    assert refused.outcome == "elsewhere"
    assert refused.reason.startswith("torch ")
    assert refused.reason.endswith(", expected 0.1")


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (Died("gone"), "elsewhere", builders.DIED),
        (TooLarge("it took more than 1 GiB of memory"), "elsewhere", "--memory-limit"),
        (TookTooLong("it took more than 5 s"), "elsewhere", "raise --build-timeout"),
        (UnwritableCacheError("artifacts cannot be written to /x: No space left on device"), "elsewhere", "No space"),
        (OtherInputsError("it builds with another linker"), "elsewhere", "another linker"),
        (UsageError("counting instructions needs capstone"), "elsewhere", "needs capstone"),  # without its extra
        (OSError(28, "No space left on device"), "elsewhere", "No space"),
        (NotWanted("nobody"), "given up", "nobody"),
        (BuildError("linking failed"), "failed", "linking failed"),
        (BuildError("linking failed: ld: No space left on device"), "elsewhere", "linking failed"),
        (RuntimeError("IO failure: No space left on device"), "elsewhere", "IO failure"),
        (ValueError("a\nb"), "failed", "ValueError: a"),
        (TargetError("no such processor"), "target", "no such processor"),
        (PluginError("broken"), "plugin", "broken"),
    ],
)
def test_what_goes_wrong_is_delivered(
    monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: str, said: str
) -> None:
    def fails(_limit_s: float, _task: Any) -> Delivery:
        raise error

    monkeypatch.setattr(worker_tasks, "_in_a_child", fails)
    done = worker_tasks.fulfil(order())
    assert done.outcome == outcome
    assert said in done.reason
    assert "\n" not in done.reason


def test_a_machine_that_would_build_something_else_says_what_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    wanted = {**build.digest_inputs(WANTED[0], TARGET), "linker": "another c++"}
    with pytest.raises(OtherInputsError, match=r"it builds with another linker: .*, expected another c\+\+"):
        build.build(WANTED[0], TARGET, tmp_path, expected=wanted)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_process_that_is_forked_has_no_children_yet() -> None:
    pool: Any = object()
    worker_tasks._POOL.append(pool)
    try:
        forked = multiprocessing.get_context("fork").Process(target=lambda: os._exit(len(worker_tasks._POOL)))
        forked.start()
        forked.join()
    finally:
        worker_tasks._POOL.remove(pool)
    assert forked.exitcode == 0


@pytest.mark.parametrize(
    ("state", "status", "wanted"),
    [
        ("executing", "running", True),
        ("executing", "paused", True),
        ("executing", "closing_gracefully", True),
        ("executing", "closing", False),
        ("executing", "closed", False),
        ("cancelled", "running", False),
        (None, "running", False),
    ],
)
def test_nobody_waits_for_what_is_cancelled_or_for_a_worker_that_closes(
    monkeypatch: pytest.MonkeyPatch, state: str | None, status: str, wanted: bool
) -> None:
    tasks = {"key": SimpleNamespace(state=state)} if state else {}
    worker = SimpleNamespace(
        status=SimpleNamespace(name=status), state=SimpleNamespace(tasks=tasks), get_current_task=lambda: "key"
    )
    monkeypatch.setattr(worker_tasks, "_dask", lambda: worker)
    assert worker_tasks._still_wanted()() is wanted
