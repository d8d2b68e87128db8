from __future__ import annotations

from pathlib import Path

import pytest

from mbench.core import machine_cache


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))


def test_a_fact_comes_back_as_it_was(tmp_path: Path) -> None:
    file = machine_cache.file("facts", ["cpu", 4], [])
    assert file.parent == tmp_path / "cache" / "facts"
    assert machine_cache.read(file, list[int]) is None
    machine_cache.write(file, [1, 2])
    assert machine_cache.read(file, list[int]) == [1, 2]


def test_other_facts_and_other_code_have_another_file(tmp_path: Path) -> None:
    source = tmp_path / "code.py"
    source.write_text("a")
    found = [machine_cache.file("facts", ["cpu", 4], [source]), machine_cache.file("facts", ["cpu", 5], [source])]
    source.write_text("b")
    found.append(machine_cache.file("facts", ["cpu", 4], [source]))
    assert len(set(found)) == 3


@pytest.mark.parametrize("damage", [b"", b"[1", b'["x"]', b"\xff"])
def test_a_damaged_file_is_no_fact(damage: bytes) -> None:
    file = machine_cache.file("facts", None, [])
    machine_cache.write(file, [1])
    file.write_bytes(damage)
    assert machine_cache.read(file, list[int]) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    machine_cache.write(tmp_path / "file" / "fact.json", 1)
    assert (tmp_path / "file").read_text() == "not a folder"
