"""What the terminal says of a farm."""

from __future__ import annotations

import farm_factory as farms
import msgspec
import record_factory as factory
from printed import printed

from mbench.terminal import farm_lines, record_tables


def test_a_record_of_one_device_has_no_farm() -> None:
    assert list(farm_lines.of_record(factory.record())) == []


def test_the_lines_are_among_what_is_printed_of_a_record() -> None:
    record = farms.record(["pi-1", "pi-2"])
    record = msgspec.structs.replace(record, farm=farms.aside(farms.PI4S, "pi-3", "it hangs"))
    lines = [line.plain for line in farm_lines.of_record(record)]
    assert lines[0].startswith("Measured on 2 devices: pi-1 mobilenet_v1_1.0_224; pi-2 ")
    assert lines[1].endswith("(reference mobilenet_v1_0.25_128).")
    assert lines[2] == "pi-3 was set aside: it hangs."
    said = " ".join(printed(*record_tables.record_tables(record)).split())
    assert all(" ".join(line.split()) in said for line in lines)
    assert "device farm (farm.toml)" in said
    assert "3 devices; compiled on" in said
