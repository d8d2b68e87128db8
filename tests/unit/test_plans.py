from __future__ import annotations

from pathlib import Path

import msgspec
from tuning_world import timing

from mbench.tuning.plans import Begun, Candidate, Read, read_log


def candidate(**parameters: int) -> Candidate:
    return Candidate(rule="cpu.matmul", parameters=parameters)


def test_a_tile_is_all_but_how_work_is_shared_among_threads() -> None:
    assert candidate(rows=4, tasks=2, row_parts=3).tile == candidate(tasks=8, rows=4, row_parts=1).tile
    assert candidate(rows=4).tile != candidate(rows=6).tile
    assert str(candidate(rows=4, tasks=2)) == "cpu.matmul rows=4 tasks=2"


def log(file: Path, *entries: Begun | Read, cut: bytes = b"") -> Path:
    file.write_bytes(b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries) + cut)
    return file


def test_a_log_tells_what_was_timed_and_what_the_process_died_in(tmp_path: Path) -> None:
    done = Read(number=0, refused="wrong output")
    file = log(tmp_path / "log", Begun(number=0), done, Begun(number=1))
    assert read_log(file) == ([done], 1)
    assert read_log(log(tmp_path / "log", Begun(number=0), done)) == ([done], None)


def test_a_line_that_is_cut_short_is_left_out(tmp_path: Path) -> None:
    file = log(tmp_path / "log", Begun(number=3), cut=msgspec.json.encode(Read(number=3))[:-4])
    assert read_log(file) == ([], 3)


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none") == ([], None)


def test_a_tile_is_all_but_the_shares() -> None:
    def tile(**parameters: int) -> tuple[object, ...]:
        return Candidate(rule="r", parameters=parameters).tile

    assert (
        tile(rows=1, row_parts=2, tasks=3) == tile(row_parts=9, tasks=8, rows=1) != tile(rows=2, row_parts=2, tasks=3)
    )


def test_the_log_of_a_process_that_died(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_log(log) == ([], None)
    begun, read = (msgspec.json.encode(line) + b"\n" for line in (Begun(number=0), Read(number=0, timing=timing(1.0))))
    log.write_bytes(begun + read)
    assert read_log(log) == ([Read(number=0, timing=timing(1.0))], None)
    log.write_bytes(begun + read + msgspec.json.encode(Begun(number=1)) + b"\n" + read[:20])
    assert read_log(log) == ([Read(number=0, timing=timing(1.0))], 1)
