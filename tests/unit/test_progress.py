from __future__ import annotations

import io

import pytest
from rich.console import Console

from mbench.terminal import progress

NAMES = ("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_standard")
ORDER = ("compiling", "loading", "checking", "warming up", "measuring", "measuring layers", "metering energy", "done")


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=80, highlight=False, _environ={"TERM": "xterm"}), stream


def test_shares_only_grow() -> None:
    shares = [progress.share(stage, fraction) for stage in ORDER for fraction in (0.0, 0.5, 1.0)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert all(0 <= share <= 1 for share in shares)


def test_what_failed_is_over() -> None:
    assert progress.share("failed", 1.0) == 1.0


def test_a_stage_of_later_versions_does_no_harm() -> None:
    assert progress.share("thinking", 0.5) == 0.0


def test_lines_in_a_pipe() -> None:
    target, stream = console(terminal=False)
    with progress.show(target, NAMES) as shown:
        assert isinstance(shown, progress.Lines)
        for name in NAMES:
            shown.stage(name, "compiling", 0.0)
        shown.stage(NAMES[1], "compiling", 1.0)
        for fraction in (0.0, 0.5, 1.0):
            shown.stage("machine", "calibrating", fraction)
            shown.stage(NAMES[0], "measuring", fraction)
        shown.note("[bold]a remark[/bold] " + "x" * 100)
    assert stream.getvalue().splitlines() == [
        f"[1/2] {NAMES[0]}: compiling",
        f"[2/2] {NAMES[1]}: compiling",
        f"[2/2] {NAMES[1]}: compiled",
        "machine: calibrating",
        f"[1/2] {NAMES[0]}: measuring",
        "[bold]a remark[/bold] " + "x" * 100,
    ]


def test_bars_on_a_terminal() -> None:
    target, stream = console(terminal=True)
    with progress.show(target, NAMES) as shown:
        assert isinstance(shown, progress.Bars)
        shown.stage(NAMES[0], "compiling", 1.0)
        shown.stage("machine", "calibrating", 0.5)
        shown.stage(NAMES[0], "measuring", 0.5)
        done = {task.description: task.completed for task in shown.progress.tasks}
        assert done[NAMES[0]] == progress.share("measuring", 0.5) == done["all"]
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
        for stage in ORDER:
            for fraction in (0.0, 1.0):
                bars.stage(name, stage, fraction)
                assert bars.progress.tasks[0].completed <= len(NAMES)
    assert bars.progress.tasks[0].completed == len(NAMES)


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_passes_through(terminal: bool) -> None:
    target, _ = console(terminal=terminal)
    with pytest.raises(KeyboardInterrupt), progress.show(target, NAMES):
        raise KeyboardInterrupt
