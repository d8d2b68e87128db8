"""Tuning by the API: the same as by the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imported_networks as networks
import msgspec
import pytest
from api_fakes import NETWORK
from conftest import Mbench

import mbench
from mbench.core.machine_types import Host
from mbench.hardware import host
from mbench.networks import importing
from mbench.terminal import tuning_tables
from mbench.terminal.listings import Listing
from mbench.tuning import tuner, tuning_result

pytest_plugins = ("api_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")


class FakeTuner:
    waiting: tuple[object, ...] = ()
    jobs: list[tuner.TuningJob] = []  # noqa: RUF012
    interrupts = False

    def __init__(self, job: tuner.TuningJob) -> None:
        self.job = job
        self.jobs.append(job)

    def __enter__(self) -> FakeTuner:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def find(self, _note: object) -> None:
        return None

    def run(self, _progress: object) -> None:
        if self.interrupts:
            raise KeyboardInterrupt

    def unconfirmed(self) -> Sequence[str]:
        return []

    def confirm(self, _progress: object) -> None:
        return None

    def result(self) -> tuning_result.TuningResult:
        return tuning_result.TuningResult(
            target=self.job.target.name, threads=1, file=self.job.file, kernels=(), waiting=(), networks=(), failures=()
        )


@pytest.fixture
def fake_tuner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeTuner]:
    made = type("Made", (FakeTuner,), {"jobs": []})
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "tuned"))
    monkeypatch.setattr(tuner, "Tuner", made)
    monkeypatch.setattr("mbench.pipeline.runner.resolve_target", _x86)
    monkeypatch.setattr(tuning_tables, "listing", lambda _: Listing(["tuned"], {}))
    return made


def _x86(_name: str, _dirs: object = ()) -> Any:
    from mbench.hardware import targets

    return targets.load("x86_64_v2")


def test_tuning_is_the_same_from_python_and_from_the_command_line(run: Mbench, fake_tuner: type[FakeTuner]) -> None:
    words = "--target x86_64_v2 --threads 1 --tries 3 --again --timeout 5 --build-timeout 6"
    assert run("tune", NETWORK, *words.split()).code == 0
    options = mbench.TuneOptions(threads=1, tries=3, again=True, timeout_s=5, build_timeout_s=6)
    mbench.tune(NETWORK, target="x86_64_v2", options=options)
    first, second = fake_tuner.jobs
    assert first == second


def test_threads_that_a_quota_holds_back_are_noted(
    run: Mbench, fake_tuner: type[FakeTuner], machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for quota, threads, said in ((1.5, 1, 0), (0.5, 1, 1), (None, 1, 0)):
        limited = msgspec.structs.replace(machine, processors_usable=4, cores_usable=4, processors_quota=quota)
        monkeypatch.setattr(host, "describe", lambda *_, limited=limited, **__: limited)
        outcome = run("tune", NETWORK, "--target", "x86_64_v2", "--threads", "1")
        assert (fake_tuner.jobs[-1].threads, outcome.err.count("the quota of 0.5 processors")) == (threads, said)


def test_that_a_function_is_run_is_said(fake_tuner: type[FakeTuner], monkeypatch: pytest.MonkeyPatch) -> None:
    imported = networks.kept()
    monkeypatch.setattr(importing, "in_a_child", lambda *_, **__: imported)
    said = list[str]()
    mbench.tune("package.module:function", target="x86_64_v2", note=said.append)
    assert "package.module:function: imports the module package.module and calls function()" in said[0]


def test_an_interrupted_tuning_keeps_what_it_found(
    run: Mbench, fake_tuner: type[FakeTuner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_tuner, "interrupts", True)
    with pytest.raises(mbench.TuningInterrupted) as caught:
        mbench.tune(NETWORK, target="x86_64_v2")
    assert caught.value.tuned.target == "x86_64_v2"
    assert run("tune", NETWORK, "--target", "x86_64_v2").code == 130
