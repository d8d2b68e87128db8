"""Times as people write them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.core import durations
from mbench.core.errors import UsageError

OPTION = "--sustain"
DAY_S = datetime.timedelta(days=1).total_seconds()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("60s", {"seconds": 60}),
        ("90", {"seconds": 90}),
        ("2min", {"minutes": 2}),
        ("2 min", {"minutes": 2}),
        ("2m", {"minutes": 2}),
        ("1h", {"hours": 1}),
        ("1h30min", {"hours": 1, "minutes": 30}),
        ("1 h 30 min 5 s", {"hours": 1, "minutes": 30, "seconds": 5}),
        ("1.5h", {"hours": 1.5}),
        (" 2.5 ", {"seconds": 2.5}),
        ("500ms", {"milliseconds": 500}),
        ("1 Hour", {"hours": 1}),
        ("1day", {"days": 1}),
        ("86400", {"days": 1}),
    ],
)
def test_a_time_is_what_it_says(text: str, meant: dict[str, float]) -> None:
    assert durations.parse(text, OPTION) == datetime.timedelta(**meant).total_seconds()


@pytest.mark.parametrize(
    "text",
    [
        *("0", "0s", "0min", "-5", "-5s", "86401", "25h", "2d", "1d1ms", "9" * 400, "1e3", "nan", "inf", "", " ", "s"),
        *("min", "5 parsecs", "1min2h", "1s1s", "5,5", "1:30", "٦٠", "60s;rm", "60s\nx", "1 30", "--quick"),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--sustain .*: expected a time of more than 0 and up to a day") as caught:
        durations.parse(text, OPTION)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 160


@given(st.integers(1, int(DAY_S)))
def test_words_read_back_are_the_same_time(seconds: int) -> None:
    assert durations.parse(durations.words(seconds), OPTION) == seconds


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "3 s"), (60, "60 s"), (90, "90 s"), (2.5, "2.5 s"), (120, "2 min"), (150, "2 min 30 s"), (5400, "1 h 30 min")],
)
def test_in_words(seconds: float, said: str) -> None:
    assert durations.words(seconds) == said
