"""What sessions took in earlier runs: kept by kind of run, and drawn out over sizes by a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.core import session_times
from mbench.core.session_times import SessionTime


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_a_kind_of_run_knows_its_own_alone() -> None:
    assert session_times.known(("host", 1)) == ()
    session_times.add(("host", 1), [SessionTime(100, 2.0)])
    session_times.add(("host", 1), [SessionTime(200, 3.0)])
    session_times.add(("host", 1), [])
    assert session_times.known(("host", 1)) == (SessionTime(100, 2.0), SessionTime(200, 3.0))
    assert session_times.known(("host", 2)) == ()


def test_the_oldest_are_forgotten() -> None:
    for at in range(30):
        session_times.add("kind", [SessionTime(at, 1.0)] * 10)
    found = session_times.known("kind")
    assert (len(found), found[0].macs) == (200, 10)


def test_a_damaged_file_is_as_none(cache: Path) -> None:
    session_times.add("kind", [SessionTime(1, 1.0)])
    [file] = cache.rglob("*.json")
    file.write_text("[1]")
    assert session_times.known("kind") == ()


def test_what_only_the_first_session_does_is_told_apart() -> None:
    assert session_times.of(7, [8.0, 2.0, 2.5, 3.0], 4) == SessionTime(7, 2.5, 5.5)
    assert session_times.of(7, [2.0, 2.5], 2) == SessionTime(7, 2.5, 0.0)
    assert session_times.of(7, [8.0], 1) == SessionTime(7, 8.0)
    assert session_times.of(7, [2.0] * 7, 5).repeated == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(100, 2.0)], {0: 2.0, 500: 2.0}),
        ([(0, 1.0), (100, 2.0), (200, 3.0)], {50: 1.5, 150: 2.5, 400: 3.0}),
        ([(100, 3.0), (200, 1.0)], {100: 2.0, 200: 2.0}),  # larger networks take no less time
        ([(0, 0.0), (100, 0.0), (200, 6.0)], {0: 0.0}),  # nor does any take less than none
        ([(0, 2.0), (0, 4.0)], {0: 3.0}),
    ],
)
def test_the_line_neither_falls_nor_goes_below_nothing(
    points: list[tuple[float, float]], expected: dict[int, float]
) -> None:
    line = session_times.line(points)
    assert {at: line(at) for at in expected} == pytest.approx(expected)
