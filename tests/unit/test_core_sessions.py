from __future__ import annotations

import pytest

from mbench.core import sessions
from mbench.core.sessions import Session

MOMENT = "2026-01-01T00:00:00Z"


def session(samples: int, layer_samples: int = 0, *, left_out: bool = False) -> Session:
    return Session(samples=samples, layer_samples=layer_samples, began_utc=MOMENT, left_out=left_out)


def test_samples_are_parted_by_session_in_order() -> None:
    found = (session(2, 1), session(3, 4))
    assert sessions.of_whole((1.0, 2.0, 3.0, 4.0, 5.0), found) == ((1.0, 2.0), (3.0, 4.0, 5.0))
    assert sessions.of_layer((1.0, 2.0, 3.0, 4.0, 5.0), found) == ((1.0,), (2.0, 3.0, 4.0, 5.0))


def test_without_sessions_all_samples_are_of_one() -> None:
    assert sessions.of_whole((1.0, 2.0), ()) == ((1.0, 2.0),)


def test_a_session_that_was_left_out_has_no_part() -> None:
    found = (session(2), session(7, left_out=True), session(1))
    assert sessions.of_whole((1.0, 2.0, 3.0), found) == ((1.0, 2.0), (3.0,))
    assert [each.samples for each in sessions.kept(found)] == [2, 1]


@pytest.mark.parametrize("count", [1, 5])
def test_sessions_without_layers_have_none(count: int) -> None:
    assert sessions.of_layer((), (session(3),) * count) == ()
