"""What follows from sessions beside the headline."""

from __future__ import annotations

import statistics

import msgspec
import numpy as np
import pytest
import record_factory as factory

from mbench.analysis import headline, session_figures
from mbench.core.records import Result

replace = msgspec.structs.replace


def measured(**options: object) -> Result:
    return factory.in_sessions(factory.record(factory.PAIR[:1], repeat=40), **options).results[0]  # type: ignore[arg-type]


def test_percentiles_are_numpys_over_all_samples_that_count() -> None:
    result = measured(disturbed=(1,))
    found = session_figures.percentiles(result)
    assert found is not None
    assert found.samples == 4 * 40
    samples = result.end_to_end.latency_s
    assert samples is not None
    assert (found.p10_s, found.p50_s, found.p90_s, found.p99_s) == pytest.approx(
        tuple(np.percentile(samples, (10, 50, 90, 99)))
    )


def test_of_few_samples_there_is_no_99th_percentile() -> None:
    found = session_figures.percentiles(measured(count=2))
    assert found is not None
    assert (found.samples, found.p99_s) == (80, None)
    assert session_figures.percentiles(factory.record(latency=False).results[0]) is None


def test_images_a_second_are_the_batch_over_the_headline() -> None:
    result = measured()
    batched = replace(result, variant=replace(result.variant, batch=8))
    found = headline.of_result(batched)
    assert found is not None
    assert session_figures.images_per_s(batched) == pytest.approx(8 / found.median_s)
    assert session_figures.images_per_s(factory.record(latency=False).results[0]) is None


def test_the_cold_start_is_the_median_of_the_sessions_that_count() -> None:
    result = measured(disturbed=(4,))
    counting = [session for session in result.sessions if not session.left_out]
    assert session_figures.load_s(result) == pytest.approx(statistics.median(s.load_s or 0 for s in counting))
    assert session_figures.first_s(result) == pytest.approx(statistics.median(s.first_s or 0 for s in counting))
    assert session_figures.load_s(result) != session_figures.load_s(measured())


def test_what_no_session_has_is_missing() -> None:
    result = measured()
    silent = replace(result, sessions=tuple(replace(each, load_s=None, first_s=None) for each in result.sessions))
    assert (session_figures.load_s(silent), session_figures.first_s(silent)) == (None, None)
    assert session_figures.load_s(factory.record().results[0]) is None
