"""Which samples of a layer a page holds."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import record_factory as factory

from mbench.core.records import Layer, Result
from mbench.page import shown_samples

replace = msgspec.structs.replace


def layer_of(samples: int, sessions: int) -> tuple[Result, Layer]:
    """Return a layer with so many samples in each session, the seconds of which are their numbers."""
    result = factory.in_sessions(factory.record(factory.PAIR[:1], repeat=3, layer_repeat=samples), count=sessions)
    return (found := result.results[0]), replace(
        found.layers[0], latency_s=tuple(float(number) for number in range(samples * sessions))
    )


@pytest.mark.parametrize(("samples", "sessions"), [(50, 5), (100, 1), (1000, 7), (11, 5), (3, 5), (40, 200)])
def test_of_many_samples_some_are_held_evenly_and_in_order(samples: int, sessions: int) -> None:
    parts = shown_samples.of_layer(*layer_of(samples, sessions))
    assert len(parts) == sessions
    assert sum(map(len, parts)) <= max(shown_samples.MOST, 3 * sessions)
    for number, part in enumerate(parts):
        steps = {b - a for a, b in itertools.pairwise(part)}
        assert part[0] == number * samples
        assert len(steps) == 1
        assert part[-1] + min(steps) >= (number + 1) * samples


def test_a_few_are_all_held() -> None:
    parts = shown_samples.of_layer(*layer_of(10, 5))
    assert [len(part) for part in parts] == [10] * 5


def test_a_record_without_sessions_has_one_part() -> None:
    result = factory.record().results[0]
    assert shown_samples.of_layer(result, result.layers[0]) == (result.layers[0].latency_s,)
    assert shown_samples.of_layer(result, replace(result.layers[0], latency_s=None)) == ()


def test_a_layer_that_was_not_timed_in_any_session_has_none() -> None:
    result = factory.in_sessions(factory.record()).results[0]
    assert shown_samples.of_layer(result, replace(result.layers[0], latency_s=None)) == ()
