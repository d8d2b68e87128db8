"""The files that the gate writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Mbench, assert_one_line
from gate_records import (
    FILES,
    NAME,
    Put,
    counted,
    one_layer,
    timed,
)

from mbench.core import atomic_files
from mbench.core.errors import OutputError
from mbench.gating.outputs import files

pytest_plugins = ("gate_fixtures",)


def test_every_output_is_written_whole_whatever_the_verdict(run: Mbench, base: Path, put: Put) -> None:
    for head, code in ((counted(), 0), (one_layer(counted(), instructions=10**6), 1)):
        outputs = [word for option in FILES for word in (option, f"out{option}")]
        assert run("gate", base, put(head, "head"), *outputs).code == code
        suite = ElementTree.parse("out--junit").getroot()
        assert (suite.find(".//failure") is not None) == (code == 1)
        assert isinstance(json.loads(Path("out--benchmark-action").read_text()), list)
        assert f"{NAME}/network" in json.loads(Path("out--bencher").read_text())
        assert Path("out--html").read_text().rstrip().endswith("</html>")
        assert not [file for file in Path.cwd().iterdir() if file.name.startswith(".")]


def test_markdown_is_appended_and_the_others_replaced(run: Mbench, base: Path) -> None:
    Path("summary.md").write_text("# before\n")
    for _ in range(2):
        assert run("gate", base, base, "--markdown", "summary.md", "--junit", "junit.xml").code == 0
    text = Path("summary.md").read_text()
    assert text.startswith("# before\n")
    assert len(re.findall("no regression in", text)) == 2
    ElementTree.parse("junit.xml")


@pytest.mark.parametrize("option", FILES)
def test_an_output_that_cannot_be_written_is_one_line(run: Mbench, base: Path, option: str) -> None:
    Path("folder").mkdir()
    assert_one_line(run("gate", base, base, option, "none/out"), f"{option} none/out: the folder none does not exist")
    assert_one_line(run("gate", base, base, option, "folder"), f"{option} folder: it is a folder, expected a file")


@pytest.mark.parametrize("command", ["gate", "compare"])
def test_no_output_takes_the_place_of_what_is_read(run: Mbench, base: Path, put: Put, command: str) -> None:
    head = put(timed(), "head")
    Path("mbench.toml").write_text("")
    before = base.read_bytes(), head.read_bytes()
    for path in (base, head, *(("mbench.toml",) if command == "gate" else ())):
        assert_one_line(run(command, base, head, "--html", path), f"--html {path}: that file is read")
        assert_one_line(run(command, base, head, "--markdown", path), f"--markdown {path}: that file is read")
    twice = run(command, base, head, "--markdown", "same", "--html", "same")
    assert_one_line(twice, "same: that file gets the form ", "too")
    assert (base.read_bytes(), head.read_bytes()) == before


def test_a_verdict_is_shown_although_its_file_cannot_be_written(
    run: Mbench, base: Path, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("x.html: cannot be written: No space left on device")

    worse = put(one_layer(counted(run_id="worse"), instructions=10**7), "worse")
    monkeypatch.setattr(files, "write", full)
    for head, code in ((base, 4), (worse, 1)):  # a regression stays one
        outcome = run("gate", base, head, "--html", "x.html")
        assert outcome.code == code
        assert "In all:" in outcome.out
        assert "No space left" in outcome.err


def test_one_output_that_cannot_be_written_leaves_the_others(
    run: Mbench, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = atomic_files.write_atomically

    def full(path: Path, data: bytes) -> None:
        if path.name == "x.xml":
            raise OutputError("x.xml: cannot be written: No space left on device")
        write(path, data)

    monkeypatch.setattr(atomic_files, "write_atomically", full)
    assert run("gate", base, base, "--junit", "x.xml", "--markdown", "x.md").code == 4
    assert Path("x.md").read_text()
