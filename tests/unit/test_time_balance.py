"""How layers, the runtime between them and the whole run add up."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from result_factory import made, seen

from mbench.pipeline import time_balance


def test_the_books_close(tmp_path: Path) -> None:
    observation = seen(tmp_path)
    books = time_balance.of_run(observation)
    assert books is not None
    assert made(tmp_path, observation=observation).time_balance == books
    assert books.layer_sum_s + books.overhead_s + books.unattributed_s == pytest.approx(books.end_to_end_s, abs=1e-18)
    assert books.end_to_end_s == statistics.median(observation.latency_s)
    assert books.overhead_s == 1e-5
    assert books.instrument_cost_s == 1e-7
    runs = [sum(run) for run in zip(*observation.calls_s, strict=True)]
    assert books.layer_sum_s == statistics.median(runs)


def test_books_of_a_slower_instrumented_run_are_negative(tmp_path: Path) -> None:
    books = time_balance.of_run(seen(tmp_path, latency_s=(1e-9,) * 5))
    assert books is not None
    assert books.unattributed_s < 0


@pytest.mark.parametrize("unknown", ["latency_s", "calls_s", "overhead_s"])
def test_without_one_of_its_parts_there_is_none(tmp_path: Path, unknown: str) -> None:
    assert time_balance.of_run(None) is None
    assert time_balance.of_run(seen(tmp_path, **{unknown: None})) is None
