"""Sustained runs in a record: written, read back, and refused where they are no curve."""

from __future__ import annotations

import json
from typing import Any

import pytest
import record_factory as factory
from record_documents import Change, changed, decoded, refusal, set_at
from sustained_factory import sustained, with_sustained

from mbench.core import record_files
from mbench.core.sustained import MOST_POINTS


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    record = with_sustained(factory.record(factory.PAIR[:1]), sustained(count=60))
    found: dict[str, Any] = json.loads(record_files.encode(record))
    return found


def test_a_record_is_read_back_as_it_was_written(document: dict[str, Any]) -> None:
    found = decoded(document).results[0].sustained
    assert found is not None
    assert (len(found.points), found.steady is not None) == (60, True)
    assert found.points[-1].at_s == pytest.approx(60.0)


def test_the_longest_curve_fits_and_a_longer_one_does_not(document: dict[str, Any]) -> None:
    long = with_sustained(factory.record(factory.PAIR[:1]), sustained(count=MOST_POINTS))
    written = json.loads(record_files.encode(long))
    assert refusal(written) is None
    written["results"][0]["sustained"]["points"].append(dict(written["results"][0]["sustained"]["points"][-1], at_s=61))
    assert "points" in (refusal(written) or "")


PLACE = ("results", 0, "sustained")
BROKEN: dict[str, tuple[Change, str]] = {
    "no points": (set_at(*PLACE, "points", value=[]), "points"),
    "a time that goes back": (set_at(*PLACE, "points", 5, "at_s", value=1.0), "points[5].at_s"),
    "a time of 0": (set_at(*PLACE, "points", 0, "at_s", value=0.0), "points[0].at_s"),
    "a quantile above the next": (set_at(*PLACE, "points", 3, "p25_s", value=1.0), "points[3]"),
    "no runs": (set_at(*PLACE, "points", 3, "runs", value=0), "points[3].runs"),
    "other runs than the sum": (set_at(*PLACE, "runs", value=7), "sustained.runs"),
    "a point after the end": (set_at(*PLACE, "ran_s", value=30.0), "sustained.ran_s"),
    "a level outside of its interval": (set_at(*PLACE, "steady", "latency_s", value=1.0), "sustained.steady"),
    "steady after the end": (set_at(*PLACE, "steady", "from_s", value=60.0), "sustained.steady"),
    "running more than all the time": (set_at(*PLACE, "running_share", value=1.5), "running_share"),
    "a field that is not known": (set_at(*PLACE, "colour", value="red"), "colour"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_curve_is_refused(document: dict[str, Any], name: str) -> None:
    change, said = BROKEN[name]
    assert said in (refusal(changed(document, change)) or "")


def test_a_run_is_unfinished_until_its_networks_were_under_load() -> None:
    record = factory.record(factory.PAIR)
    assert record.unfinished() == ()
    half = with_sustained(record, sustained(count=60), None)
    assert half.unfinished() == (factory.PAIR[1],)
    assert with_sustained(record, sustained(count=60), sustained(count=60)).unfinished() == ()
