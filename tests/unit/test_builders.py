"""A Builder makes the same artifacts with one executor or another."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
from builder_fakes import NAMES, TARGET, WANTED, compiled

from mbench.build import build, builders
from mbench.build.artifact_store import ArtifactStore
from mbench.build.builders import Builder
from mbench.build.local_executor import LocalExecutor
from mbench.core.artifact import LIBRARY
from mbench.core.children import Died, TaskLimits, TookTooLong, TooLarge
from mbench.core.errors import BuildError, TargetError
from mbench.core.records import Failure, Variant
from mbench.hardware import host
from mbench.networks import variants


def silent(*_: Any) -> None:
    pass


# -------------------------------------------------------------------------------------------------------- any executor
def digests(executor: Executor, folder: Path) -> dict[str, tuple[str, str]]:
    built = Builder(executor, ArtifactStore(folder)).build(WANTED, TARGET, silent)
    assert list(built) == list(NAMES)
    assert [one for one in built.values() if isinstance(one, Failure)] == []
    found = {name: one[0] for name, one in built.items() if not isinstance(one, Failure)}
    assert [one.folder for one in found.values()] == [folder / one.manifest.digest for one in found.values()]
    return {name: (one.manifest.digest, one.manifest.files[LIBRARY]) for name, one in found.items()}


def test_the_same_artifacts_with_any_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build", compiled)
    with ThreadPoolExecutor(3) as threads, LocalExecutor(fakes.InThisProcess(), 2, TaskLimits()) as local:  # type: ignore[arg-type]
        seen = [digests(threads, tmp_path / "a"), digests(local, tmp_path / "b"), digests(threads, tmp_path / "a")]
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == len(set(seen[0].values())) == len(NAMES)


class Answering(Executor):
    """Answers each task with what was planned."""

    def __init__(self, *planned: Any) -> None:
        self.planned = list(planned)
        self.futures: list[Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        plan = self.planned.pop(0)
        if isinstance(plan, BaseException):
            future.set_exception(plan)
        elif plan is not None:
            future.set_result(plan)
        return future


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Died("gone"), builders.DIED),
        (BrokenExecutor("a process was killed"), builders.DIED),
        (TooLarge("it took more than 1 GiB of memory"), "build it on a machine with more"),
        (TookTooLong("it took more than 5 s"), "raise --build-timeout"),
        (BuildError("linking failed"), "linking failed"),
        (ValueError("a\nb"), "ValueError: a"),
    ],
)
def test_what_an_executor_raises_is_a_failure_of_one_network(error: Exception, said: str, tmp_path: Path) -> None:
    told: list[tuple[str, str, float]] = []
    good = (fakes.compiled(tmp_path / "a", WANTED[0]), False)
    builder = Builder(Answering(good, error), ArtifactStore(tmp_path))
    built = builder.build(WANTED[:2], TARGET, lambda *said: told.append(said))
    failed = built[NAMES[1]]
    assert built[NAMES[0]] == good
    assert isinstance(failed, Failure)
    assert said in failed.reason
    assert "\n" not in failed.reason
    assert (NAMES[1], "failed", 1.0) in told


def test_a_wrong_target_cancels_what_waits(tmp_path: Path) -> None:
    executor = Answering(TargetError("no such processor"), None, None)
    with pytest.raises(TargetError):
        Builder(executor, ArtifactStore(tmp_path)).build(WANTED, TARGET, silent)
    assert [future.cancelled() for future in executor.futures] == [False, True, True]


@pytest.mark.parametrize(
    ("processors", "quota", "expected"),
    [(8, None, 2), (1, None, 1), (8, 4.0, 2), (8, 1.9, 1), (8, 0.2, 1), (1, 2.0, 1)],
)
def test_no_more_builds_side_by_side_than_processors_or_their_quota(
    monkeypatch: pytest.MonkeyPatch, processors: int, quota: float | None, expected: int
) -> None:
    machine = msgspec.structs.replace(host.describe(), processors_usable=processors, processors_quota=quota)
    monkeypatch.setattr(host, "describe", lambda: machine)
    assert builders.builders() == expected


def test_what_is_built_already_is_known_without_building(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))
    assert builders.already_built(WANTED, TARGET) == frozenset()
    address = build.digest(build.digest_inputs(WANTED[1], TARGET))
    ArtifactStore.of_user().path(address).mkdir(parents=True)
    assert builders.already_built(WANTED, TARGET) == {WANTED[1].name}


def test_what_all_builds_of_a_family_share_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = [variants.parse(f"mobilenet_{size}_96") for size in ("v1_0.25", "v1_0.5", "v2_0.35", "v2_0.5")]
    known = {each.name: build.digest(build.digest_inputs(each, TARGET)) for each in networks}
    asked, whole = [], build.digest_inputs

    def counted(network: Variant, *rest: Any) -> dict[str, str]:
        asked.append(network.family)
        return whole(network, *rest)

    monkeypatch.setattr(build, "digest_inputs", counted)
    assert build.digests(networks, TARGET) == known
    assert len(set(known.values())) == 4
    assert sorted(asked) == ["mobilenet_v1", "mobilenet_v2"]
