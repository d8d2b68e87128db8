"""A record and a verdict whose every string is hostile, in every output: nothing of it is a command to anything."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
import record_factory as factory
import verdict_factory
from conftest import Mbench

from mbench.cli import printing
from mbench.core import plain, record_files, records, resources
from mbench.gating import verdict as judging
from mbench.gating.comparison import Verdict
from mbench.gating.outputs import bencher, benchmark_action, junit, markdown, page, terminal
from mbench.terminal import progress, record_tables

COMMANDS = ("::stop-commands::t", "##[group]g", "##vso[task.complete]", "section_start:0:a\r\x1b[0K")
HOSTILE = (
    COMMANDS[0] + "\n" + "\r\n".join(COMMANDS) + "\n  " + COMMANDS[0] + "\x1b]0;owned\x07\x1b[2J\x9b31m\x85\x00\x7f"
    "\u202e\u2066\u200b\u2028\ufffe<script>alert(1)</script>`|\t"
)
OWN = re.compile(r"::(error|warning|notice) title=[^:]*::")
"""Commands that mbench writes itself, with --annotations."""


def spoiled(value: Any, counter: Iterator[int]) -> Any:
    """Return a document with every string hostile that may be any string, each another."""
    if isinstance(value, str):
        return f"{HOSTILE}{next(counter)}"
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            changed = msgspec.structs.replace(value, **{name: spoiled(getattr(value, name), counter)})
            try:
                msgspec.convert(msgspec.to_builtins(changed), type(value))
            except msgspec.ValidationError:  # a word of the format's own
                continue
            value = changed
        return value
    if isinstance(value, dict):
        return {spoiled(key, counter): spoiled(item, counter) for key, item in value.items()}
    return type(value)(spoiled(item, counter) for item in value) if isinstance(value, list | tuple) else value


def hostile_record() -> records.Record:
    whole = factory.counted(factory.on_gpu(factory.on_board(factory.record(repeat=4, layer_repeat=3, failed=["x"]))))
    few = tuple(msgspec.structs.replace(result, layers=result.layers[:3]) for result in whole.results)
    made: records.Record = spoiled(msgspec.structs.replace(whole, results=few), iter(range(10**9)))
    linked = tuple(msgspec.structs.replace(each, layers=factory.chained(each.layers)) for each in made.results)
    made = msgspec.structs.replace(made, results=linked)
    names = tuple(each.variant.name for each in made.results) + tuple(each.variant for each in made.failures)
    return msgspec.structs.replace(made, settings=msgspec.structs.replace(made.settings, variants=names))


def hostile_verdict() -> Verdict:
    made: Verdict = spoiled(verdict_factory.regressed(), iter(range(10**9)))
    return made


def assert_harmless(text: str, *, also: str = "") -> None:
    """Fail if a terminal or a CI would obey something in a text, or show it as something else than it is."""
    raw = {char for char in text if not char.isprintable() and char not in f"\n{also}"}
    assert not raw, sorted(map(ascii, raw))
    assert not re.search(r"##\w*\[", text)
    for line in text.splitlines():
        assert not re.match(r"\s*(::|section_(start|end):)", line) or OWN.match(line), line


# -------------------------------------------------------------------------------------------------------------- records
@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    record_files.write(tmp_path / "record.json", hostile_record())
    return tmp_path / "record.json"


def test_the_record_is_hostile(record_file: Path) -> None:
    """The tests below would pass on one that is not."""
    text = record_file.read_text(encoding="utf-8")
    assert text.count("::stop-commands::") > 500
    assert "\u202e" in text


def test_a_record_on_the_terminal(run: Mbench, record_file: Path) -> None:
    for command in (("show", record_file), ("show", record_file, "--json")):
        outcome = run(*command)
        assert outcome.code == 0
        assert_harmless(outcome.out)
        assert_harmless(outcome.err)
    assert json.loads(outcome.out) == json.loads(record_file.read_bytes())


def test_tables_are_as_wide_as_they_look(record_file: Path) -> None:
    console = printing.console()
    with console.capture() as captured:
        for part in record_tables.record_tables(plain.cleaned(record_files.read(record_file))):
            console.print(part)
    assert max(map(len, captured.get().splitlines())) <= 80


def test_a_page_of_records(run: Mbench, record_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    record_files.write(other, factory.hostile(factory.record()))
    assert run("report", record_file, other, "-o", "page.html", "--plotlyjs", "directory").code == 0
    text = Path("page.html").read_text(encoding="utf-8")
    for asset in ("page.css", "page.js"):
        text = text.replace((resources.data_dir("reports") / asset).read_text(encoding="utf-8"), "")
    assert "alert(1)" in text
    assert "<script>alert(1)" not in text
    raw = {char for char in text if not char.isprintable() and char not in "\n\xa0"}  # headlines have that space
    assert not raw, sorted(map(ascii, raw))
    figures = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    assert figures
    for figure in figures:
        shown = json.dumps(json.loads(figure), ensure_ascii=False)
        assert not re.search(r"\\u[0-9a-f]{4}|\\[bfrt]", shown.replace(r"\\", ""))
        assert all(char.isprintable() or char == "\xa0" for char in shown)


def test_a_table_for_spreadsheets() -> None:
    from mbench.page import report

    record = hostile_record()
    host = msgspec.structs.replace(record.host, name="=cmd|' /C calc'!A0")
    table = report._csv([plain.cleaned(msgspec.structs.replace(record, host=host))]).decode()
    assert_harmless(table.replace("::", "").replace("##", "").replace("section_", ""))
    assert "'=cmd|" in table
    assert ",=cmd|" not in table


# ------------------------------------------------------------------------------------------------------------- verdicts
FORMATS = ("junit", "markdown", "benchmark-action", "bencher", "html")


def test_a_verdict_in_every_output(run: Mbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(judging, "judge", lambda *_: hostile_verdict())
    good = tmp_path / "good.json"
    record_files.write(good, factory.record())
    printed = run("gate", good, good, "--annotations", *(f"--{name}={name}.out" for name in FORMATS))
    assert printed.code in (1, 4)
    assert_harmless(printed.out)
    assert len([line for line in printed.out.splitlines() if OWN.match(line)]) > 5
    document = run("gate", good, good, "--json").out
    assert_harmless(document)
    assert json.loads(document)["headline"].startswith("::stop-commands::")
    for name in FORMATS:
        text = Path(f"{name}.out").read_text(encoding="utf-8")
        raw = {char for char in text if not char.isprintable() and char != "\n"}
        assert not raw, (name, sorted(map(ascii, raw)))
        assert "<script>" not in text or name in ("bencher", "benchmark-action", "markdown"), name
    ElementTree.parse("junit.out")
    for name in ("bencher", "benchmark-action"):
        json.loads(Path(f"{name}.out").read_bytes())


@pytest.mark.parametrize("document", [hostile_verdict(), hostile_verdict().comparison])
def test_a_comparison_in_every_output(document: Any) -> None:
    console = printing.console()
    with console.capture() as captured:
        for part in terminal.render(document):
            console.print(part)
    verdict = hostile_verdict()
    rendered = (
        plain.harmless(captured.get()), page.render(document).decode(), markdown.render(document),
        junit.render(verdict).decode(), bencher.render(verdict).decode(), benchmark_action.render(verdict).decode(),
    )  # fmt: skip
    for text in rendered:
        assert not {char for char in text if not char.isprintable() and char != "\n"}


# ------------------------------------------------------------------------------------------------------- what is listed
NAME = "a\x1b[31m\u202e\x85##[group]"


@pytest.fixture
def targets_dir(tmp_path: Path) -> Path:
    """Return a folder with a target whose strings are hostile, in a folder whose name is."""
    own = (resources.data_dir("targets") / "x86_64_v2" / "target.toml").read_text(encoding="utf-8")
    texts = iter(range(10**9))
    keys = r"\b(source|estimate|description)"
    own = re.sub(rf'{keys} = "[^"]*"', lambda found: f"{found[1]} = {json.dumps(HOSTILE + str(next(texts)))}", own)
    own = re.sub(r'(?m)^name = ".*"', lambda _: f"name = {json.dumps(NAME)}", own)
    own = re.sub(r"(?m)^aliases = .*", lambda _: f"aliases = [{json.dumps(HOSTILE)}]", own)
    (tmp_path / "targets" / NAME).mkdir(parents=True)
    (tmp_path / "targets" / NAME / "target.toml").write_text(own.replace("\x7f", "\\u007f"), encoding="utf-8")
    return tmp_path / "targets"


def test_what_is_listed(run: Mbench, targets_dir: Path) -> None:
    for command in (("targets",), ("targets", NAME)):
        for form in ((), ("--json",)):
            outcome = run(*command, "--targets", targets_dir, *form)
            assert (outcome.code, outcome.err) == (0, ""), command
            assert "stop-commands" in outcome.out
            assert_harmless(outcome.out)


WORDS = (
    "show {}", "report {} -o page.html", "gate {} {}", "compare {} {}", "targets {}", "targets --targets {}",
    "variants {}", "run {}", "run --target {}", "run --device {}", "run --dtype {}", "run --output {}/x", "run --{}",
    "run --threads {}", "run --resume {}", "tune {}", "device add {} --rpc h:1", "device add x --rpc {}",
    "device add x --tracker h:1 --key {}", "device remove {}", "device serve --target {}", "{}",
    "gate {} {} --threshold {}", "gate {} {} --accepted {}", "run --batch {}",
)  # fmt: skip


@pytest.mark.parametrize("command", WORDS)
def test_error_messages(run: Mbench, command: str) -> None:
    hostile = HOSTILE.replace("\x00", "")
    outcome = run(*(word.replace("{}", hostile) for word in command.split()))
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert_harmless(outcome.err)


def test_files_that_are_none(run: Mbench, tmp_path: Path) -> None:
    """What is wrong in a file is quoted in a message."""
    text = json.dumps(HOSTILE)
    (tmp_path / "record.json").write_text(f'{{"format_version": {text}}}')
    (tmp_path / "field.json").write_text(f'{{"format_version": 1, {text}: 1}}')
    (tmp_path / "gate.toml").write_text(f"[gate.thresholds]\n{text} = {text}\n".replace("\x7f", ""))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "devices.toml").write_text(f"format_version = 1\n[devices.{text}]\n".replace("\x7f", ""))
    record_files.write(tmp_path / "good.json", factory.record())
    good = tmp_path / "good.json"
    for command in (
        ("show", tmp_path / "record.json"), ("show", tmp_path / "field.json"), ("device", "list"),
        ("gate", good, good, "--config", tmp_path / "gate.toml"),
    ):  # fmt: skip
        outcome = run(*command)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1), command
        assert_harmless(outcome.err)
    assert_harmless(run("doctor").out)


def test_progress(run: Mbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mbench.hardware import host
    from mbench.pipeline import runner

    unfinished = factory.record(factory.PAIR[:1], failed=factory.PAIR[1:])
    record_files.write(tmp_path / "record.json", msgspec.structs.replace(unfinished, host=host.describe()))

    def measure(job: Any, shown: progress.Lines) -> None:
        shown.stage(HOSTILE, HOSTILE, 0.5)
        shown.note(HOSTILE)
        record_files.write(job.path, job.before)

    monkeypatch.setattr(runner, "run", measure)
    outcome = run("run", "--resume", tmp_path / "record.json")
    assert outcome.err.count("stop-commands") > 5
    assert_harmless(outcome.err)


# ------------------------------------------------------------------------------------------------------- text by itself
def test_two_names_stay_two() -> None:
    assert plain.line("a\x1bb") == r"a\x1bb"
    assert plain.line(os.fsdecode(b"a\xff\n")) == r"a\xff "
    assert plain.line("\u202e") == r"\u202e"
    assert plain.visible("µ é 日本 — ✓\n") == "µ é 日本 — ✓\n"


@pytest.mark.parametrize(
    "text", ["plain", "it's", '$(x) `y` \\ "z"', os.fsdecode(b"\xff\x1b'\\\n\xe2\x80\xae"), "", "-n é"]
)
def test_a_shell_reads_a_quoted_word_as_it_was(text: str) -> None:
    command = f"printf '%s.' {plain.quoted(text)}"
    said = subprocess.run(["bash", "-c", os.fsencode(command)], capture_output=True, check=True).stdout
    assert said == os.fsencode(text) + b"."
    assert all(char.isprintable() for char in plain.quoted(text))


@pytest.mark.parametrize("text", [HOSTILE, "😀\udcff", "\\u0041 ##[x]", "##vso[a]"])
def test_json_says_the_same_in_ascii(text: str) -> None:
    document = json.dumps({"a": [text, text]}, ensure_ascii=False, indent=1)
    found = plain.ascii_json(document)
    assert json.loads(found) == {"a": [text, text]}
    assert found.isascii()
    assert_harmless(found)


def test_commands_are_found_where_a_ci_finds_them() -> None:
    assert plain.harmless("::a::\n x ::b::\n\x1b[1m::c::") == "\\x3a:a::\n x ::b::\n\x1b[1m\\x3a:c::"
    assert plain.harmless("::a::\n::b::", at_start=False) == "::a::\n\\x3a:b::"
    assert plain.harmless("x ##[a] ##vso[b] ## c [d]") == "x #\\x23[a] #\\x23vso[b] ## c [d]"
    assert plain.harmless("section_start:1:x") == "\\x73ection_start:1:x"
