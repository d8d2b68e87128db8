"""What commands print fits a terminal, a pipe and a program, whatever a record holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from command_process import started

from mbench.cli import printing
from mbench.core import record_files
from mbench.core.progress import RunPlan
from mbench.core.records import Record


def test_json_is_strict_and_safe_for_any_terminal(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    record_files.write(file, factory.hostile(factory.record()))
    for command in (("show", file), ("targets",), ("variants", "mobilenet_v1_0.5_160")):
        done = started(*command, "--json", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
        assert (done.returncode, done.stderr) == (0, "")
        json.loads(done.stdout, parse_constant=lambda token: pytest.fail(token))


COMMANDS = ("show record.json", "variants mobilenet_v1_0.5_160", "variants", "targets", "doctor")


@pytest.mark.parametrize(
    ("environment", "commands"), [({}, COMMANDS), ({"NO_COLOR": "1", "TERM": "dumb"}, COMMANDS[:2])]
)
def test_piped_output_is_plain_and_as_wide_as_columns_says(
    tmp_path: Path, environment: dict[str, str], commands: tuple[str, ...]
) -> None:
    record_files.write(tmp_path / "record.json", factory.record(failed=("mobilenet_v1_0.5_128",)))
    for command in commands:
        done = started(*command.split(), env=environment, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), command
        assert "\x1b" not in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 80, command


NAME = "mobilenet_v3_large_minimalistic_1.0_224_standard"


def test_a_pipe_has_lines_as_long_as_they_come(tmp_path: Path) -> None:
    record_files.write(tmp_path / "record.json", factory.record((NAME, "mobilenet_v1_0.5_160")))
    shown = started("show", "record.json", env={"COLUMNS": ""}, cwd=tmp_path)
    lines = shown.stdout.splitlines()
    rows = [line for line in lines if line.startswith(NAME)]
    assert "ok" in rows[0].split()
    assert max(map(len, lines)) > 80
    assert max(map(len, lines)) < 1000
    assert [line for line in started("targets", env={"COLUMNS": ""}).stdout.splitlines() if line.startswith(" ")] == []


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_are_forced_and_forbidden(tmp_path: Path, environment: dict[str, str], coloured: bool) -> None:
    record_files.write(tmp_path / "record.json", factory.record(failed=("mobilenet_v1_0.5_128",)))
    done = started("show", "record.json", env={"TERM": "xterm-256color", **environment}, cwd=tmp_path)
    assert bool(re.search("\x1b\\[[0-9;]*3[1-7]m", done.stdout)) == coloured


@pytest.mark.parametrize("environment", [{"FORCE_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_bars_are_drawn_where_no_cursor_moves(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not printing.console(stderr=True).is_interactive


def small() -> Record:
    record = factory.record(("mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_standard"), repeat=4, layer_repeat=3)
    results = tuple(
        msgspec.structs.replace(
            result, layers=(*result.layers[:3], msgspec.structs.replace(result.layers[-1], index=3, inputs=()))
        )
        for result in record.results
    )
    return msgspec.structs.replace(record, results=results)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything inside a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


STRANGE: tuple[Any, ...] = (
    None,
    0,
    1,
    -1,
    1e-300,
    1e300,
    2**53,
    "",
    "x",
    "\u202e\x00",
    [],
    [0],
    [0, 0, 0, 0],
    {},
    True,
)


@pytest.mark.slow
def test_whatever_is_accepted_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put strange values everywhere: a record is refused as a whole, or shown and made a page of."""
    from mbench.core.errors import RecordError
    from mbench.page import report, single_file
    from mbench.terminal import record_tables

    monkeypatch.setattr(single_file, "get_plotlyjs", lambda: "")
    plain = json.loads(record_files.encode(small()))
    accepted = 0
    layers_of_the_second = ("results", 1, "layers")  # as those of the first
    found = [path for path in places(plain) if path[:3] != layers_of_the_second]
    for number, path in enumerate(found):
        target = plain
        for part in path[:-1]:
            target = target[part]
        kept = target[path[-1]]
        for offset in range(2):
            target[path[-1]] = strange = STRANGE[(2 * number + offset) % len(STRANGE)]
            try:
                record = record_files.decode(json.dumps(plain).encode(), source="x")
            except RecordError:
                continue
            accepted += 1
            try:
                console = printing.console()
                with console.capture():
                    for part in record_tables.record_tables(record):
                        console.print(part)
                if accepted % 20 == 0:
                    report.render([record])
            except Exception as error:
                raise AssertionError(f"{'.'.join(map(str, path))} = {strange!r}") from error
        target[path[-1]] = kept
    assert accepted > 150


def test_what_is_hushed_keeps_remarks_and_shows_no_progress(capfd: pytest.CaptureFixture[str]) -> None:
    hushed = printing.Hushed()
    with hushed(("one", "two"), None, RunPlan(load_s=60.0)) as shown:
        shown.stage("one", "measuring", 0.5)
        shown.note("a remark")
    assert capfd.readouterr() == ("", "")
    assert hushed.notes == ["a remark"]
