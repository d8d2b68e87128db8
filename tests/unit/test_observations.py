from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory
from fit_world import measured

from mbench.analysis import headline
from mbench.core import record_files, resources
from mbench.core.machine_types import Figure
from mbench.core.progress import Progress, silent
from mbench.core.records import Failure, Record, Result, Variant
from mbench.core.run_options import RunOptions
from mbench.fitting import observations
from mbench.fitting.observations import ENERGY, LATENCY, Observations
from mbench.hardware import host
from mbench.networks import variants
from mbench.pipeline import options, runner
from mbench.pipeline.job import Job


def digest(network: Variant) -> str:
    """Stand for the digest of what a build of a network makes: of all that decides it."""
    content = network.parameters.get("content", "")
    return f"digest of {network.name} {network.batch} {content}".strip()


NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(Observations, "_digest", lambda _self, network: digest(network))
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
                measured(each.name), variant=each, artifact=msgspec.structs.replace(
                    measured(each.name).artifact, digest=digest(each)
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


def known(job: Job, *names: str) -> Observations:
    return Observations(job, [variants.parse(name) for name in names or NAMES])


def measure(seen: Observations, *names: str, sessions: int = 5) -> None:
    with silent([]) as progress:
        seen.measure([variants.parse(name) for name in names], progress, sessions=sessions)


def test_what_was_measured_is_known_and_kept_for_the_next_search(job: Job, ran: list[Job]) -> None:
    seen = known(job)
    assert not seen.known
    measure(seen, *NAMES)
    assert set(seen.known) == {NAMES[0]}
    assert seen.failed == {NAMES[1]: "crashed"}
    assert ran[0].settings.sessions == 5
    assert ran[0].path.is_relative_to(resources.cache_dir() / "fit")
    assert known(job).known.keys() == seen.known.keys()


def test_what_other_code_took_is_not_known(job: Job, ran: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    measure(known(job), NAMES[0])
    assert ran
    monkeypatch.setattr(Observations, "_digest", lambda _self, _network: "another")
    assert not known(job).known


def test_other_threads_and_targets_know_nothing_of_it(job: Job, ran: list[Job]) -> None:
    measure(known(job), NAMES[0])
    assert ran
    others = msgspec.structs.replace(job, settings=msgspec.structs.replace(job.settings, threads=2))
    assert not known(others).known
    assert not known(msgspec.structs.replace(job, device="emulated")).known


def test_another_network_that_had_the_name_stands_for_nothing(job: Job, ran: list[Job]) -> None:
    measure(known(job), NAMES[0])
    assert ran
    eight = variants.parse(NAMES[0], batch=8)
    assert eight.name == NAMES[0]
    changed = msgspec.structs.replace(
        variants.parse(NAMES[0]), parameters={**variants.parse(NAMES[0]).parameters, "content": "exported again"}
    )
    for count, other in enumerate((eight, changed), start=1):
        seen = Observations(job, [other])
        assert NAMES[0] not in seen.known
        assert [each.name for each in seen.known.values()] == [NAMES[0]] * count  # they are learnt from
        with silent([]) as progress:
            seen.measure([other], progress, sessions=5)
        assert seen.known[NAMES[0]].result.variant == other
        assert seen.as_record([NAMES[0]]) is not None
    assert known(job).known[NAMES[0]].result.variant.batch == 1


def test_what_an_interrupted_run_measured_is_known_at_once(
    job: Job, ran: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = runner.run

    def interrupted(job: Job, progress: Progress) -> Record:
        whole(job, progress)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    seen = known(job)
    with pytest.raises(KeyboardInterrupt):
        measure(seen, NAMES[0])
    assert ran
    assert set(seen.known) == {NAMES[0]}


def test_a_measurement_lies_between_its_sessions_and_one_session_between_what_processes_differ_by() -> None:
    result = record_factory.in_sessions(record_factory.record([NAMES[0]])).results[0]
    medians = sorted(headline.medians(result))
    several = observations.of_result(result)
    assert several is not None
    assert several.sure
    assert (several.low_s, several.latency_s, several.high_s) == (medians[0], medians[2], medians[4])
    busy = record_factory.in_sessions(record_factory.record([NAMES[0]]), disturbed=range(5)).results[0]
    disturbed = observations.of_result(busy)
    assert disturbed is not None
    assert disturbed.disturbed
    assert disturbed.low_s == min(busy.end_to_end.latency_s or ())  # a quiet run may be as quick
    found = observations.of_result(measured(NAMES[0]), spread=0.1)
    assert found is not None
    assert not found.sure
    assert found.low_s == pytest.approx(found.latency_s * math.exp(-0.2))
    assert found.high_s == pytest.approx(found.latency_s * math.exp(0.2))


def test_a_clock_that_reads_otherwise_changes_nothing_here(job: Job, ran: list[Job]) -> None:
    measure(known(job), NAMES[0])
    assert ran
    processor = msgspec.structs.replace(job.target.processor, frequency_hz=Figure(value=1.25e9, estimate="read anew"))
    again = msgspec.structs.replace(job, target=msgspec.structs.replace(job.target, processor=processor))
    assert set(known(again).known) == {NAMES[0]}


def test_a_damaged_file_is_passed_over(job: Job, ran: list[Job]) -> None:
    seen = known(job)
    measure(seen, NAMES[0])
    assert ran
    (seen.folder / "broken.json").write_text("{")
    assert set(known(job).known) == {NAMES[0]}


def test_all_that_is_known_is_one_record(job: Job, ran: list[Job], tmp_path: Path) -> None:
    seen = known(job)
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
    assert (found.low_s, found.high_s) == (None, None)
    off = observations.of_result(emulated, model_error=0.25)
    assert off is not None
    assert (off.low_s, off.high_s) == (0.2, 0.3125)
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


def failing(job: Job, monkeypatch: pytest.MonkeyPatch, change: Callable[[Result], Result]) -> str:
    """Return why a network is called failed whose result a change is made to."""
    whole = runner.run

    def run(job: Job, progress: Progress) -> Record:
        record = whole(job, progress)
        return msgspec.structs.replace(record, results=tuple(map(change, record.results)))

    monkeypatch.setattr(runner, "run", run)
    seen = known(job)
    measure(seen, NAMES[0])
    assert NAMES[0] not in seen.known
    return seen.failed[NAMES[0]]


def test_a_build_that_changed_while_it_was_measured_is_called_so(
    job: Job, ran: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rebuilt(result: Result) -> Result:
        return msgspec.structs.replace(result, artifact=msgspec.structs.replace(result.artifact, digest="f" * 32))

    why = failing(job, monkeypatch, rebuilt)
    assert why.startswith(
        f"its build has changed: {'f' * 12} was measured, {digest(variants.parse(NAMES[0]))[:12]} would"
    )
    assert "no latency" not in why
    assert ran


def test_a_result_without_a_latency_says_why(job: Job, ran: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def untimed(result: Result) -> Result:
        whole = msgspec.structs.replace(result.end_to_end, latency_s=None, latency_model_s=None)
        return msgspec.structs.replace(result, end_to_end=whole, missing={"end_to_end.latency_s": "no clock"})

    assert failing(job, monkeypatch, untimed) == "no latency was measured: no clock"
    assert ran
