"""Runs by the API: the same as by the command line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import record_factory as factory
from api_fakes import NETWORK, Fake
from conftest import Mbench

import mbench
from mbench.core import record_files
from mbench.core.machine_types import Host
from mbench.hardware import host
from mbench.pipeline import runner
from mbench.pipeline.job import Job

pytest_plugins = ("api_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")

RUNS: dict[str, mbench.RunOptions] = {
    "--threads 1 --repeat 7": mbench.RunOptions(threads=1, repeat=7),
    "--no-tuned --no-cache": mbench.RunOptions(use_tuned=False, use_cache=False),
    "--timeout 9 --build-timeout 8 --keep-artifacts": mbench.RunOptions(
        timeout_s=9, build_timeout_s=8, keep_artifacts=True
    ),
    "--compile-only --batch 1,8": mbench.RunOptions(compile_only=True, batch=(1, 8)),
    "-o elsewhere --device local": mbench.RunOptions(output=Path("elsewhere"), device="local"),
}


@pytest.mark.parametrize("words", RUNS)
def test_a_run_is_the_same_from_python_and_from_the_command_line(run: Mbench, fake: Fake, words: str) -> None:
    outcome = run("run", NETWORK, "--target", "x86_64_v2", "--json", *words.split())
    record = mbench.run(NETWORK, target="x86_64_v2", options=RUNS[words])
    by_command, by_python = (msgspec.structs.replace(job, path=Path()) for job in fake.jobs)
    assert by_command == by_python
    printed = record_files.decode(outcome.out.encode(), source="stdout")
    assert msgspec.structs.replace(printed, run_id="x", results=()) == msgspec.structs.replace(
        record, run_id="x", results=()
    )
    assert record == record_files.read(RUNS[words].output / f"{record.run_id}.json")


@pytest.mark.parametrize(("quota", "threads"), [(0.5, 1), (1.5, 1), (2.5, 2), (None, 4)])
def test_a_quota_limits_the_threads_that_the_command_line_takes_by_default(
    run: Mbench, fake: Fake, machine: Host, monkeypatch: pytest.MonkeyPatch, quota: float | None, threads: int
) -> None:
    limited = msgspec.structs.replace(machine, processors_usable=4, cores_usable=4, processors_quota=quota)
    monkeypatch.setattr(host, "describe", lambda *_, **__: limited)
    run("run", NETWORK, "--target", "x86_64_v2")
    run("run", NETWORK, "--target", "x86_64_v2", "--threads", "4")
    assert [job.settings.threads for job in fake.jobs] == [threads, 4]


def test_without_networks_the_default_ones_run(run: Mbench, fake: Fake) -> None:
    run("run", "--target", "x86_64_v2")
    mbench.run(target="x86_64_v2")
    first, second = fake.jobs
    assert first.settings == second.settings
    assert len(first.settings.variants) == 2


def test_a_run_goes_on_where_it_stopped(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    record = factory.record(factory.PAIR[:1], failed=factory.PAIR[1:])
    path = Path("run.json")
    record_files.write(path, msgspec.structs.replace(record, host=host.describe()))
    jobs: list[Job] = []
    monkeypatch.setattr(runner, "run", lambda job, _: jobs.append(job))
    assert mbench.resume(path, use_cache=False, build_timeout_s=9) == record_files.read(path)
    run("run", "--resume", path, "--no-cache", "--build-timeout", "9")
    assert jobs[0] == jobs[1]
    assert (jobs[0].use_cache, jobs[0].build_timeout_s) == (False, 9)


def test_an_interrupted_run_says_where_its_record_is(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    del run  # in an empty folder

    def interrupt(job: Job, _: object) -> None:
        Fake().run(job, _)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    with pytest.raises(mbench.RunInterrupted, match=r"go on with: mbench\.resume") as caught:
        mbench.run(NETWORK, target="x86_64_v2")
    assert mbench.read(caught.value.path).results
    monkeypatch.setattr(runner, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt) as nothing:
        mbench.run(NETWORK, target="x86_64_v2")
    assert not isinstance(nothing.value, mbench.RunInterrupted)
