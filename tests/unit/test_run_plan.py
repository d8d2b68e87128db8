"""What is known of the time of a run before it begins."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import record_factory as factory

from mbench.build import builders
from mbench.core.errors import PluginError
from mbench.core.run_options import RunOptions
from mbench.hardware import host
from mbench.networks import architectures
from mbench.pipeline import options, run_plan
from mbench.pipeline.job import Job

SMALL, LARGE = "mobilenet_v1_0.25_32", "mobilenet_v2_0.35_96"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))
    asked = RunOptions(threads=1, output=tmp_path, use_tuned=False, sustain_s=30)
    return options.new_job([SMALL, LARGE], "x86_64_v2", host.describe(), asked)


def test_at_first_the_sizes_alone_are_known(job: Job) -> None:
    plan = run_plan.of(job, 2)
    assert (plan.builders, plan.sessions, plan.load_s) == (2, 5, 30)
    assert list(plan.networks) == [SMALL, LARGE]
    assert {name: len(architectures.layers(each)) for name, each in zip((SMALL, LARGE), job.networks, strict=True)} == {
        name: each.build_size - 30 for name, each in plan.networks.items()
    }
    assert plan.networks[LARGE].macs > 5 * plan.networks[SMALL].macs > 0
    assert {each.session_s for each in plan.networks.values()} == {None}


def test_what_sessions_took_is_known_to_the_next_run_of_the_kind(job: Job) -> None:
    run_plan.keep(job, {SMALL: [5.0, 2.0, 2.0], LARGE: [8.0, 3.0, 3.0]})
    found = run_plan.of(job, 2).networks
    assert found[SMALL].session_s == pytest.approx(2.0)
    assert found[LARGE].session_s == pytest.approx(3.0)
    assert found[SMALL].once_s == found[LARGE].once_s == pytest.approx(4.0)
    alone = msgspec.structs.replace(job, networks=job.networks[:1])
    other = msgspec.structs.replace(alone, settings=msgspec.structs.replace(job.settings, variants=(SMALL,)))
    assert run_plan.of(other, 2).networks[SMALL].session_s == pytest.approx(2.0)
    on_two = msgspec.structs.replace(job, settings=msgspec.structs.replace(job.settings, threads=2))
    assert run_plan.of(on_two, 2).networks[SMALL].session_s is None


def test_what_is_built_already_has_no_build_unless_the_cache_is_left_out(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builders, "already_built", lambda *_: frozenset({SMALL}))
    assert [each.build_size > 0 for each in run_plan.of(job, 2).networks.values()] == [False, True]
    anew = msgspec.structs.replace(job, use_cache=False)
    assert [each.build_size > 0 for each in run_plan.of(anew, 2).networks.values()] == [True, True]


def test_a_run_that_compiles_alone_has_no_sessions(job: Job) -> None:
    settings = msgspec.structs.replace(job.settings, compile_only=True, sustain_s=None)
    plan = run_plan.of(msgspec.structs.replace(job, settings=settings), None)
    assert (plan.sessions, plan.load_s, plan.builders) == (0, 0.0, None)


def test_of_a_run_that_goes_on_what_was_finished_is_left_out(job: Job) -> None:
    before = factory.record()
    names = tuple(result.variant.name for result in before.results)
    settings = msgspec.structs.replace(before.settings, variants=(*names, SMALL))
    resumed = msgspec.structs.replace(
        job, before=msgspec.structs.replace(before, settings=settings), settings=settings,
        networks=(*(result.variant for result in before.results), job.networks[0]),
    )  # fmt: skip
    assert run_plan.left(resumed) == (SMALL,)
    assert list(run_plan.of(resumed, 2).networks) == [SMALL]


def test_what_is_wrong_with_a_network_is_left_to_the_run(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise PluginError("broken")

    monkeypatch.setattr(architectures, "layers", broken)
    assert run_plan.of(job, 2).networks == {}


def test_networks_are_measured_side_by_side_on_a_farm_alone(job: Job) -> None:
    on_farm = msgspec.structs.replace(job, device="farm")
    assert (run_plan.of(job, 2).side_by_side, run_plan.of(on_farm, 2).side_by_side) == (False, True)
