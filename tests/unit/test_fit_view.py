from __future__ import annotations

import fit_factory
import msgspec
import pytest

from mbench.core.fit_records import CostEstimate, DeviceLimits
from mbench.page import fit_view


def test_the_question_names_all_that_was_asked() -> None:
    limits = DeviceLimits(latency_s=0.002, memory_bytes=4e6, accuracy_percent=65.0)
    question = fit_view.of_record(fit_factory.record(limits=limits)).question
    for words in ("20 candidates (mobilenet_v2)", "latency at most 2.00 ms", "memory at most 4.00 MB", "1 thread?"):
        assert words in question
    assert "and top-1 at least 65.0 %" in question


def test_the_answer_has_its_share_of_each_limit() -> None:
    view = fit_view.of_record(fit_factory.record())
    best = view.answers[0].row.result
    assert view.headline.startswith(f"{best.network.name} is the most accurate that fits")
    tiles = {tile.name: tile for tile in view.tiles}
    assert best.latency_s is not None
    assert tiles["Latency"].share == pytest.approx(best.latency_s.value / 0.002)
    assert "of 2.00 ms; timed on the device" in tiles["Latency"].note
    assert tiles["Memory"].share is None
    assert view.answers[0].next is not None
    assert view.answers[0].next.verdict == "no"


def test_what_is_not_certain_is_not_called_the_most_accurate_of_all() -> None:
    assert "found so far" in fit_view.of_record(fit_factory.record(certain=False)).headline


def test_what_a_search_for_the_least_is_certain_of() -> None:
    found = fit_factory.record()
    assert fit_view.certainty(found).startswith("every better candidate is known not to fit, from its measurement")
    least = msgspec.structs.replace(found, minimize="latency")
    assert fit_view.certainty(least) == (
        "every candidate that is predicted to need less latency was measured or does not fit."
    )
    assert fit_view.certainty(msgspec.structs.replace(least, answers=())).startswith("every candidate is known not to")


def test_where_nothing_fits() -> None:
    limits = DeviceLimits(latency_s=1e-6)
    view = fit_view.of_record(fit_factory.record(fit_factory.grid(limits=limits), limits=limits))
    assert (view.headline, view.answers, view.tiles) == ("Nothing fits.", (), ())
    assert {row.verdict for row in view.rows} == {"no"}
    assert view.rows[0].why == "latency"


def test_only_what_was_measured_leads_to_its_measurement() -> None:
    rows = fit_view.of_record(fit_factory.record(), measured="a b.html").rows
    assert {row.known for row in rows if row.link} == {"measured"}
    assert {row.known for row in rows if not row.link} == {"predicted"}
    assert next(row.link for row in rows if row.link).startswith("./a%20b.html#network=mobilenet_v2_")
    assert not any(row.link for row in fit_view.of_record(fit_factory.record()).rows)


def test_an_address_from_a_file_stays_a_path() -> None:
    rows = fit_view.of_record(fit_factory.record(), measured="javascript:alert(1)").rows
    assert {row.link.partition("#")[0] for row in rows if row.link} == {"./javascript%3Aalert%281%29"}


def test_a_failure_is_said() -> None:
    found = fit_factory.record()
    first = msgspec.structs.replace(found.candidates[0], failure="out of registers", fits=None)
    row = fit_view.of_record(msgspec.structs.replace(found, candidates=(first, *found.candidates[1:]))).rows[0]
    assert fit_view.said(row) == "failed: out of registers"


def test_figures_say_whether_they_are_predicted() -> None:
    predicted = CostEstimate(value=0.002, low=0.0018, high=0.0022, basis="predicted")
    measured = CostEstimate(value=0.002, basis="measured")
    assert fit_view.figure(predicted, "latency") == "~2.00 ms"
    assert fit_view.figure(measured, "latency") == "2.00 ms"
    assert fit_view.interval(predicted, "latency") == "1.80 to 2.20 ms"
    assert fit_view.interval(measured, "latency") == ""
    by_sessions = msgspec.structs.replace(measured, low=0.0019, high=0.0021)
    assert fit_view.interval(by_sessions, "latency") == "1.90 to 2.10 ms"
    assert fit_view.figure(None, "latency") == "\u2013"


def test_sources_are_counted() -> None:
    [(source, setting, count)] = fit_view.of_record(fit_factory.record()).sources
    assert (source, setting, count) == ("arXiv:1801.04381, table 4", "TensorFlow-Slim checkpoints", 20)


def test_disturbed_figures_are_marked_in_the_headline_and_in_what_is_certain() -> None:
    found = fit_factory.record()
    every = tuple(msgspec.structs.replace(each, disturbed=("other work",)) for each in found.candidates)
    hit = msgspec.structs.replace(found, candidates=every)
    best = fit_view.of_record(found).answers[0].row.result.latency_s
    assert best is not None
    assert fit_view.of_record(hit).headline.endswith(f", ~{fit_view.figure(best, 'latency')}")
    assert "by disturbed figures, whose intervals all lie on one side" in fit_view.certainty(hit)
