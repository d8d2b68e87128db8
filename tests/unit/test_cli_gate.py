"""`mbench gate` as a user runs it, on records that nothing had to be compiled for."""

from __future__ import annotations

import datetime
import re
import shlex
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line
from gate_records import (
    NAME,
    OTHER,
    OTHERS,
    Put,
    arena,
    changed,
    counted,
    keep,
    layers_of,
    one_layer,
    timed,
    verdict_of,
)

from mbench import devices
from mbench.build.artifact_store import ArtifactStore
from mbench.cli.gate import gate
from mbench.core import artifact, record_files, resources
from mbench.core.records import Failure, Record
from mbench.devices.local import LocalDevice
from mbench.hardware import host, targets
from mbench.measure.duel import Bout

pytest_plugins = ("gate_fixtures",)


def runs_of(folder: Path, factor: float = 1.0, count: int = 5) -> Path:
    """Write several runs of one job into a folder, and return it."""
    folder.mkdir()
    for number in range(count):
        item = factory.again(timed(), f"{folder.name}-{number}", factor * (1 + 0.0005 * number))
        item = changed(item, created_at_utc=f"2025-03-0{number + 1}T12:00:00Z")
        record_files.write(folder / f"{number}.json", item)
    return folder


# -------------------------------------------------------------------------------------------------------------- counts
def test_counts_of_the_same_code_pass(run: Mbench, base: Path, put: Put) -> None:
    outcome = run(gate, base, put(counted(run_id="again"), "head"), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = verdict_of(outcome.out)
    assert document["conclusion"] == "passed"
    assert set(document["comparison"]["ways"]) == {"counts", "static"}
    assert layers_of(document, "regressed") == set()


def test_more_instructions_than_tolerated_regress_and_name_the_layer(run: Mbench, base: Path, put: Put) -> None:
    layer = counted().results[0].layers[5]
    assert layer.counters
    tolerated = int(0.005 * layer.counters.instructions)
    assert run(gate, base, put(one_layer(counted(), instructions=tolerated), "head")).code == 0
    head = put(one_layer(counted(), instructions=tolerated + 1), "head")
    outcome = run(gate, base, head)
    assert outcome.code == 1
    assert layer.name in outcome.out
    assert layers_of(verdict_of(run(gate, base, head, "--json").out), "regressed") == {layer.name}


def test_counts_pass_across_machines_and_leave_out_what_the_compiler_targets_differ_in(
    run: Mbench, base: Path, put: Put
) -> None:
    head = counted()
    head = changed(
        head, host=changed(head.host, name="runner-7", cpu="Other CPU"),
        target=changed(head.target, tvm={"kind": "llvm", "mcpu": "alderlake"}),
        settings=changed(head.settings, threads=4),
    )  # fmt: skip
    document = verdict_of(run(gate, base, put(head, "head"), "--json").out)
    assert document["conclusion"] == "passed"
    assert set(document["comparison"]["ways"]) == {"counts"}
    assert {each["key"] for each in document["comparison"]["differences"]} == {"host", "cpu", "code", "threads"}
    assert run(gate, base, put(one_layer(head, instructions=10**6), "head")).code == 1


def test_counts_of_code_for_another_target_are_incomparable(run: Mbench, base: Path, put: Put) -> None:
    head = factory.counted(factory.record([NAME]), target="arm64_cortex_a72", vector_bits=128)
    document_of = run(gate, base, put(head, "head"), "--json")
    assert document_of.code == 3
    assert "counted" in verdict_of(document_of.out)["headline"]


# ------------------------------------------------------------------------------------------------------------ recorded
def test_recorded_latencies_that_doubled_regress(run: Mbench, put: Put) -> None:
    outcome = run(gate, put(timed(), "base"), put(timed(2.0), "head"), "--json")
    assert outcome.code == 1
    document = verdict_of(outcome.out)
    assert set(document["comparison"]["ways"]) == {"recorded", "static"}
    assert None in layers_of(document, "regressed")


def test_one_session_a_side_gives_no_verdict_and_five_runs_do(run: Mbench, put: Put, tmp_path: Path) -> None:
    assert run(gate, put(timed(), "base"), put(timed(1.001), "head")).code == 3
    assert run(gate, put(timed(), "base"), put(timed(), "head")).code == 0, "the very same samples"
    for side, centre in (("before", 1.0), ("after", 1.0), ("slow", 1.2)):
        runs_of(tmp_path / side, centre)
    passed = run(gate, tmp_path / "before", tmp_path / "after", "--json")
    assert passed.code == 0
    assert verdict_of(passed.out)["comparison"]["base"]["runs"] == 5
    assert run(gate, tmp_path / "before", tmp_path / "slow").code == 1


@pytest.mark.parametrize("key", OTHERS)
def test_recorded_latencies_of_other_circumstances_are_incomparable_unless_allowed(
    run: Mbench, put: Put, key: str
) -> None:
    files = put(timed(), "base"), put(OTHERS[key](timed(2.0)), "head")
    refused = run(gate, *files, "--json")
    assert refused.code == 3
    document = verdict_of(refused.out)
    assert document["conclusion"] == "incomparable"
    assert document["headline"] == f"not compared by recorded: {key} differ"
    assert run(gate, *files, "--allow-different", key).code == 1


def test_recorded_is_judged_beside_counts_only_if_asked(run: Mbench, put: Put) -> None:
    files = put(factory.counted(timed()), "base"), put(factory.counted(timed(2.0)), "head")
    assert run(gate, *files).code == 0
    assert run(gate, *files, "--recorded").code == 1


def test_only_what_the_compiler_says_is_no_verdict(run: Mbench, put: Put) -> None:
    item = factory.record([NAME], latency=False)
    outcome = run(gate, put(item, "base"), put(item, "head"))
    assert outcome.code == 3
    assert "nothing that was executed could be compared" in outcome.out


# ----------------------------------------------------------------------------------------------------------- bad input
GOOD = record_files.encode(timed())
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty"),
    "cut": (GOOD[: len(GOOD) // 2], "is it truncated?"),
    "newer": (GOOD.replace(b'"format_version":2', b'"format_version":3', 1), "format_version is 3"),
    "field": (GOOD.replace(b'"run_id"', b'"run"', 1), "not a valid record"),
    "NaN": (re.sub(rb'("latency_s":\[)[0-9.e-]+', rb"\1NaN", GOOD, count=1), "not a whole JSON document"),
    "negative": (re.sub(rb'("latency_s":\[)([0-9.e-]+)', rb"\1-\2", GOOD, count=1), "Expected `float` >= 0"),
    "infinite": (re.sub(rb'("latency_s":\[)[0-9.e-]+', rb"\g<1>1e999", GOOD, count=1), ""),
    "text": (re.sub(rb'("latency_s":\[)[0-9.e-]+', rb'\1"fast"', GOOD, count=1), "Expected `float`"),
    "no record": (b'{"benchmarks": []}', "no format_version"),
}


def test_a_network_is_no_record_and_what_makes_one_is_said(run: Mbench, tmp_path: Path) -> None:
    for name in ("net.onnx", "net.pt2"):
        (tmp_path / name).write_bytes(b"\x08\x08\x12")
        outcome = run(gate, tmp_path / name, tmp_path / name)
        assert outcome.code == 2
        assert f"{name} is a network, not a record; 'mbench run" in outcome.err


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("side", ["base", "head"])
def test_a_record_that_is_none_is_one_line(run: Mbench, put: Put, tmp_path: Path, kind: str, side: str) -> None:
    content, said = BAD[kind]
    assert content != GOOD
    (tmp_path / "bad.json").write_bytes(content)
    good = put(timed(), "good")
    files = (tmp_path / "bad.json", good) if side == "base" else (good, tmp_path / "bad.json")
    for command in ("gate", "compare"):
        assert_one_line(run(command, *files), "bad.json", said)


def test_a_missing_record_and_an_empty_folder_are_one_line(run: Mbench, base: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_one_line(run(gate, base, "none.json"), "none.json: cannot be read")
    assert_one_line(run(gate, "none.json", base), "none.json: cannot be read")
    assert_one_line(run(gate, base, tmp_path / "empty"), "no record there")


def with_samples(samples: tuple[float, ...]) -> Record:
    item = timed()
    [result] = item.results
    whole = msgspec.structs.replace(result.end_to_end, latency_s=samples)
    return changed(item, results=(msgspec.structs.replace(result, end_to_end=whole),))


@pytest.mark.parametrize("samples", [(1e-3,), (1e-3,) * 100, ()], ids=["one", "all equal", "none"])
def test_samples_that_say_nothing_never_pass(run: Mbench, put: Put, samples: tuple[float, ...]) -> None:
    odd, good = put(with_samples(samples), "odd"), put(timed(), "good")
    assert run(gate, odd, good).code == 3
    assert run(gate, good, odd).code == 3
    assert run(gate, odd, odd).code == 3


def test_a_baseline_of_another_network_does_not_pass(run: Mbench, base: Path, put: Put) -> None:
    outcome = run(gate, base, put(counted(OTHER), "head"))
    assert outcome.code == 1
    assert "gone" in outcome.out


def test_a_head_whose_network_failed_does_not_pass(run: Mbench, put: Put) -> None:
    outcome = run(gate, put(counted(NAME, OTHER), "base"), put(counted(NAME, failed=[OTHER]), "head"))
    assert outcome.code == 4
    assert "out of registers" in outcome.out


WRONG = {
    "--threshold latency=0%": "expected a percentage above 0",
    "--threshold latency=-3%": "expected a percentage above 0",
    "--threshold latency=much": "expected a percentage above 0",
    "--threshold speed=3%": "metric 'speed'",
    "--threshold latency": "expected SELECTOR=PERCENT",
    "--sensitivity latency=0%": "expected a percentage above 0",
    "--sensitivity latency=nan%": "expected a percentage above 0",
    "--config none.toml": "none.toml: cannot be read",
    "--accepted none.toml": "none.toml: cannot be read",
    "--allow-different hots": "did you mean 'host'",
    "--processes 3": "3 is not in the range",
    "--processes many": "many",
    "--paired --recorded": "give one of them",
    "--annotations --json": "give one",
    "--junt x": "--junt",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_use_is_one_line(run: Mbench, base: Path, line: str) -> None:
    assert_one_line(run(gate, base, base, *line.split()), WRONG[line])
    assert list(Path.cwd().iterdir()) == []


def test_thresholds_of_the_folder_and_of_the_command_line_count(run: Mbench, base: Path, put: Put) -> None:
    layer = counted().results[0].layers[5]
    assert layer.counters
    head = put(one_layer(counted(), instructions=layer.counters.instructions // 50), "head")
    assert run(gate, base, head).code == 1
    Path("mbench.toml").write_text('[gate.thresholds]\n"layer.instructions" = "5%"\n')
    assert run(gate, base, head).code == 0
    assert run(gate, base, head, "--threshold", "layer.instructions=1%").code == 1
    assert run(gate, base, head, "--threshold", f"{NAME}:{layer.op}.instructions=1%").code == 1
    assert run(gate, base, head, "--threshold", f"{OTHER}:layer.instructions=1%").code == 0


# ----------------------------------------------------------------------------------------------------------- acceptance
def accept(expires: datetime.date, **fields: str) -> None:
    lines = [f'{key} = "{value}"' for key, value in {"variant": "*", "reason": "agreed", **fields}.items()]
    Path("mbench-accepted.toml").write_text("\n".join(["[[accepted]]", *lines, f"expires = {expires}"]))


def test_an_acceptance_lets_a_regression_pass_and_is_named_until_it_expires(run: Mbench, base: Path, put: Put) -> None:
    layer = counted().results[0].layers[5]
    assert layer.counters
    head = put(one_layer(counted(), instructions=layer.counters.instructions // 100), "head")
    name = layer.name
    today = datetime.datetime.now(datetime.UTC).date()
    accept(today, layer=name)
    outcome = run(gate, base, head, "--json")
    assert outcome.code == 0
    document = verdict_of(outcome.out)
    assert layers_of(document, "accepted") == {name}
    assert document["accepted"] == [f"* {name}: agreed (until {today})"]
    accept(today, layer=name, up_to="0.1%")
    assert run(gate, base, head).code == 1
    accept(today - datetime.timedelta(days=1), layer=name)
    assert_one_line(run(gate, base, head), "expired on")


def test_a_network_that_is_gone_fails_unless_that_is_accepted(run: Mbench, put: Put) -> None:
    files = put(counted(NAME, OTHER), "base"), put(counted(), "head")
    assert run(gate, *files).code == 1
    accept(datetime.date(2999, 1, 1), metric="presence")
    assert run(gate, *files).code == 0
    new = files[1], files[0]
    assert run(gate, *new).code == 0
    Path("mbench-accepted.toml").unlink()
    outcome = run(gate, *new)
    assert (outcome.code, "new: the base has no such network" in outcome.out) == (3, True)


# -------------------------------------------------------------------------------------------------------------- outputs
def test_annotations_are_lines(run: Mbench, base: Path, put: Put) -> None:
    head = put(one_layer(counted(), instructions=10**6), "head")
    outcome = run(gate, base, head, "--annotations")
    assert outcome.code == 1
    assert any(line.startswith("::error") for line in outcome.out.splitlines())
    assert "::error" not in run(gate, base, head).out


# --------------------------------------------------------------------------------------------------------------- paired
def test_paired_has_every_exit_code_of_the_contract(
    run: Mbench, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: tuple[tuple[dict[str, Any], int, str], ...] = (
        ({}, 0, "passed"),
        ({"factor": 1.5}, 1, "regressed"),
        ({"factor": 0.5}, 0, "passed"),
        ({"spread": 0.3}, 3, "inconclusive"),
        ({"dies": True}, 4, "unmeasured"),
    )
    for options, code, conclusion in given:
        arena(monkeypatch, **options)
        outcome = run(gate, *pair, "--paired", "--json")
        assert (outcome.code, verdict_of(outcome.out)["conclusion"]) == (code, conclusion), options
    assert verdict_of(outcome.out)["failures"] == [f"{NAME}: the worker process was ended by SIGKILL; out of memory?"]


@pytest.mark.parametrize("tvm", [{}, {"kind": "llvm"}, {"kind": "llvm", "mtriple": "x86_64-linux-gnu"}, {"kind": "c"}])
def test_paired_refuses_a_target_that_no_file_may_hold(
    run: Mbench, pair: tuple[Path, Path], tvm: dict[str, str]
) -> None:
    for file in pair:
        item = record_files.read(file)
        record_files.write(file, changed(item, target=msgspec.structs.replace(item.target, tvm=tvm)))
    assert_one_line(run(gate, *pair, "--paired"), "target 'x86_64_v2': ", "tvm.")


def test_paired_waits_for_a_run_on_the_machine(
    run: Mbench, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    arena(monkeypatch)
    running = devices.open_device(  # as `mbench run` does
        "local", targets.load("x86_64_v2"), lock_dir=resources.cache_dir(), timeout_s=1.0, waiting=lambda _: None
    )
    ending = threading.Timer(0.5, running.close)
    ending.start()
    outcome = run(gate, *pair, "--paired")
    assert (outcome.code, "another run measures on this machine" in outcome.err) == (0, True)


def test_a_sensitivity_that_is_not_above_the_threshold_is_one_line(
    run: Mbench, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Bout:
        raise AssertionError("it was measured before it was refused")

    monkeypatch.setattr(LocalDevice, "duel", never)
    outcome = run(gate, *pair, "--paired", "--sensitivity", "latency=0.5%")
    assert_one_line(outcome, "expected more than its threshold")


def test_artifacts_that_are_missing_altered_or_of_another_build_are_one_line(
    run: Mbench, pair: tuple[Path, Path], put: Put
) -> None:
    base, head = pair
    bare = put(record_files.read(head), "bare")
    assert_one_line(run(gate, base, bare, "--paired"), "no artifact of", "--keep-artifacts")
    assert_one_line(run(gate, bare, head, "--paired"), "no artifact of", "--keep-artifacts")
    library = artifact.beside(head) / NAME / artifact.LIBRARY
    whole = library.read_bytes()
    library.write_bytes(bytes([whole[0] ^ 1, *whole[1:]]))
    assert_one_line(run(gate, base, head, "--paired"), "model.so has hash", "it was damaged")
    library.write_bytes(whole)
    base.write_bytes(base.read_bytes().replace(b"a" * 32, b"c" * 32))
    assert_one_line(run(gate, base, head, "--paired"), "it is of another build")


def test_paired_takes_the_builds_of_plain_runs_from_the_cache(
    run: Mbench, cached: tuple[Path, Path], store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    arena(monkeypatch, 1.5)
    outcome = run(gate, *cached, "--paired", "--json")
    assert (outcome.code, outcome.err.count("mbench: ")) == (1, 0)
    assert verdict_of(outcome.out)["conclusion"] == "regressed"
    arena(monkeypatch)
    assert run(gate, *cached, "--paired").code == 0
    library = store.get("b" * 32).library
    library.write_bytes(b"other")
    assert_one_line(run(gate, *cached, "--paired"), "model.so has hash", "it was damaged")
    library.unlink()
    assert_one_line(run(gate, *cached, "--paired"), "cannot be read: model.so: No such file or directory")
    shutil.rmtree(store.folder)
    assert_one_line(run(gate, *cached, "--paired"), "--paired: base ", "not in the cache, ", "or leave out --paired")
    for file in cached:
        file.write_bytes(re.sub(rb'"digest":"[ab]{32}"', b'"digest":"../../odd"', file.read_bytes()))
    assert_one_line(run(gate, *cached, "--paired"), "no artifact has a digest such as '../../odd'")


def test_paired_measures_the_others_where_a_network_failed_in_the_head(
    run: Mbench, cached: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = record_files.read(cached[1])
    failure = Failure(variant=OTHER, stage="compiling", reason="out of registers")
    settings = msgspec.structs.replace(item.settings, variants=(*item.settings.variants, OTHER))
    record_files.write(cached[1], changed(item, failures=(failure,), settings=settings))
    for factor, code, conclusion in ((1.0, 4, "unmeasured"), (1.5, 1, "regressed")):
        arena(monkeypatch, factor)
        outcome = run(gate, *cached, "--paired", "--json")
        document = verdict_of(outcome.out)
        assert (outcome.code, document["conclusion"]) == (code, conclusion)
        assert document["failures"] == [f"{OTHER}: in the head: failed while compiling: out of registers"]
        assert {each["variant"] for each in document["comparison"]["findings"] if each["way"] == "paired"} == {NAME}


def test_one_build_on_both_sides_is_loaded_from_two_files(
    run: Mbench, cached: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code on both sides has one digest and one folder; a library that is opened twice is loaded once."""
    cached[1].write_bytes(cached[1].read_bytes().replace(b"b" * 32, b"a" * 32))
    arena(monkeypatch)
    duel = LocalDevice.duel
    seen: list[set[Path]] = []

    def noted(self: LocalDevice, base: Any, twin: Any, head: Any, *rest: Any) -> Bout:
        seen.append({each.library for each in (base, twin, head)})
        return duel(self, base, twin, head, *rest)

    monkeypatch.setattr(LocalDevice, "duel", noted)
    assert run(gate, *cached, "--paired").code == 0
    assert seen
    assert all(len(libraries) == 3 for libraries in seen)


# --------------------------------------------------------------------------------------------------------------- offer
def offered(run: Mbench, *words: str | Path) -> str | None:
    """Return the command that a verdict without one offers, which is in every form or in none."""
    document = verdict_of(run(gate, *words, "--json").out)
    Path("out.md").unlink(missing_ok=True)
    done = run(gate, *words, "--annotations", "--junit", "a.xml", "--markdown", "out.md", "--html", "a.html")
    terminal = done.out.split("::", maxsplit=1)[0]
    forms = [terminal, done.out.removeprefix(terminal), *(Path(name).read_text() for name in ("a.xml", "out.md"))]
    command: str | None = document["paired_command"]
    assert {"Both builds are at hand" in text for text in (*forms, Path("a.html").read_text())} == {bool(command)}
    if command:
        with_files = command + " --junit a.xml --markdown out.md --html a.html"
        assert terminal.splitlines()[-1] == with_files, "whole, in a line of its own"
        assert all(with_files in text.replace("%25", "%") for text in forms)
    return command


def test_a_verdict_that_noise_leaves_open_offers_to_measure_what_is_at_hand(
    run: Mbench, cached: tuple[Path, Path], store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = offered(run, *cached, "--threshold", "latency=2%")
    assert command == f"mbench gate {cached[0]} {cached[1]} --paired --threshold latency=2%"
    arena(monkeypatch)
    assert run(*shlex.split(command)[1:]).code == 0
    artifact.beside(cached[0]).mkdir()
    kept = store.path("a" * 32).rename(artifact.beside(cached[0]) / NAME)
    assert offered(run, *cached) == f"mbench gate {cached[0]} {cached[1]} --paired", "one is kept, one in the cache"
    library = kept / artifact.LIBRARY
    library.write_bytes(library.read_bytes() + b"x")
    assert offered(run, *cached) is None, "it would be refused"
    shutil.rmtree(kept)
    assert offered(run, *cached) is None


def test_nothing_is_offered_where_it_would_not_run_or_decide(
    run: Mbench, cached: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, head = cached
    slow = head.with_name("slow.json")
    record_files.write(slow, factory.again(record_files.read(head), "slow", 3.0))
    assert run(gate, base, slow).code == 1
    assert offered(run, base, slow) is None
    whole = head.read_bytes()
    for change in ({"batch": 4}, {"threads": 1024}):
        item = record_files.read(head)
        record_files.write(head, changed(item, settings=msgspec.structs.replace(item.settings, **change)))
        assert offered(run, *cached) is None, change
        head.write_bytes(whole)
    assert offered(run, *cached) is not None
    monkeypatch.setattr(host, "describe", lambda *_, **__: pytest.fail("asked for, although nothing is open"))
    record_files.write(base, factory.counted(record_files.read(base)))
    record_files.write(head, factory.counted(record_files.read(head)))
    assert run(gate, *cached).code == 0


def test_a_user_without_a_cache_gets_the_verdict_without_an_offer(
    run: Mbench, cached: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", "x" * 300)
    outcome = run(gate, *cached, "--json")
    assert (outcome.code, outcome.err, verdict_of(outcome.out)["paired_command"]) == (3, "", None)


def test_artifacts_for_another_architecture_are_one_line(run: Mbench, put: Put, tmp_path: Path) -> None:
    files = put(timed(), "base"), put(timed(), "head")
    for file in files:
        keep(file, "a" * 32, tmp_path, "arm64_cortex_a72")
    assert_one_line(run(gate, *files, "--paired"), "--paired measures on this machine", "arm64_cortex_a72")


def test_runs_with_more_threads_than_this_machine_has_are_one_line(run: Mbench, pair: tuple[Path, Path]) -> None:
    for file in pair:
        item = record_files.read(file)
        record_files.write(file, changed(item, settings=msgspec.structs.replace(item.settings, threads=1024)))
    assert_one_line(run(gate, *pair, "--paired"), "1024 threads")


def test_paired_says_that_a_quota_holds_the_threads_back(
    run: Mbench, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    arena(monkeypatch)
    here = host.describe()
    said: list[tuple[int, int]] = []
    for quota in (None, 0.5, 64.0):
        limited = msgspec.structs.replace(here, processors_quota=quota)
        monkeypatch.setattr(host, "describe", lambda *_, limited=limited, **__: limited)
        outcome = run(gate, *pair, "--paired")
        said.append((outcome.code, outcome.err.count("the quota of 0.5 processors will hold back")))
    assert said == [(0, 0), (0, 1), (0, 0)]


def test_paired_runs_of_other_jobs_are_incomparable_and_nothing_is_measured(
    run: Mbench, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    arena(monkeypatch, dies=True)
    item = record_files.read(pair[1])
    record_files.write(pair[1], changed(item, settings=msgspec.structs.replace(item.settings, batch=4)))
    outcome = run(gate, *pair, "--paired", "--json")
    assert (outcome.code, verdict_of(outcome.out)["conclusion"]) == (3, "incomparable")


# -------------------------------------------------------------------------------------------------------- what is what
def test_without_head_it_says_what_head_is_and_names_the_newest_run(run: Mbench, base: Path) -> None:
    said = "BASE is the run before a change, HEAD the one after it: a record, or a folder of records of one job"
    assert_one_line(run(gate, base), f"Missing argument 'HEAD'. {said}; see 'mbench gate --help'")
    folder = Path("mbench-results")
    folder.mkdir()
    (folder / "fit-1.json").write_text("{}")
    record_files.write(folder / "20260301-a.json", changed(counted(), labels={"commit": "4f2a9c1" * 5}))
    newest = f"the newest here is {folder / '20260301-a.json'} of {NAME} at commit {('4f2a9c1' * 5)[:12]}; see"
    assert_one_line(run(gate, base), newest)


def test_both_runs_are_named_with_their_commits(run: Mbench, put: Put) -> None:
    labels = {"commit": "0123456789abcdef", "branch": "main", "change": "7"}
    files = put(counted(), "base"), put(changed(counted(run_id="again"), labels=labels), "head")
    base, head = run(gate, *files).out.partition("\nhead")[::2]
    assert "commit" not in base
    assert ": again, commit 0123456789ab, branch main, 2025-" in " ".join(head.replace(".js\non", ".json").split())
    side = verdict_of(run(gate, *files, "--json").out)["comparison"]["head"]
    assert (side["labels"], side["networks"]) == (labels, [NAME])
