"""Farms of real boards: three behind a tracker, of which one is killed and one hangs; one in a place of a labgrid."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import board_server as serving
import labgrid_site
import msgspec
import psutil
import pytest
from board_server import Serving, mbench_server
from conftest import require
from rpc_plans import FEW
from running_mbench import TARGET

import mbench
from mbench.build import builders
from mbench.core.artifact import Artifact
from mbench.core.errors import UsageError
from mbench.core.progress import Progress, Report, RunPlan, silent
from mbench.core.records import Failure, Record
from mbench.devices import farm_file
from mbench.devices.farm import DeviceFarm, FarmDone, FarmDoubted, FarmEvent, HowToHold
from mbench.devices.farm_board import FarmBoard, Reference
from mbench.devices.farm_tasks import FarmTask
from mbench.hardware import targets
from mbench.measure.observation import Observation
from mbench.networks import variants
from mbench.pipeline import farming

pytest_plugins = ("rpc_fixtures",)
pytestmark = pytest.mark.slow

NETWORK = "mobilenet_v1_0.25_32"
RULES = f"""\
format_version = 1
reference = "{NETWORK}"
reference_sessions = 2
patience_s = 8
max_slowdown = 100
peaks = false
"""


@pytest.fixture(scope="module", autouse=True)
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifact]:
    """Build the one network of these tests, in the cache that their runs use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBENCH_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        variant = variants.parse(NETWORK)
        target = targets.for_threads(targets.load(TARGET), 1)
        with silent([NETWORK]) as progress:
            found = builders.build_all([variant], target, progress.stage, use_cache=True)[NETWORK]
        assert not isinstance(found, Failure)
        yield found[0]


class When(Progress):
    """Keeps what is said, and does something once so many networks are being measured."""

    def __init__(self, number: int, do: Callable[[], object]) -> None:
        self.notes: list[str] = []
        self._measuring: set[str] = set()
        self._number, self._do = number, do

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        if variant.startswith(NETWORK) and stage.endswith("measuring") and variant not in self._measuring:
            self._measuring.add(variant)
            if len(self._measuring) == self._number:
                self._do()

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextlib.contextmanager
    def shown(
        self, _names: Sequence[str], _shares: Mapping[str, float] | None = None, _plan: RunPlan | None = None, /
    ) -> Iterator[Progress]:
        yield self


def suspend(server: Serving) -> None:
    for process in (psutil.Process(server.process.pid), *server.sessions()):
        process.suspend()


def kill(server: Serving) -> None:
    for process in (psutil.Process(server.process.pid), *server.sessions()):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def many(made: Artifact, number: int) -> list[FarmTask]:
    """Return tasks that are all of one library, under names of their own."""
    names = [f"{NETWORK}_{index}" for index in range(number)]
    variant, manifest = made.manifest.variant, made.manifest
    named = [msgspec.structs.replace(variant, name=name) for name in names]
    return [
        FarmTask(dataclasses.replace(made, manifest=msgspec.structs.replace(manifest, variant=each))) for each in named
    ]


def story(events: Sequence[FarmEvent]) -> list[str]:
    """Return what became of tasks."""
    said = []
    for event in events:
        if isinstance(event, FarmDoubted):
            said.append(f"{event.board.name} doubted: {event.reason}")
        elif isinstance(event, FarmDone):
            said.append(f"{event.task.name} done on {event.board.name}")
        else:
            said.append(f"{event.task.name} lost: {event.task.reason}")
    return said


def once(board: FarmBoard, task: FarmTask, report: Report) -> Sequence[Observation]:
    return (board.measure(task.artifact, FEW, report),)


def test_one_is_killed_one_hangs_and_both_are_named_while_the_third_does_all(
    program: Path, made: Artifact, tmp_path: Path
) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    path, target = tmp_path / "farm.toml", targets.load(TARGET)
    with serving.tvm_tracker() as tracker, contextlib.ExitStack() as stack:
        where = f"127.0.0.1:{tracker.port}"
        killed, hung, left = (
            stack.enter_context(mbench_server(program, "--tracker", where, "--key", "board")) for _ in range(3)
        )
        serving.wait_for_devices(tracker, {"board": 3})
        group = f'[devices.rack]\ntracker = "{where}"\nkey = "board"\ncount = 3\ntargets = ["{TARGET}"]\n'
        path.write_text(f"{RULES}pause_s = 300\n{group}")
        rules, reference = farm_file.read(path), Reference(artifact=made, plan=lambda: FEW)

        def trouble() -> None:
            kill(killed)
            suspend(hung)

        when = When(3, trouble)
        boards = [FarmBoard(plan, reference, rules) for plan in farming.plans(path, rules, TARGET, when.note)]
        how = HowToHold(target=target, lock_dir=tmp_path, timeout_s=60.0)
        farm = DeviceFarm(boards, rules, how, prepare=lambda *_: None, work=once)
        tasks = many(made, 5)
        events = list(farm.measure(tasks, when))
    assert all(isinstance(event, FarmDone) for event in events), "\n".join([*story(events), *when.notes])
    done = [event for event in events if isinstance(event, FarmDone)]
    assert sorted(event.task.name for event in done) == sorted(task.name for task in tasks)
    assert all(seen.numerics.passed and seen.latency_s for event in done for seen in event.seen)
    names = {server.port: f"rack@127.0.0.1:{server.port}" for server in (killed, hung, left)}
    aside = {board.name: board.set_aside[0].reason for board in boards if board.set_aside}
    assert set(aside) == {names[killed.port], names[hung.port]}
    assert any(said in aside[names[hung.port]] for said in ("silent for", "did not give", "no answer from")), aside
    assert any(said in aside[names[killed.port]] for said in ("has lost", "was lost", "nobody listens"))
    assert [event.board.name for event in done][-1] == names[left.port]
    said = [note.partition(": set aside")[0] for note in when.notes if ": set aside: " in note]
    assert sorted(said) == sorted(aside)


def test_a_hung_board_in_a_place_of_labgrid_is_switched_off_and_on_and_taken_back(
    program: Path, tmp_path: Path
) -> None:
    for name in ("labgrid-client", "labgrid-coordinator", "labgrid-exporter"):
        require(labgrid_site.program(name), f"{name} is not installed")
    port = str(serving.free_port())
    with contextlib.ExitStack() as stack:
        start = contextlib.ExitStack()
        stack.callback(start.close)
        switches: list[bool] = []

        def on() -> Serving:
            said = r"mbench-server: listening on 127\.0\.0\.1:(\d+)"
            return start.enter_context(serving.started(program, "--port", port, says=said))

        def switched(powered: bool) -> None:
            switches.append(powered)
            if powered:
                on()
            else:
                kill(board)

        board = on()
        site = stack.enter_context(labgrid_site.site(tmp_path, "shelf", switched))
        farm = tmp_path / "farm.toml"
        farm.write_text(
            f'{RULES}pause_s = 1\n[labgrid]\ncoordinator = "{site.address}"\n'
            f'[devices.one]\nrpc = "127.0.0.1:{port}"\nplace = "shelf"\ntargets = ["{TARGET}"]\n'
        )
        held: list[str] = []

        def hang() -> None:
            suspend(board)
            held.append(site.client("who"))

        when = When(1, hang)
        options = mbench.RunOptions(
            device=str(farm), threads=1, sessions=2, repeat=3, timeout_s=60.0, output=tmp_path / "results"
        )
        record = mbench.run(NETWORK, target=TARGET, options=options, display=when.shown)
        free = site.client("who")
    assert_measured(record)
    assert switches == [False, True]
    [device] = record.farm.devices if record.farm else []
    [event] = device.set_aside
    assert event.returned, when.notes
    assert "was silent for" in event.reason
    assert any("power of its place shelf was cycled" in note for note in when.notes)
    assert "shelf" in held[0]
    assert "shelf" not in free


def assert_measured(record: Record) -> None:
    assert record.failures == ()
    [result] = record.results
    assert (record.device.kind, result.device) == ("farm", "one")
    assert result.end_to_end.latency_s
    assert record.farm is not None
    assert len(record.farm.first_s("one")) == 2
    assert record.farm.devices[0].machine is not None


def test_a_tracker_without_devices_is_refused_in_a_line(tmp_path: Path) -> None:
    require(serving.has_tracker(), "TVM's tracker needs tornado")
    path = tmp_path / "farm.toml"
    with serving.tvm_tracker() as tracker:
        serving.wait_for_devices(tracker, {})
        where = f"127.0.0.1:{tracker.port}"
        path.write_text(
            f'{RULES}[devices.rack]\ntracker = "{where}"\nkey = "board"\ncount = 3\ntargets = ["{TARGET}"]\n'
        )
        with pytest.raises(UsageError) as caught:
            list(farming.plans(path, farm_file.read(path), TARGET, lambda _: None))
    assert str(caught.value) == f"devices.rack: the tracker {where} has no device with the key 'board'"
