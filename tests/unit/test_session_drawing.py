"""Sessions as boxes in time: what lies where, and what is said of each."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import record_factory as factory

from mbench.core.records import Record
from mbench.page import session_drawing, views
from mbench.page.session_drawing import HEIGHT, LEFT, RIGHT, STEP, TOP, SessionsDrawing
from mbench.page.view_types import ResultView

replace = msgspec.structs.replace


def viewed(record: Record) -> tuple[ResultView, ...]:
    return views.of_record(record).results


def drawn(**options: object) -> SessionsDrawing:
    record = factory.in_sessions(factory.record(factory.PAIR[:1], repeat=40), **options)  # type: ignore[arg-type]
    found = session_drawing.of_result(viewed(record)[0])
    assert found is not None
    return found


def began(record: Record, *seconds: float) -> Record:
    """Return the record with sessions that began so many seconds after noon."""
    moments = [f"2025-03-01T{12 + int(at) // 3600:02}:{int(at) // 60 % 60:02}:{at % 60:06.3f}Z" for at in seconds]
    results = (
        replace(
            result,
            sessions=tuple(
                replace(each, began_utc=moment) for each, moment in zip(result.sessions, moments, strict=True)
            ),
        )
        for result in record.results
    )
    return replace(record, results=tuple(results))


def test_boxes_lie_in_the_order_and_at_the_times_of_their_sessions() -> None:
    record = began(factory.in_sessions(factory.record(factory.PAIR[:1]), count=3), 0, 30, 120)
    [item] = viewed(record)
    found = session_drawing.of_result(item)
    assert found is not None
    assert [box.number for box in found.boxes] == [1, 2, 3]
    first, middle, last = (box.x for box in found.boxes)
    assert (middle - first) / (last - first) == pytest.approx(30 / 120, abs=0.01)
    assert [label.text for label in found.times] == ["12:00:00 UTC", "last began 120 s later"]


def test_networks_of_a_record_share_the_axis_of_time() -> None:
    record = factory.in_sessions(factory.record(), count=3)
    items = viewed(record)
    within = session_drawing.span(items)
    first, second = (session_drawing.of_result(item, within) for item in items)
    assert first is not None
    assert second is not None
    places = [box.x for pair in zip(first.boxes, second.boxes, strict=True) for box in pair]
    assert places == sorted(places)  # they took turns
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert max(gaps) - min(gaps) < 1


@pytest.mark.parametrize("count", [2, 5, 60])
def test_boxes_do_not_lie_on_each_other_and_stay_inside(count: int) -> None:
    base = factory.in_sessions(factory.record(factory.PAIR[:1], repeat=3, layer_repeat=3), count=count)
    for times in ([0.0] * count, [0.001 * number for number in range(count - 1)] + [3000.0]):
        found = session_drawing.of_result(viewed(began(base, *times))[0])
        assert found is not None
        places = [box.x for box in found.boxes]
        assert all(b - a >= STEP - 0.1 for a, b in itertools.pairwise(places))
        assert min(places) >= LEFT
        assert max(places) <= found.width - RIGHT


def test_a_box_has_the_quartiles_and_the_median_of_its_session() -> None:
    found = drawn()
    for box in found.boxes:
        top, height = box.box
        upper, length = box.whisker
        assert TOP <= upper <= top <= box.median <= top + height <= upper + length + 0.2 <= TOP + HEIGHT + 0.2
    medians = [box.median for box in found.boxes]
    assert medians == sorted(medians, reverse=True)  # each is slower than the one before, and up is slower


def test_the_line_is_the_headline_and_the_band_its_interval() -> None:
    found = drawn()
    medians = [box.median for box in found.boxes]
    assert found.line == medians[2]
    assert found.band is not None
    assert found.band[0] == medians[-1]
    assert found.band[0] + found.band[1] == pytest.approx(medians[0], abs=0.2)


def test_a_session_that_is_left_out_cannot_hide_the_others() -> None:
    """It takes twice as long; the others lie within a few per cent of each other, and fill a third of the height."""
    found = drawn(disturbed=(1,))
    kinds = [box.kind for box in found.boxes]
    assert kinds == ["quiet", "left_out", "quiet", "quiet", "quiet"]
    assert [box.beyond for box in found.boxes] == [False, True, False, False, False]
    assert found.boxes[1].box[0] == TOP
    quiet = [box.median for box in found.boxes if box.kind == "quiet"]
    assert max(quiet) - min(quiet) > HEIGHT / 4


def test_where_all_are_disturbed_all_count_and_there_is_no_interval() -> None:
    found = drawn(disturbed=range(5))
    assert {box.kind for box in found.boxes} == {"disturbed"}
    assert not any(box.beyond for box in found.boxes)
    assert found.band is None


def test_the_text_alternative_says_what_the_boxes_show() -> None:
    found = drawn(disturbed=(1,))
    said = found.description
    assert said.startswith("5 sessions, 1 of them disturbed, 1 left out. Session 1, 12:00:00 UTC: median 12.1 ms, ")
    assert f"disturbed ({factory.BUSY}), left out." in said
    assert said.count("Session ") == 5
    counting = drawn(disturbed=range(5)).description
    assert f"disturbed ({factory.BUSY}), counts, since none was quiet." in counting
    assert "disturbed (" not in drawn().description


def test_of_one_session_or_none_there_is_no_drawing() -> None:
    one = viewed(factory.in_sessions(factory.record(factory.PAIR[:1]), count=1))[0]
    assert session_drawing.of_result(one) is None
    before = viewed(factory.record())
    assert session_drawing.of_result(before[0]) is None
    assert session_drawing.span(before) is None


def test_times_that_are_all_alike_are_drawn() -> None:
    record = factory.in_sessions(factory.record(factory.PAIR[:1]), count=3)
    [result] = record.results
    for value in (0.0, 1e-3):
        whole = replace(result.end_to_end, latency_s=(value,) * len(result.end_to_end.latency_s or ()))
        found = session_drawing.of_result(viewed(replace(record, results=(replace(result, end_to_end=whole),)))[0])
        assert found is not None
        assert {box.median for box in found.boxes} == {found.line}
