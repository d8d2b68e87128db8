"""Places of labgrid by its own program: what is called, and what is made of its refusals. The real one is in
`tests/integration/test_farm_boards.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mbench.core.errors import MeasureError, UsageError
from mbench.devices import labgrid
from mbench.devices.labgrid import LabgridPlace


def program(folder: Path, **answers: str) -> str:
    """Return a program that keeps its words and answers a command with Python code."""
    file = folder / "labgrid-client"
    cases = "".join(f"if {word.replace('_', '-')!r} in words:\n    {code}\n" for word, code in answers.items())
    file.write_text(
        f"#!{sys.executable}\nimport sys, time\nwords = sys.argv[1:]\n"
        f"print(' '.join(words), file=open({str(folder / 'called')!r}, 'a'))\n{cases}"
    )
    file.chmod(0o755)
    return str(file)


def never() -> bool:
    return False


def called(folder: Path) -> list[str]:
    return (folder / "called").read_text().splitlines()


def place(folder: Path, config: Path | None = None, **answers: str) -> LabgridPlace:
    known = {"reserve": "print('export LG_TOKEN=ABC123')", **answers}
    return LabgridPlace("shelf", "lab:20408", config, program=program(folder, **known))


def test_a_place_is_reserved_acquired_and_released(tmp_path: Path) -> None:
    told: list[str] = []
    shelf = place(tmp_path)
    shelf.acquire(told.append, 60.0, never)
    shelf.release()
    assert called(tmp_path) == [
        "-x lab:20408 reserve --shell name=shelf",
        "-x lab:20408 wait ABC123",
        "-x lab:20408 -p +ABC123 acquire",
        "-x lab:20408 -p shelf release",
        "-x lab:20408 cancel-reservation ABC123",
    ]
    assert told == ["waiting for the place shelf of labgrid"]


def test_its_power_is_cycled_with_the_sites_drivers(tmp_path: Path) -> None:
    place(tmp_path, tmp_path / "env.yaml").cycle()
    assert called(tmp_path) == [f"-x lab:20408 -c {tmp_path}/env.yaml -p shelf power cycle"]


def test_what_the_program_says_is_one_line_with_place_and_coordinator(tmp_path: Path) -> None:
    shelf = place(tmp_path, acquire="sys.exit('noise\\nlabgrid-client: error: place shelf is broken\\x1b[31m')")
    with pytest.raises(MeasureError) as caught:
        shelf.acquire(lambda _: None, 60.0, never)
    assert str(caught.value) == "place shelf of labgrid at lab:20408: place shelf is broken\ufffd[31m"
    shelf.release()
    assert called(tmp_path)[-1].endswith("cancel-reservation ABC123")
    assert not any(line.endswith(" release") for line in called(tmp_path))


def test_who_waits_in_vain_is_told_so(tmp_path: Path) -> None:
    shelf = place(tmp_path, wait="time.sleep(600)")
    with pytest.raises(MeasureError, match=r"somebody kept it for 0\.1 s"):
        shelf.acquire(lambda _: None, 0.1, never)


def test_waiting_ends_when_the_run_does(tmp_path: Path) -> None:
    shelf, over = place(tmp_path, wait="time.sleep(600)"), list[str]()
    with pytest.raises(MeasureError, match="place shelf of labgrid at lab:20408: the run has ended"):
        shelf.acquire(over.append, 600.0, lambda: bool(over))
    shelf.release()  # to its end, although the run is over
    assert called(tmp_path)[-1].endswith("cancel-reservation ABC123")


def test_a_place_that_is_being_acquired_when_the_run_ends_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labgrid, "_POLL_S", 0.01)
    acquiring = tmp_path / "acquiring"
    shelf = place(tmp_path, acquire=f"open({str(acquiring)!r}, 'w').close(); time.sleep(0.1)")
    shelf.acquire(lambda _: None, 600.0, acquiring.exists)
    shelf.release()
    assert any(line.endswith("-p shelf release") for line in called(tmp_path))


def test_an_answer_without_a_token_is_said(tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="expected a token"):
        place(tmp_path, reserve="print('hello')").acquire(lambda _: None, 60.0, never)


def test_without_the_program_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=r"pip install 'mobilenet-bench\[farm\]'"):
        labgrid.client()
    with pytest.raises(MeasureError, match="cannot be started: No such file or directory"):
        LabgridPlace("shelf", "lab:20408", program=str(tmp_path / "gone")).cycle()
