"""What is printed of a tuning."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from printed import printed
from tuning_world import KERNELS, OTHER, QUICK, World, in_place

from mbench.terminal import tuning_tables


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return in_place(tmp_path, monkeypatch)


def shown(world: World) -> str:
    return " ".join(printed(*tuning_tables.listing(world.confirm().result()).parts).split())


def test_where_nothing_is_quicker_in_place_the_table_says_what_that_means(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    said = shown(world)
    assert "Networks" not in said
    assert f"not in the network: {OTHER}" in said
    assert tuning_tables.PLACE_NOTE in said


def test_each_kind_of_timing_that_others_disturbed_is_named(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK}
    said = shown(world)
    for text in (
        "0.25 processors busy while kernels were timed (3)",
        "0.10 processors busy while kernels were timed in their networks (3)",
        "0.10 processors busy while networks were timed (1)",
    ):
        assert text in said


def test_what_is_shown_is_in_the_data(world: World) -> None:
    world.device.speeds = {str(OTHER): 0.5}
    world.arena.ratios = {KERNELS[0]: QUICK}
    result = world.confirm().result()
    data = tuning_tables.listing(result).data
    assert data["file"] == str(result.file)
    assert {kernel["kernel"]: kernel["wins"] for kernel in data["kernels"]} == {
        name: name == KERNELS[0] for name in KERNELS
    }
    nothing = msgspec.structs.replace(result, kernels=(), networks=())
    assert " ".join(printed(*tuning_tables.listing(nothing).parts).split()) == "no kernel is tuned yet"
