"""The work of a sweep, from its file to its records, with a pipeline that takes no time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sweep_world import SweepWorld, definition

import mbench
from mbench.api import history
from mbench.api import sweep as api
from mbench.core import record_files, scratch, sweep_files
from mbench.core.errors import OutputError, UsageError
from mbench.core.machine_types import Host
from mbench.core.records import Record
from mbench.core.sweep_records import SweepRecord
from mbench.pipeline import runner
from mbench.pipeline.job import Job
from mbench.sweeping import standing

pytest_plugins = ("api_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")

SMALL = """
networks = ["mobilenet_v1_0.25_{32,48}", "mobilenet_v2_0.35_32"]
dtypes = ["float32", "int8"]
targets = ["x86_64_v2", "x86_64_v3"]
compile_only = true
networks_per_record = 3
"""
"""12 cells."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SweepWorld:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("MBENCH_STORE", raising=False)
    made = SweepWorld()
    monkeypatch.setattr(runner, "run", made.run)
    monkeypatch.setattr("mbench.api.report.report", lambda _record, page, **_: page.write_text("page"))
    return made


def swept(file: Path, said: list[str] | None = None, **how: Any) -> SweepRecord:
    notes = [] if said is None else said
    return api.sweep(file, note=notes.append, **how).record


def records(file: Path) -> list[Record]:
    return [record_files.read(path) for path in sorted((file.parent / "mbench-results").glob("*.json"))]


def test_all_cells_are_measured_once_in_records_of_few_networks(world: SweepWorld, tmp_path: Path) -> None:
    file = definition(tmp_path, SMALL)
    found = swept(file)
    assert found.count("done") == len(found.cells) == 12
    assert [len(names) for names in world.ran] == [4, 2, 4, 2], "both types of a network share a record"
    assert {name for names in world.ran for name in names} == {cell.network.name for cell in found.cells}
    assert {record.labels["sweep"] for record in records(file)} == {"small"}
    assert {record.target.name for record in records(file)} == {"x86_64_v2", "x86_64_v3"}
    assert all((tmp_path / "mbench-results" / each.name).with_suffix(".html").exists() for each in found.files)
    assert swept(file).count("done") == 12
    assert len(world.ran) == 4, "nothing is done twice"


def test_an_interrupted_sweep_goes_on_with_the_record_that_lacks_something(world: SweepWorld, tmp_path: Path) -> None:
    file, notes = definition(tmp_path, SMALL), list[str]()
    world.interrupt_after = 6
    with pytest.raises(api.SweepInterrupted) as caught:
        swept(file)
    assert caught.value.outcome.record.count("done") == 6
    assert sweep_files.read(caught.value.outcome.path).count("done") == 6
    world.interrupt_after = 1
    with pytest.raises(api.SweepInterrupted):
        swept(file)
    assert swept(file, notes).count("done") == 12
    assert [len(names) for names in world.ran] == [4, 2, 4, 4, 3, 2]
    assert len(records(file)) == 4
    assert any("10 of 12 cells are done" in note for note in notes)


def test_a_changed_file_adds_its_new_cells_only(world: SweepWorld, tmp_path: Path) -> None:
    swept(definition(tmp_path, SMALL))
    before = len(world.ran)
    more = SMALL.replace("{32,48}", "{32,48,64}").replace('"x86_64_v3"]', '"x86_64_v3", "arm64_cortex_a72"]')
    found = swept(definition(tmp_path, more))
    assert found.count("done") == len(found.cells) == 24
    new = [(job.target.name, name) for job, names in zip(world.jobs, world.ran, strict=True) for name in names][12:]
    assert len(new) == 12
    assert {name for target, name in new if target != "arm64_cortex_a72"} == {
        "mobilenet_v1_0.25_64", "mobilenet_v1_0.25_64_int8",
    }  # fmt: skip
    fewer = swept(definition(tmp_path, SMALL))
    assert (len(fewer.cells), fewer.count("done")) == (12, 12)
    assert len(world.ran) > before


def test_failed_cells_are_named_and_tried_again_once_a_call(world: SweepWorld, tmp_path: Path) -> None:
    file = definition(tmp_path, SMALL)
    world.failing = {"mobilenet_v1_0.25_48", "mobilenet_v2_0.35_32"}
    found = swept(file)
    assert (found.count("done"), found.count("failed")) == (8, 4)
    failed = [cell for cell in found.cells if cell.state == "failed"]
    assert {(cell.stage, cell.reason) for cell in failed} == {("compiling", "out of registers")}
    runs = len(world.ran)
    assert swept(file).count("failed") == 4
    again = [name for names in world.ran[runs:] for name in names]
    assert sorted(again) == sorted(cell.network.name for cell in failed)
    world.failing.clear()
    assert swept(file).count("done") == 12
    assert sum(len(record.failures) for record in records(file)) == 0


def test_what_would_be_built_otherwise_now_is_open(world: SweepWorld, tmp_path: Path) -> None:
    file = definition(tmp_path, SMALL.replace('"x86_64_v2", ', ""))
    world.digest = "0" * 32
    found = swept(file)
    assert {(cell.state, cell.reason) for cell in found.cells} == {("open", standing.OTHER_ARTIFACT)}
    world.digest = None
    assert swept(file).count("done") == 6
    assert len(records(file)) == 4


def test_what_another_machine_timed_is_open_here_and_what_it_only_compiled_is_not(
    world: SweepWorld, tmp_path: Path, machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = SMALL.replace("compile_only = true", "sessions = 1\nthreads = [1]").replace('"x86_64_v2", ', "")
    compiled = definition(tmp_path, SMALL, "compiled.toml")
    file = definition(tmp_path, timed.replace("x86_64_v3", "x86_64_v2"))
    assert (swept(file).count("done"), swept(compiled).count("done")) == (6, 12)
    other = msgspec.structs.replace(machine, name="another")
    monkeypatch.setattr("mbench.hardware.host.describe", lambda *_, **__: other)
    assert {(cell.state, cell.reason) for cell in api.sweep_status(file).cells} == {("open", standing.OTHER_MACHINE)}
    assert api.sweep_status(compiled).count("done") == 12


def test_more_sessions_than_before_are_measured_again_and_fewer_are_not(world: SweepWorld, tmp_path: Path) -> None:
    text = 'networks = ["mobilenet_v1_0.25_32"]\ntargets = ["x86_64_v2"]\nsessions = 1\nthreads = [1]\n'
    assert swept(definition(tmp_path, text)).count("done") == 1
    more = swept(definition(tmp_path, text.replace("sessions = 1", "sessions = 3")))
    assert [cell.reason for cell in more.cells] == [standing.FEWER_SESSIONS]  # the made-up results have none
    assert swept(definition(tmp_path, text)).count("done") == 1
    assert [job.settings.sessions for job in world.jobs] == [1, 3]


def test_batches_and_threads_are_places_of_their_own_and_what_counts_has_one_thread(
    world: SweepWorld, tmp_path: Path, machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = msgspec.structs.replace(machine, processors_usable=4, cores_usable=4, processors_quota=None)
    monkeypatch.setattr("mbench.hardware.host.describe", lambda *_, **__: wide)
    monkeypatch.setattr("mbench.devices.emulation.check", lambda _: None)
    text = """
networks = ["mobilenet_v1_0.25_32"]
targets = ["x86_64_v2", "arm64_cortex_a72"]
threads = [1, 2]
batches = [1, 8]
sessions = 1
[devices]
x86_64_v2 = "local"
arm64_cortex_a72 = "emulated"
"""
    found = api.sweep_status(definition(tmp_path, text))
    places = [(cell.place.device, cell.place.threads, cell.place.batch) for cell in found.cells]
    assert places == [
        ("local", 1, 1), ("local", 1, 8), ("local", 2, 1), ("local", 2, 8), ("emulated", 1, 1), ("emulated", 1, 8),
    ]  # fmt: skip
    assert {cell.network.name for cell in found.cells} == {"mobilenet_v1_0.25_32"}


def test_records_go_to_a_store_one_by_one_and_what_a_store_lacks_is_added_later(
    world: SweepWorld, tmp_path: Path
) -> None:
    file = definition(tmp_path, SMALL)
    world.interrupt_after = 5
    with pytest.raises(api.SweepInterrupted):
        swept(file)
    store = tmp_path / "store.db"
    added: list[int] = []
    original = history.add_run

    def counted(record: Record, url: str) -> Any:
        with mbench.open_store(store) as opened:
            added.append(len(opened.listed()))
        return original(record, url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mbench.api.history.add_run", counted)
        found = swept(file, store=store)
    assert added == [0, 1, 2, 3]
    with mbench.open_store(store) as opened:
        assert {each.labels["sweep"] for each in opened.listed()} == {"small"}
    assert all(each.stored for each in found.files)
    by_store = api.sweep_status(file, store=store)
    assert [(cell.network.name, cell.state) for cell in by_store.cells] == [
        (cell.network.name, cell.state) for cell in found.cells
    ]


def test_another_store_gets_what_the_first_one_has(world: SweepWorld, tmp_path: Path) -> None:
    file = definition(tmp_path, SMALL)
    swept(file, store=tmp_path / "a.db")
    swept(file, store=tmp_path / "b.db")
    swept(file, store=tmp_path / "b.db")
    assert len(world.ran) == 4
    for name in ("a.db", "b.db"):
        with mbench.open_store(tmp_path / name) as opened:
            assert len(opened.listed()) == 4


def test_a_place_that_is_away_does_not_stop_the_others(
    world: SweepWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(job: Job, progress: Any) -> Record:
        if job.target.name == "x86_64_v2":
            raise UsageError("nobody answers at 127.0.0.1:9190")
        return world.run(job, progress)

    monkeypatch.setattr(runner, "run", run)
    notes = list[str]()
    found = swept(definition(tmp_path, SMALL), notes)
    assert {cell.place.target for cell in found.cells if cell.state == "done"} == {"x86_64_v3"}
    assert any("nobody answers at 127.0.0.1:9190; its cells stay open" in note for note in notes)


def test_the_error_that_says_where_results_are_is_the_one_that_is_raised(
    world: SweepWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(job: Job, progress: Any) -> Record:
        world.run(job, progress)
        monkeypatch.setattr(sweep_files, "write", full)
        raise OutputError("disk full; what was measured is saved in /tmp/x")

    def full(*_: object) -> None:
        raise OutputError("disk full")

    monkeypatch.setattr(runner, "run", run)
    with pytest.raises(OutputError, match="what was measured is saved in /tmp/x"):
        swept(definition(tmp_path, SMALL))


def test_a_farm_file_lies_beside_the_sweep_and_has_boards_of_one_kind(world: SweepWorld, tmp_path: Path) -> None:
    board = '[devices.{0}]\nrpc = "10.0.0.{1}:9090"\ntargets = ["arm64_cortex_a72"]\nkind = "{2}"\n'
    farm = tmp_path / "boards.toml"
    farm.write_text("format_version = 1\n" + board.format("a", 1, "pi4") + board.format("b", 2, "pi4"))
    text = SMALL.replace("compile_only = true\n", "").replace('["x86_64_v2", "x86_64_v3"]', '["arm64_cortex_a72"]')
    file = definition(tmp_path, f'sessions = 1\n{text}[devices]\ndefault = "boards.toml"\n')
    assert swept(file).count("done") == 6
    assert {job.device for job in world.jobs} == {"farm"}
    farm.write_text("format_version = 1\n" + board.format("a", 1, "pi4") + board.format("b", 2, "pi5"))
    with pytest.raises(UsageError, match="devices of 2 kinds: pi4, pi5; a sweep compares"):
        swept(file)


def test_two_sweeps_in_one_folder_and_store_are_told_apart_by_name(world: SweepWorld, tmp_path: Path) -> None:
    one = definition(tmp_path, f'{SMALL}store = "store.db"')
    other = definition(tmp_path, f'{SMALL}store = "store.db"', "other.toml")
    assert swept(one).count("done") == 12
    assert api.sweep_status(other).count("open") == 12
    assert swept(other).count("done") == 12
    assert len(records(one)) == 8
    with mbench.open_store(tmp_path / "store.db") as opened:
        assert sorted(each.labels["sweep"] for each in opened.listed()) == ["other"] * 4 + ["small"] * 4


def test_a_sweep_of_the_same_name_that_another_file_describes_is_refused(world: SweepWorld, tmp_path: Path) -> None:
    first = definition(tmp_path, SMALL)
    swept(first)
    second = definition(tmp_path, f'name = "small"\n{SMALL}', "second.toml")
    with pytest.raises(UsageError, match=r"is the sweep 'small' of .*small\.toml; write another name"):
        swept(second)
    first.unlink()
    notes: list[str] = []
    assert swept(second, notes).count("done") == 12
    assert any("which is not there any more" in note for note in notes)


def test_a_second_process_is_refused_and_a_dead_ones_lock_is_taken_over(world: SweepWorld, tmp_path: Path) -> None:
    file = definition(tmp_path, SMALL)
    path = tmp_path / "mbench-results" / "small.sweep"
    path.parent.mkdir()
    hold = (
        "import sys, pathlib\nfrom mbench.core import scratch\n"
        "with scratch.only(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(mbench.__file__).parents[1])},
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=rf"small\.sweep: another process \({other.pid}\) works on it"):
            swept(file)
        assert api.sweep_status(file).count("open") == 12, "its status can be asked for"
        other.kill()
    assert swept(file).count("done") == 12
    with scratch.only(path):
        pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("mobilenet_v2_0.35_32", "mobilenet_v9"), "variant 'mobilenet_v9'"),
        (('"x86_64_v3"]', '"x86_64_v9"]'), "x86_64_v9"),
        (('"int8"', '"float16"'), "target 'x86_64_v2': target 'x86_64_v2' takes"),
        (("= 3\n", '= 3\n[devices]\nx86_64_v2 = "rpcs"'), "target 'x86_64_v2' on 'rpcs': --device 'rpcs'"),
        (("mobilenet_v2_0.35_32", "nets/*.onnx"), "networks: no file fits 'nets/*.onnx'"),
        (("compile_only = true", 'accuracies = "none.csv"\ncompile_only = true'), "none.csv: cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    world: SweepWorld, tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    file = definition(tmp_path, SMALL.replace(*change))
    with pytest.raises(mbench.MbenchError) as caught:
        swept(file)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert world.ran == []
    assert not (tmp_path / "mbench-results").exists()


def test_a_target_that_can_neither_be_measured_nor_emulated_is_refused(
    world: SweepWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'networks = ["mobilenet_v1_0.25_32"]\ntargets = ["x86_64_v2", "cuda_sm90"]\n'
    with pytest.raises(UsageError, match="target 'cuda_sm90'"):
        swept(definition(tmp_path, text))
    assert world.ran == []


def test_accuracies_of_your_own(world: SweepWorld, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("name,top1\nmobilenet_v1_0.25_32,33.3\n", encoding="utf-8")
    found = swept(definition(tmp_path, f'accuracies = "mine.csv"\n{SMALL}'))
    assert [cell.accuracy.top1_percent for cell in found.cells if cell.network.name == "mobilenet_v1_0.25_32"] == [
        33.3
    ] * 2
    eight = [cell for cell in found.cells if cell.network.name == "mobilenet_v1_0.25_32_int8"]
    assert {(cell.accuracy.top1_percent, cell.accuracy_dtype) for cell in eight} == {(33.3, "float32")}


def test_status_of_the_file_beside_the_records_and_of_their_folder(world: SweepWorld, tmp_path: Path) -> None:
    file = definition(tmp_path, SMALL)
    outcome = api.sweep(file)
    assert api.sweep_status(outcome.path).count("done") == 12
    assert api.sweep_status(outcome.path.parent).count("done") == 12
    assert mbench.sweep_status(file).cells == outcome.record.cells
    outcome.path.unlink()
    assert mbench.sweep_status(file).count("done") == 12, "it follows from the records"


def test_a_record_of_the_sweep_that_cannot_be_read_counts_as_open(world: SweepWorld, tmp_path: Path) -> None:
    file, notes = definition(tmp_path, SMALL), list[str]()
    found = swept(file)
    path = tmp_path / "mbench-results" / found.files[0].name
    path.write_bytes(path.read_bytes().replace(b'"format_version":2', b'"format_version":9'))
    lost = sum(cell.file == path.name for cell in found.cells)
    assert api.sweep_status(file, note=notes.append).count("open") == lost > 0
    assert any("newer format, update mbench; its networks count as open" in note for note in notes)
