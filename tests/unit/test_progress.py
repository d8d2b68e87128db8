from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import pytest
from rich.console import Console

import mbench
from mbench.terminal import progress

NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_standard")
LONGEST = "mobilenet_v3_large_minimalistic_1.0_224_standard"
IN_A_SESSION = ("loading", "checking", "warming up", "measuring", "measuring layers", "metering energy", "measured")
SESSIONS = [f"{number}/3 {stage}" for number in (1, 2, 3) for stage in IN_A_SESSION]
ORDER = ("compiling", *SESSIONS, "done")
SHARES = {"measuring": 0.0, "confirming": 0.5, "done": 1.0}


def console(*, terminal: bool, width: int = 80) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    environment = {"TERM": "xterm"}
    return Console(file=stream, force_terminal=terminal, width=width, highlight=False, _environ=environment), stream


@pytest.mark.parametrize("order", [ORDER, ("compiling", *IN_A_SESSION, "done")])
def test_shares_only_grow(order: tuple[str, ...]) -> None:
    shares = [progress.share_of_run(stage, fraction) for stage in order for fraction in (0.0, 0.5, 1.0)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert all(0 <= share <= 1 for share in shares)


def test_a_bar_is_full_when_the_load_is_over_and_not_before() -> None:
    stages = [("compiling", 1.0), ("3/3 measured", 1.0), ("sustaining, 60 s left", 0.0), ("sustaining, 30 s left", 0.5)]
    shares = [progress.share_of_run(stage, fraction, loaded=True) for stage, fraction in (*stages, ("done", 1.0))]
    assert shares == pytest.approx([0.3, 0.7, 0.7, 0.85, 1.0])


def test_sessions_have_equal_shares() -> None:
    begins = [progress.share_of_run(f"{number}/5 loading", 0.0) for number in range(1, 6)]
    sessions = 1 - progress.BUILT
    assert [later - earlier for earlier, later in itertools.pairwise(begins)] == pytest.approx([sessions / 5] * 4)
    assert progress.share_of_run("again 6/7 loading", 0.0) == pytest.approx(progress.BUILT + sessions * 5 / 7)


def test_other_work_has_its_own_shares() -> None:
    assert [progress.share(stage, 0.5, SHARES) for stage in ("measuring", "confirming", "done")] == [0.25, 0.75, 1.0]


def test_what_failed_is_over() -> None:
    assert progress.share_of_run("failed", 1.0) == progress.share("failed", 0.0, SHARES) == 1.0


def test_a_stage_of_later_versions_does_no_harm() -> None:
    assert progress.share("thinking", 0.5, SHARES) == 0.0
    assert progress.share_of_run("thinking", 0.5) == progress.BUILT
    assert progress.share_of_run("9/3 thinking", 0.5) == 1.0


def run_of(shown: progress.Bars | progress.Lines, *, disturbed: int) -> None:
    """Report a run of two networks with three sessions each, of which some of the second's are repeated."""
    for name in NAMES:
        shown.stage(name, "compiling", 0.0)
    for name in reversed(NAMES):
        shown.stage(name, "compiling", 1.0)
    for fraction in (0.0, 0.5, 1.0):
        shown.stage("machine", "calibrating", fraction)
    for number in (1, 2, 3):
        for name in NAMES:
            for stage in IN_A_SESSION:
                for fraction in (0.0, 0.5, 1.0):
                    shown.stage(name, f"{number}/3 {stage}", fraction)
            shown.stage(name, f"{number}/{3 + disturbed if name == NAMES[1] else 3} measured", 1.0)
    shown.stage(NAMES[0], "done", 1.0)
    for number in range(4, 4 + disturbed):
        for stage in IN_A_SESSION:
            shown.stage(NAMES[1], f"again {number}/{3 + disturbed} {stage}", 0.0)
    shown.stage(NAMES[1], "done", 1.0)


BEGINNING = [
    f"[2/2] {NAMES[1]}: compiled",
    f"[1/2] {NAMES[0]}: compiled",
    "machine: calibrating",
    f"[1/2] {NAMES[0]}: measuring, 3 sessions",
    f"[2/2] {NAMES[1]}: measuring, 3 sessions",
    f"[1/2] {NAMES[0]}: done",
]


@pytest.mark.parametrize(
    ("disturbed", "repeated"),
    [
        (0, []),
        (1, [f"[2/2] {NAMES[1]}: 1 session was disturbed; measuring again"]),
        (2, [f"[2/2] {NAMES[1]}: 2 sessions were disturbed; measuring again"]),
    ],
)
def test_a_run_in_a_pipe_has_few_lines(disturbed: int, repeated: list[str]) -> None:
    target, stream = console(terminal=False)
    with progress.show(target, NAMES) as shown:
        run_of(shown, disturbed=disturbed)
    assert stream.getvalue().splitlines() == [*BEGINNING, *repeated, f"[2/2] {NAMES[1]}: done"]


def test_one_session_is_not_numbered_and_a_failure_is_told() -> None:
    target, stream = console(terminal=False)
    with progress.show(target, NAMES) as shown:
        for stage in IN_A_SESSION:
            shown.stage(NAMES[0], stage, 0.0)
        shown.stage(NAMES[1], "failed", 1.0)
        shown.note("[bold]a remark[/bold] " + "x" * 100)
    assert stream.getvalue().splitlines() == [
        f"[1/2] {NAMES[0]}: measuring",
        f"[2/2] {NAMES[1]}: failed",
        "[bold]a remark[/bold] " + "x" * 100,
    ]


def test_other_work_in_a_pipe_has_a_line_a_stage() -> None:
    target, stream = console(terminal=False)
    with progress.show(target, NAMES, SHARES) as shown:
        for stage in ("measuring", "confirming", "done"):
            for fraction in (0.0, 0.5, 1.0):
                shown.stage(NAMES[0], stage, fraction)
    assert stream.getvalue().splitlines() == [
        f"[1/2] {NAMES[0]}: {each}" for each in ("measuring", "confirming", "done")
    ]


def test_bars_on_a_terminal() -> None:
    target, stream = console(terminal=True)
    with progress.show(target, NAMES) as shown:
        assert isinstance(shown, progress.Bars)
        shown.stage(NAMES[0], "compiling", 1.0)
        shown.stage("machine", "calibrating", 0.5)
        shown.stage(NAMES[0], "2/3 measuring", 0.5)
        done = {task.description: task.completed for task in shown.progress.tasks}
        assert done[NAMES[0]] == progress.share_of_run("2/3 measuring", 0.5) == done["all"]
        shown.stage(NAMES[0], "done", 1.0)
        shown.stage(NAMES[1], "failed", 1.0)
        assert shown.progress.finished
        shown.note("[nope] a remark")
    said = stream.getvalue()
    assert "[nope] a remark" in said
    assert NAMES[1] in said


def test_bars_never_count_more_than_there_is() -> None:
    target, _ = console(terminal=True)
    bars = progress.Bars(target, NAMES)
    for name in NAMES:
        for stage in (*ORDER, "again 4/5 measuring", "done"):
            for fraction in (0.0, 1.0):
                bars.stage(name, stage, fraction)
                assert bars.progress.tasks[0].completed <= len(NAMES)
    assert bars.progress.tasks[0].completed == len(NAMES)


def test_a_bar_goes_back_only_where_more_sessions_are_expected() -> None:
    bars = progress.Bars(console(terminal=True)[0], NAMES)
    seen = []
    for stage in ("2/5 metering energy", "2/5 measuring layers", "3/5 loading", "4/7 loading", "5/7 loading"):
        bars.stage(NAMES[0], stage, 0.0)
        seen.append(bars.progress.tasks[1].completed)
    assert seen[0] == seen[1] < seen[2]
    assert seen[3] == progress.share_of_run("4/7 loading", 0.0) < seen[4]
    for stage in ("7/7 measured", "loading", "sustaining, 20 s left"):
        bars.stage(NAMES[0], stage, 0.0)
        assert bars.progress.tasks[1].completed == 1.0


def drawn(bars: progress.Bars, width: int = 80) -> list[str]:
    target, stream = console(terminal=False, width=width)
    target.print(bars.progress.get_renderable())
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_time_left_stands_beside_the_bar_over_all() -> None:
    now = [0.0]
    bars = progress.Bars(console(terminal=True)[0], NAMES, clock=lambda: now[0])
    for name, fraction in ((NAMES[0], 0.0), (NAMES[1], 0.0), (NAMES[0], 1.0)):
        bars.stage(name, "compiling", fraction)
    now[0] = 20.0
    assert drawn(bars)[0].endswith("0:20  compiled 1/2")
    now[0] = 30.0
    bars.stage("machine", "calibrating", 0.0)
    assert drawn(bars)[0].endswith("0:30  calibrating")
    for name in NAMES:
        bars.stage(name, "1/3 measuring", 0.0)
        now[0] += 25.0
    bars.stage(NAMES[0], "2/3 measuring layers", 0.0)
    first, of_first, of_second = drawn(bars)
    assert first.endswith("1:20  1:40 left")  # four sessions of 25 s
    assert of_first.split()[-2:] == ["2/3", "layers"]
    assert "left" not in of_first + of_second
    for name in NAMES:
        bars.stage(name, "done", 1.0)
    assert "left" not in drawn(bars)[0]


def test_other_work_has_a_time_left_too() -> None:
    now = [0.0]
    bars = progress.Bars(console(terminal=True)[0], NAMES, SHARES, clock=lambda: now[0])
    bars.stage(NAMES[0], "measuring", 0.0)
    now[0] = 60.0
    bars.stage(NAMES[0], "confirming", 0.0)
    assert drawn(bars)[0].endswith("1:00  3:00 left")


def test_of_many_networks_only_the_one_that_is_measured_has_a_bar() -> None:
    names = [f"mobilenet_v1_0.25_{side}" for side in range(32, 32 + 16)]
    bars = progress.Bars(console(terminal=True)[0], names)
    for name in names:
        bars.stage(name, "compiling", 1.0)
    assert len(drawn(bars)) == 1
    for name in names:
        bars.stage(name, "1/5 measuring", 0.5)
        assert [line.split()[0] for line in drawn(bars)[1:]] == [name]
        bars.stage(name, "1/5 measured", 1.0)


def test_the_longest_name_is_not_cut_in_80_columns() -> None:
    bars = progress.Bars(console(terminal=True)[0], (LONGEST,))
    bars.stage(LONGEST, "again 6/7 measuring layers", 0.0)
    [_, line] = drawn(bars)
    assert line.startswith(f"{LONGEST} ")
    assert line.endswith("again 6/7 layers")
    assert len(line) <= 80


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0:00"), (65.2, "1:05"), (3605.0, "1:00:05")])
def test_times_are_written_as_on_a_clock(seconds: float, said: str) -> None:
    assert progress.clock_time(seconds) == said


def test_every_stage_that_a_device_reports_has_its_share() -> None:
    folder = Path(mbench.__file__).parent / "devices"
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    told = set(re.findall(r'\b(?:send|report)\("([a-z ]+)"', sources))
    assert {"loading", "counting", "measuring layers", "metering energy"} <= told
    assert told - {"calibrating"} <= set(progress.SESSION_SHARES)


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_passes_through(terminal: bool) -> None:
    target, _ = console(terminal=terminal)
    with pytest.raises(KeyboardInterrupt), progress.show(target, NAMES):
        raise KeyboardInterrupt


def test_a_network_under_load_has_its_sessions_behind_it() -> None:
    assert progress.share_of_run("5/5 measured", 1.0) == progress.share_of_run("sustaining, 55 s left", 0.1) == 1.0
