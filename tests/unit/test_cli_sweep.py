"""`mbench run --sweep` and `mbench sweep` as a user runs them; the work is `mbench.api.sweep`'s, and made up here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sweep_factory
from conftest import Mbench, assert_one_line

from mbench.api import sweep as api
from mbench.cli import sweep as command
from mbench.cli.report import report
from mbench.cli.run import run as run_command
from mbench.cli.show import show
from mbench.core import sweep_files
from mbench.core.sweep_records import SweepRecord

WHOLE = sweep_factory.record()
FILE = "families.toml"


def marked(*, failed: int = 0, still_open: int = 0) -> SweepRecord:
    cells = list(WHOLE.cells)
    cells[:failed] = map(sweep_factory.failed, cells[:failed])
    cells[failed : failed + still_open] = map(sweep_factory.still_open, cells[failed : failed + still_open])
    return msgspec.structs.replace(WHOLE, cells=tuple(cells))


class Answers:
    """In place of the work: what it is asked for, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.record = WHOLE
        self.unstored: tuple[str, ...] = ()
        self.interrupted = False

    def sweep(self, file: Path, **how: Any) -> api.SweepOutcome:
        self.asked.append({"file": file, **how})
        Path("out").mkdir(exist_ok=True)
        outcome = api.SweepOutcome(self.record, Path("out/families.sweep"), self.unstored)
        if self.interrupted:
            raise api.SweepInterrupted(outcome)
        return outcome


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made = Answers()
    monkeypatch.setattr(api, "sweep", made.sweep)
    return made


def test_a_sweep_prints_where_it_stands_and_writes_its_page(run: Mbench, answers: Answers) -> None:
    outcome = run(run_command, "--sweep", FILE, "--executor", "local:2", "--no-cache", "--build-timeout", "7")
    assert outcome.code == 0
    assert "sweep families: all of its 48 cells are done" in outcome.out
    assert "MobileNetV1 wins up to" in outcome.out
    assert "page    out/families.html" in outcome.err
    assert "At the highest accuracies MobileNetV2 is fastest" in Path("out/families.html").read_text(encoding="utf-8")
    [asked] = answers.asked
    assert (asked["file"], asked["executor"], asked["use_cache"]) == (Path(FILE), "local:2", False)
    assert (asked["build_timeout_s"], asked["output"], asked["store"]) == (7, None, None)


def test_folder_and_store_of_the_command_line_win(run: Mbench, answers: Answers) -> None:
    assert run(run_command, "--sweep", FILE, "-o", "mbench-results", "--store", "s.db").code == 0
    [asked] = answers.asked
    assert (asked["output"], asked["store"]) == (Path("mbench-results"), "s.db")


def test_failed_cells_are_named_with_their_cause(run: Mbench, answers: Answers) -> None:
    answers.record = marked(failed=2)
    outcome = run(run_command, "--sweep", FILE)
    assert outcome.code == 4
    assert "2 failed" in outcome.out
    first, second = (cell.network.name for cell in WHOLE.cells[:2])
    assert f"failed: {first}, {second}: compiling: out of memory" in " ".join(outcome.out.split())


def test_an_interrupted_sweep_ends_with_130_and_has_its_page(run: Mbench, answers: Answers) -> None:
    answers.record, answers.interrupted = marked(still_open=5), True
    outcome = run(run_command, "--sweep", FILE)
    assert outcome.code == 130
    assert "43 of 48 cells are done, 5 open, about 50 s" in outcome.out
    assert "interrupted: what was measured is recorded; the same command goes on" in outcome.err
    assert Path("out/families.html").exists()


def test_records_that_a_store_did_not_take_are_reported(run: Mbench, answers: Answers) -> None:
    answers.unstored = ("the store is locked; add it with: mbench history add a.json",)
    outcome = run(run_command, "--sweep", FILE)
    assert outcome.code == 4
    assert "mbench: the store is locked; add it with: mbench history add a.json" in outcome.err


def test_quiet_prints_a_line(run: Mbench, answers: Answers) -> None:
    outcome = run(run_command, "--sweep", FILE, "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "sweep families: all of its 48 cells are done\n", "")


def test_what_the_file_says_is_not_taken_from_the_command_line(run: Mbench, answers: Answers) -> None:
    outcome = run(run_command, "mobilenet_v1", "--sweep", FILE, "--target", "host", "--dtype", "int8")
    assert_one_line(outcome, "--sweep takes what its file says; leave out NETWORK, --target, --dtype")
    assert_one_line(run(run_command, "--sweep", FILE, "--resume", "a.json"), "leave out --resume")
    assert_one_line(run(run_command, "--resume", "a.json", "--sweep", FILE), "leave out --resume")
    assert answers.asked == []


def test_status_as_json_has_every_cell(run: Mbench) -> None:
    sweep_files.write(Path("families.sweep"), marked(failed=1, still_open=2))
    outcome = run(command.sweep, "status", "families.sweep", "--json")
    assert outcome.code == 0
    data = json.loads(outcome.out)
    assert (data["done"], data["failed"], data["open"], data["left_s"]) == (45, 1, 2, 20)
    assert len(data["cells"]) == 48
    assert data["places"][0]["causes"] == [{"reason": "compiling: out of memory", "networks": ["mobilenet_v1_0.25_96"]}]
    assert data["answers"][1]["stretches"][-1]["family"] == "MobileNetV2"
    assert run(command.sweep, "status", ".").out.startswith("sweep families: 45 of 48 cells are done, 1 failed, 2 open")


def test_its_file_is_no_record(run: Mbench) -> None:
    sweep_files.write(Path("families.sweep"), WHOLE)
    assert_one_line(run(show, "families.sweep"), "families.sweep is where a sweep stands, not a record")


def test_status_of_what_is_no_sweep(run: Mbench) -> None:
    assert_one_line(run(command.sweep, "status", "none.toml"), "none.toml: cannot be read")
    assert_one_line(run(command.sweep, "status", "."), "no sweep there")


def test_its_page_is_made_again_of_the_file_and_of_the_folder(run: Mbench, record_file: Path) -> None:
    sweep_files.write(Path("families.sweep"), WHOLE)
    Path(sweep_factory.FILE).with_suffix(".html").write_text("a record's", encoding="utf-8")
    link = f'href="./{Path(sweep_factory.FILE).stem}.html#'
    for words in ((command.sweep, "report", "families.sweep"), (report, "."), (report, "families.sweep")):
        assert run(*words, "-o", "made.html").code == 0
        assert link in Path("made.html").read_text(encoding="utf-8")
        Path("made.html").unlink()
    outcome = run(report, record_file, "families.sweep", "-o", "page.html")
    assert_one_line(outcome, "families.sweep is a sweep, and has a page of its own; give it alone")
