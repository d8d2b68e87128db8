from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import sweep_factory

from mbench.core import sweep_files
from mbench.core.errors import RecordError
from mbench.core.sweep_records import SweepRecord


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = sweep_factory.record()
    path = sweep_files.path_of(tmp_path, found.name)
    assert sweep_files.find(path) is None
    sweep_files.write(path, found)
    assert sweep_files.read(path) == msgspec.json.decode(sweep_files.encode(found), type=SweepRecord)
    assert [cell.network.name for cell in sweep_files.read(path).cells] == [cell.network.name for cell in found.cells]
    assert sweep_files.in_folder(tmp_path) == path
    assert sweep_files.is_sweep(path)
    assert not list(tmp_path.glob("*.json")), "what reads records would take it for one"


def test_counts_of_states() -> None:
    first, second, *others = sweep_factory.grid()
    found = sweep_factory.record([sweep_factory.failed(first), sweep_factory.still_open(second), *others])
    assert (found.count("done"), found.count("failed"), found.count("open")) == (len(others), 1, 1)


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "fit"}', '{"kind":"sweep","format_version":2}'])
def test_another_file_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.sweep"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(
        RecordError, match=r"not where a sweep stands.*remove it, and 'mbench run --sweep' makes it again"
    ):
        sweep_files.read(path)


def test_a_folder_without_one_or_with_several(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no sweep there"):
        sweep_files.in_folder(tmp_path)
    for name in ("b", "a"):
        sweep_files.write(sweep_files.path_of(tmp_path, name), sweep_factory.record(name=name))
    with pytest.raises(RecordError, match=r"several sweeps: a\.sweep, b\.sweep; name one"):
        sweep_files.in_folder(tmp_path)
