from __future__ import annotations

import msgspec
import pytest
import sweep_factory
from sweep_factory import BOARD, LOCAL, failed, still_open

from mbench.analysis import sweep_progress


def test_cells_are_counted_by_place_and_type_and_the_time_left_follows_from_what_cells_took() -> None:
    cells = sweep_factory.grid()
    local = [each for each in cells if each.place == LOCAL and each.network.dtype == "float32"]
    marked = {id(local[0]): failed(local[0]), id(local[1]): still_open(local[1]), id(local[2]): still_open(local[2])}
    found = sweep_factory.record([marked.get(id(each), each) for each in cells])
    first, *others = sweep_progress.of(found)
    assert (first.place, first.dtype) == (LOCAL, "float32")
    assert (first.done, first.failed, first.open) == (len(local) - 3, 1, 2)
    assert first.left_s == pytest.approx(2 * 100.0 / 10)  # ten cells took 100 s
    assert [each.left_s for each in others] == [0, 0, 0]
    assert sweep_progress.left_s(found) == pytest.approx(20.0)


def test_a_place_where_nothing_ran_is_expected_to_be_as_quick_as_the_others() -> None:
    waiting = [still_open(each) for each in sweep_factory.grid(places=[BOARD], dtypes=["int8"])]
    found = sweep_factory.record(waiting)
    assert sweep_progress.left_s(found) == pytest.approx(10.0 * len(waiting))
    assert sweep_progress.left_s(msgspec.structs.replace(found, files=())) is None


def test_causes_that_differ_in_numbers_and_names_alone_are_one_and_the_most_frequent_comes_first() -> None:
    cells = sweep_factory.grid(places=[LOCAL], dtypes=["float32"])
    spoiled = [
        failed(cells[0], "measuring", "the board does not answer"),
        *(failed(each, "compiling", f"{each.network.name} needs {at} MB") for at, each in enumerate(cells[1:4])),
        *cells[4:],
    ]
    found = sweep_progress.causes(spoiled)
    assert [len(networks) for _, networks in found] == [3, 1]
    assert found[0][0] == f"compiling: {cells[1].network.name} needs 0 MB"
    assert found[1] == ("measuring: the board does not answer", (cells[0].network.name,))
