"""`mbench report` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import record_factory as factory
from conftest import Mbench, assert_one_line

from mbench.cli.report import report
from mbench.core import record_files


def test_report_of_hostile_names(run: Mbench, tmp_path: Path) -> None:
    for number, record in enumerate((factory.record(run_id="good"), factory.hostile(factory.record(run_id="bad")))):
        record_files.write(tmp_path / f"{number}.json", record)
    outcome = run(report, tmp_path / "0.json", tmp_path / "1.json", "-o", "page.html")
    assert (outcome.code, outcome.err) == (0, "")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert [path.name for path in Path.cwd().iterdir()] == ["page.html"]


def test_report_with_a_shared_copy_of_plotly(run: Mbench, record_file: Path) -> None:
    outcome = run(report, record_file, "-o", "page.html", "--plotlyjs", "directory")
    assert (outcome.code, outcome.err) == (0, "")
    script = next(path for path in Path.cwd().iterdir() if path.name.startswith("plotly-"))
    page = Path("page.html").read_text(encoding="utf-8")
    assert f'<script src="{script.name}"></script>' in page
    assert len(page) < 1_500_000 < script.stat().st_size
    assert_one_line(run(report, record_file, "-o", "page.html", "--plotlyjs", "cdn"), "plotlyjs")


def test_report_never_overwrites_a_record(run: Mbench, record_file: Path) -> None:
    before = record_file.read_bytes()
    Path("link.json").symlink_to(record_file)
    for output in (record_file, Path("link.json")):
        assert_one_line(run(report, record_file, "-o", output), "is one of the records")
    assert record_file.read_bytes() == before


@pytest.mark.parametrize(
    ("output", "said", "code"),
    [
        ("none/page.html", "--output none/page.html: the folder none does not exist; make it first", 2),
        (".", "--output .: it is a folder, expected a file", 2),
        ("/proc/page.html", "nothing can be written into the folder /proc", 2),
    ],
)
def test_report_where_nothing_can_be_written(run: Mbench, record_file: Path, output: str, said: str, code: int) -> None:
    assert_one_line(run(report, record_file, "-o", output), said, code=code)
    assert list(Path.cwd().iterdir()) == []
