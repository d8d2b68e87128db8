"""The farm in a record: written and read again, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import farm_factory as farms
import msgspec
import pytest

from mbench.core import record_files
from mbench.core.errors import RecordError
from mbench.core.farm_records import Farm


def test_a_record_with_a_farm_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = farms.aside(farms.PI4S, "pi-2", "it hangs", returned=True)
    record = msgspec.structs.replace(farms.record(["pi-1", "pi-3"]), farm=found)
    record_files.write(tmp_path / "run.json", record)
    again = record_files.read(tmp_path / "run.json")
    assert again.farm == found
    assert [result.device for result in again.results] == ["pi-1", "pi-3"]


def test_the_first_figures_are_the_first_sessions() -> None:
    assert farms.PI4S.first_s("pi-1") == (0.0100, 0.0101, 0.0099)
    assert farms.PI4S.first_s("unknown") == ()
    assert farms.PI4S.device("pi-2") is farms.PI4S.devices[1]


@pytest.mark.parametrize("wrong", ["a result of nowhere", "a device twice", "a result of no farm"])
def test_what_does_not_fit_is_refused(wrong: str, tmp_path: Path) -> None:
    record, twice = farms.record(), farms.PI4S.devices[:1] * 2
    changed: dict[str, Farm | None] = {
        "a result of nowhere": msgspec.structs.replace(farms.PI4S, devices=farms.PI4S.devices[1:]),
        "a device twice": msgspec.structs.replace(farms.PI4S, devices=twice),
        "a result of no farm": None,
    }
    with pytest.raises(RecordError, match=r"farm"):
        record_files.write(tmp_path / "run.json", msgspec.structs.replace(record, farm=changed[wrong]))


def test_a_result_ran_on_the_machine_of_its_device() -> None:
    record = farms.record(["pi-1", "pi-2"])
    machine = msgspec.structs.replace(record.host, name="the-second")
    devices = [
        msgspec.structs.replace(each, machine=machine) if each.name == "pi-2" else each for each in farms.PI4S.devices
    ]
    record = msgspec.structs.replace(record, farm=msgspec.structs.replace(farms.PI4S, devices=tuple(devices)))
    assert [record.machine_of(result).name for result in record.results] == [record.host.name, "the-second"]
