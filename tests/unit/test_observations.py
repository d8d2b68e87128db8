from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory
from fit_world import measured

from mbench.core import record_files, resources
from mbench.core.machine_types import Figure
from mbench.core.progress import silent
from mbench.core.records import Failure, Record
from mbench.core.run_options import RunOptions
from mbench.fitting import observations
from mbench.fitting.observations import ENERGY, LATENCY, Observations
from mbench.hardware import host
from mbench.networks import variants
from mbench.pipeline import options, runner
from mbench.pipeline.job import Job

NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(Observations, "_digest", lambda _self, network: f"digest of {network.name}")
    asked = RunOptions(threads=1, output=tmp_path)
    return options.new_job([NAMES[0]], "x86_64_v2", host.describe(), asked)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Stand for a run: every network has the same five sessions, `…_0.5_32` fails."""
    jobs: list[Job] = []
    numbers = itertools.count()

    def run(job: Job, _progress: object) -> Record:
        jobs.append(job)
        results = tuple(
            msgspec.structs.replace(
                measured(each.name), artifact=msgspec.structs.replace(
                    measured(each.name).artifact, digest=f"digest of {each.name}"
                ),
            )
            for each in job.networks if each.name != NAMES[1]
        )  # fmt: skip
        failures = tuple(
            Failure(variant=each.name, stage="compiling", reason="crashed")
            for each in job.networks if each.name == NAMES[1]
        )  # fmt: skip
        base = msgspec.structs.replace(runner.begun(job), run_id=f"run{next(numbers)}")
        record = msgspec.structs.replace(base, results=results, failures=failures)
        record_files.write(job.path, record)
        return record

    monkeypatch.setattr(runner, "run", run)
    return jobs


def measure(seen: Observations, *names: str, sessions: int = 5) -> None:
    with silent([]) as progress:
        seen.measure([variants.parse(name) for name in names], progress, sessions=sessions)


def test_what_was_measured_is_known_and_kept_for_the_next_search(job: Job, ran: list[Job]) -> None:
    seen = Observations(job)
    assert not seen.known
    measure(seen, *NAMES)
    assert set(seen.known) == {NAMES[0]}
    assert seen.failed == {NAMES[1]: "crashed"}
    assert ran[0].settings.sessions == 5
    assert ran[0].path.is_relative_to(resources.cache_dir() / "fit")
    assert Observations(job).known.keys() == seen.known.keys()


def test_what_other_code_took_is_not_known(job: Job, ran: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    measure(Observations(job), NAMES[0])
    assert ran
    monkeypatch.setattr(Observations, "_digest", lambda _self, _network: "another")
    assert not Observations(job).known


def test_other_threads_and_targets_know_nothing_of_it(job: Job, ran: list[Job]) -> None:
    measure(Observations(job), NAMES[0])
    assert ran
    others = msgspec.structs.replace(job, settings=msgspec.structs.replace(job.settings, threads=2))
    assert not Observations(others).known
    assert not Observations(msgspec.structs.replace(job, device="emulated")).known


def test_a_clock_that_reads_otherwise_changes_nothing_here(job: Job, ran: list[Job]) -> None:
    measure(Observations(job), NAMES[0])
    assert ran
    processor = msgspec.structs.replace(job.target.processor, frequency_hz=Figure(value=1.25e9, estimate="read anew"))
    again = msgspec.structs.replace(job, target=msgspec.structs.replace(job.target, processor=processor))
    assert set(Observations(again).known) == {NAMES[0]}


def test_a_damaged_file_is_passed_over(job: Job, ran: list[Job]) -> None:
    seen = Observations(job)
    measure(seen, NAMES[0])
    assert ran
    (seen.folder / "broken.json").write_text("{")
    assert set(Observations(job).known) == {NAMES[0]}


def test_all_that_is_known_is_one_record(job: Job, ran: list[Job], tmp_path: Path) -> None:
    seen = Observations(job)
    assert seen.as_record([NAMES[0]]) is None
    measure(seen, NAMES[0])
    assert ran
    record = seen.as_record([NAMES[0], NAMES[1], NAMES[0]])
    assert record is not None
    assert [result.variant.name for result in record.results] == [NAMES[0]]
    record_files.write(tmp_path / "measured.json", record)
    assert record_files.read(tmp_path / "measured.json").settings.variants == (NAMES[0],)


def test_a_wrong_output_is_no_observation() -> None:
    result = measured(NAMES[0])
    assert result.numerics is not None
    wrong = msgspec.structs.replace(result.numerics, passed=False)
    assert observations.of_result(msgspec.structs.replace(result, numerics=wrong)) is None


def test_an_emulated_network_has_the_time_of_the_model_and_is_sure() -> None:
    result = measured(NAMES[0])
    emulated = msgspec.structs.replace(
        result, end_to_end=msgspec.structs.replace(result.end_to_end, latency_s=None, latency_model_s=0.25), sessions=()
    )
    found = observations.of_result(emulated)
    assert found is not None
    assert (found.latency_s, found.sure) == (0.25, True)
    bare = msgspec.structs.replace(emulated.end_to_end, latency_model_s=None)
    assert observations.of_result(msgspec.structs.replace(emulated, end_to_end=bare)) is None


@pytest.mark.parametrize("quantity", [LATENCY, ENERGY])
def test_layers_have_what_they_cost_without_static_power(quantity: str) -> None:
    found = observations.of_result(measured(NAMES[0]))
    assert found is not None
    network = observations.network(found, "group", quantity)
    assert network is not None
    layers: Any = measured(NAMES[0]).layers
    for seen, layer in zip(network.layers, layers, strict=True):
        seconds = layer.latency_s[0]
        expected = seconds if quantity == LATENCY else layer.energy_j - 1.5 * seconds
        assert seen.cost == pytest.approx(expected)


def test_layers_that_were_not_timed_say_nothing() -> None:
    found = observations.of_result(record_factory.record([NAMES[0]]).results[0])
    assert found is not None
    layers = tuple(msgspec.structs.replace(layer, latency_s=None) for layer in found.result.layers)
    bare = observations.Observed(
        result=msgspec.structs.replace(found.result, layers=layers), latency_s=found.latency_s, sure=True
    )
    assert observations.network(bare, "group", LATENCY) is None
