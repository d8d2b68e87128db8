"""A network's sessions as boxes in time: where each lies, in pixels. No HTML, no statistics.

Each box is a session, in the order and at the time at which it ran: quartiles, the median, and whiskers from the 10th
to the 90th percentile. All networks of a record share one axis of time: what disturbed several at once shows there.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from mbench.core import units
from mbench.page.view_types import ResultView, SessionView

LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 72, 16, 22, 90, 36
"""In pixels: the room for the values at the left, at the right, for marks above, the boxes' own, and beneath."""
BOX, STEP = 14, 20
"""A box's width, and the least distance from one to the next."""
WIDTH = 600
_EDGE = 8
"""Height of a box that lies above what is drawn: it stands at the edge."""
_AROUND = 1.5
"""How far around the medians that count the figure reaches, in what they span or in a usual box: one wide session, or
one that is left out, would else hide all others."""
_ROOM = 0.08
"""Above and below the boxes, as a share of what they span."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SessionBox:
    """A session: its place, and what is said of it."""

    number: int
    kind: Literal["quiet", "disturbed", "left_out"]
    x: float
    whisker: tuple[float, float]
    """The upper end, and the length."""
    box: tuple[float, float]
    median: float
    beyond: bool
    """Whether it lies above what is drawn."""
    said: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimeLabel:
    """What stands beneath the boxes."""

    x: float
    anchor: Literal["start", "end"]
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class SessionsDrawing:
    """All sessions of a network."""

    title: str
    description: str
    width: int
    height: int
    boxes: tuple[SessionBox, ...]
    ticks: tuple[tuple[float, str], ...]
    """Height and words of the values at the left."""
    times: tuple[TimeLabel, ...]
    line: float
    """Of the headline."""
    band: tuple[float, float] | None
    """Of its interval: the upper end, and the height; None: one session, or disturbed."""


def span(items: Iterable[ResultView]) -> tuple[str, str] | None:
    """Return when the first session of several networks began, and the last, in ISO 8601; None without sessions."""
    moments = sorted((each.session.began_utc for item in items for each in item.sessions), key=_moment)
    return (moments[0], moments[-1]) if moments else None


def of_result(item: ResultView, within: tuple[str, str] | None = None) -> SessionsDrawing | None:
    """Return the drawing of a network's sessions; None for fewer than two.

    Args:
        item: the network.
        within: when its axis begins and ends: see `span`.
    """
    found = item.headline
    if len(item.sessions) < 2 or found is None:
        return None
    within = within or span([item])
    assert within is not None
    width = max(WIDTH, LEFT + RIGHT + STEP * (len(item.sessions) + 1))
    low, high = _range(item)

    def y(seconds: float) -> float:
        share = (min(max(seconds, low), high) - low) / ((high - low) or 1.0)
        return round(TOP + HEIGHT * (1 - share), 1)

    def stretch(below: float, above: float) -> tuple[float, float]:
        return y(above), round(y(below) - y(above), 1)

    places = _places([each.session.began_utc for each in item.sessions], within, width)
    boxes = [
        SessionBox(
            number=each.number, kind=_kind(each), x=x,
            whisker=(TOP, _EDGE) if each.median_s > high else stretch(each.p10_s, each.p90_s),
            box=(TOP, _EDGE) if each.median_s > high else stretch(each.quarter_s, each.three_quarters_s),
            median=y(each.median_s), beyond=each.median_s > high, said=said(each),
        )
        for each, x in zip(item.sessions, places, strict=True)
    ]  # fmt: skip
    interval = found.interval
    return SessionsDrawing(
        title=f"Sessions of {item.label}",
        description=" ".join([f"{_summary(item)}", *(f"{box.said}." for box in boxes)]),
        width=width,
        height=TOP + HEIGHT + BOTTOM,
        boxes=tuple(boxes),
        ticks=tuple((y(value), units.seconds(value)) for value in (low, (low + high) / 2, high)),
        times=tuple(_times(within, width)),
        line=y(found.median_s),
        band=stretch(interval.low, interval.high) if interval and not item.disturbed else None,
    )


def said(each: SessionView) -> str:
    """Return what is to be known of a session, in a sentence without its stop."""
    session = each.session
    known = (
        f"Session {each.number}, {_clock(session.began_utc)}: median {units.seconds(each.median_s)}, "
        f"{units.seconds(each.p10_s)} to {units.seconds(each.p90_s)} from p10 to p90, {session.samples} samples"
    )
    if not session.disturbed:
        return known
    kept = "left out" if session.left_out else "counts, since none was quiet"
    return f"{known}; disturbed ({'; '.join(session.disturbed)}), {kept}"


def _summary(item: ResultView) -> str:
    out = sum(each.session.left_out for each in item.sessions)
    disturbed = sum(bool(each.session.disturbed) for each in item.sessions)
    return f"{len(item.sessions)} sessions, {disturbed} of them disturbed, {out} left out."


def _kind(each: SessionView) -> Literal["quiet", "disturbed", "left_out"]:
    if each.session.left_out:
        return "left_out"
    return "disturbed" if each.session.disturbed else "quiet"


def _range(item: ResultView) -> tuple[float, float]:
    """Return the least and the most that is drawn, in seconds."""
    counting = [each for each in item.sessions if not each.session.left_out]
    medians, widths = (
        [each.median_s for each in counting],
        sorted(each.three_quarters_s - each.quarter_s for each in counting),
    )
    around = _AROUND * max(max(medians) - min(medians), widths[len(widths) // 2])
    high = min(max(each.p90_s for each in item.sessions), max(medians) + around)
    low = max(min(each.p10_s for each in item.sessions), min(medians) - around)
    room = _ROOM * (high - low) or _ROOM * high
    return max(0.0, low - room), high + room


def _places(moments: Sequence[str], within: tuple[str, str], width: int) -> list[float]:
    """Return where the middle of each box lies: at its time, and at least a step to the right of the one before."""
    start, end = map(_moment, within)
    first, last = LEFT + BOX, width - RIGHT - BOX
    length = (end - start).total_seconds() or 1.0
    places = [first + (last - first) * (_moment(moment) - start).total_seconds() / length for moment in moments]
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + STEP)
    for number, most in zip(reversed(range(len(places))), _down(last), strict=False):
        places[number] = min(places[number], most)
    return [round(place, 1) for place in places]


def _down(last: float) -> Iterator[float]:
    while True:
        yield last
        last -= STEP


def _times(within: tuple[str, str], width: int) -> Iterator[TimeLabel]:
    start, end = map(_moment, within)
    yield TimeLabel(x=LEFT, anchor="start", text=_clock(within[0]))
    if end > start:
        text = f"last began {units.seconds((end - start).total_seconds())} later"
        yield TimeLabel(x=width - RIGHT, anchor="end", text=text)


def _moment(text: str) -> datetime.datetime:
    """Return a moment of a record; one that lacks its zone is in UTC."""
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _clock(text: str) -> str:
    return _moment(text).astimezone(datetime.UTC).strftime("%H:%M:%S UTC")
