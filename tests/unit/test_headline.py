from __future__ import annotations

import math
import statistics

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import headline, pairs
from mbench.core.records import Result
from mbench.core.sessions import Session

MOMENT = "2026-01-01T00:00:00Z"


def with_sessions(*parts: tuple[float, ...], disturbed: tuple[tuple[str, ...], ...] = ()) -> Result:
    """Return a result whose sessions saw these samples, end to end."""
    result = factory.record().results[0]
    why = disturbed or ((),) * len(parts)
    quiet = [not each for each in why]
    kept = [part for part, good in zip(parts, quiet, strict=True) if good or not any(quiet)]
    return msgspec.structs.replace(
        result,
        end_to_end=msgspec.structs.replace(
            result.end_to_end, latency_s=tuple(value for part in kept for value in part), twin_latency_s=None
        ),
        layers=tuple(msgspec.structs.replace(layer, latency_s=None) for layer in result.layers),
        sessions=tuple(
            Session(
                samples=len(part), layer_samples=0, began_utc=MOMENT, disturbed=said,
                left_out=bool(said) and any(quiet), latency_s=part if said and any(quiet) else None,
            )
            for part, said in zip(parts, why, strict=True)
        ),
    )  # fmt: skip


def test_the_headline_is_the_median_over_the_sessions() -> None:
    result = with_sessions((1.0, 1.0, 1.0, 9.0), (3.0,), (2.0, 2.2))
    found = headline.of_result(result)
    assert found is not None
    assert found.median_s == pytest.approx(2.1)
    assert pairs.latency_s(result) == found.median_s
    assert found.sessions == 3


def test_the_spread_between_sessions_is_that_of_their_medians() -> None:
    found = headline.of_result(with_sessions((1.0,) * 3, (1.1,) * 3, (1.21,) * 3))
    assert found is not None
    assert found.between == pytest.approx(math.log(1.1))
    assert found.within == 0.0


def test_the_spread_within_a_session_is_that_of_its_quartiles() -> None:
    samples = tuple(100.0 + number for number in range(101))
    found = headline.of_result(with_sessions(samples, samples))
    assert found is not None
    assert found.within == pytest.approx(50 / 150)


def test_the_smallest_change_is_that_of_students_test() -> None:
    """By hand: five a side, t with 8 degrees of freedom at 99 % is 2.896, at 95 % 1.860 (tables)."""
    values = (1.0, 1.01, 1.02, 1.03, 1.04)
    found = headline.of_result(with_sessions(*((value,) for value in values)))
    assert found is not None
    deviation = statistics.stdev(map(math.log, values))
    assert found.smallest_change == pytest.approx(math.expm1((2.896 + 1.860) * deviation * math.sqrt(0.4)), rel=1e-3)


def test_of_one_session_nothing_is_known_between_processes() -> None:
    found = headline.of_result(with_sessions((1.0, 2.0, 3.0)))
    assert found is not None
    assert (found.interval, found.between, found.smallest_change) == (None, None, None)


def test_a_record_of_before_has_one_session() -> None:
    result = msgspec.structs.replace(factory.record().results[0], sessions=())
    found = headline.of_result(result)
    assert found is not None
    assert found.sessions == 1
    assert found.median_s == statistics.median(result.end_to_end.latency_s or ())


def test_what_was_not_timed_has_no_headline() -> None:
    result = factory.record().results[0]
    silent = msgspec.structs.replace(result, end_to_end=msgspec.structs.replace(result.end_to_end, latency_s=None))
    assert headline.of_result(silent) is None
    assert headline.medians(silent) == ()


def test_layers_have_medians_by_session_too() -> None:
    result = factory.record().results[0]
    layer = msgspec.structs.replace(result.layers[0], latency_s=(1.0, 2.0, 3.0, 7.0, 7.0))
    sessions = tuple(Session(samples=1, layer_samples=count, began_utc=MOMENT) for count in (3, 2))
    result = msgspec.structs.replace(result, sessions=sessions, layers=(layer, *result.layers[1:]))
    assert headline.medians(result, layer) == (2.0, 7.0)


def test_a_disturbed_session_does_not_count_beside_a_quiet_one() -> None:
    result = with_sessions((1.0,), (5.0,), (1.2,), disturbed=((), ("others were busy",), ()))
    assert pairs.latency_s(result) == pytest.approx(1.1)
    assert headline.disturbed(result) == ()


def test_without_a_quiet_session_the_headline_is_disturbed() -> None:
    result = with_sessions((1.0,), (5.0,), disturbed=(("stolen",), ("others were busy", "stolen")))
    assert pairs.latency_s(result) == pytest.approx(3.0)
    assert headline.disturbed(result) == ("stolen", "others were busy")
