from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
import record_factory as factory

from mbench.core import spread_history
from mbench.core.spread_history import SeenSpread

HOST = factory.record().host


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_nothing_is_known_at_first_nor_by_one_network() -> None:
    assert spread_history.known(HOST, 1) is None
    spread_history.add(HOST, 1, (SeenSpread(1e-4, 4),))
    assert spread_history.known(HOST, 1) is None


def test_variances_are_pooled_by_their_degrees_of_freedom() -> None:
    spread_history.add(HOST, 1, (SeenSpread(1e-4, 4),))
    spread_history.add(HOST, 1, (SeenSpread(4e-4, 12),))
    assert spread_history.known(HOST, 1) == pytest.approx(math.sqrt((4 * 1e-4 + 12 * 4e-4) / 16))


def test_threads_and_machines_have_their_own() -> None:
    spread_history.add(HOST, 4, (SeenSpread(1e-4, 8),))
    assert spread_history.known(HOST, 2) == pytest.approx(1e-2), "more threads than one are one kind"
    assert spread_history.known(HOST, 1) is None
    assert spread_history.known(msgspec.structs.replace(HOST, name="another"), 2) is None


def test_old_runs_are_forgotten() -> None:
    spread_history.add(HOST, 1, (SeenSpread(1.0, 4),) * 10)
    spread_history.add(HOST, 1, (SeenSpread(1e-4, 4),) * 50)
    assert spread_history.known(HOST, 1) == pytest.approx(1e-2)


def test_a_damaged_file_is_no_history(cache: Path) -> None:
    spread_history.add(HOST, 1, (SeenSpread(1e-4, 8),))
    [file] = cache.rglob("*.json")
    file.write_text("[[-1, 0]]")
    assert spread_history.known(HOST, 1) is None
