"""JUnit XML against the schema of Jenkins' xUnit plugin, and read back by junitparser.

`tests/data/junit-10.xsd` is under the MIT licence (its head); it was taken from pytest's source distribution, 9.2.0,
`testing/example_scripts/junit-10.xsd`, which has it from jenkinsci/xunit-plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import junitparser
import pytest
import verdict_factory as make
from lxml import etree

from mbench.gating.comparison import Verdict
from mbench.gating.outputs import junit

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "data" / "junit-10.xsd"))


def read(verdict: Verdict) -> junitparser.JUnitXml:
    return junitparser.JUnitXml.fromstring(junit.render(verdict))


def not_green(document: junitparser.JUnitXml) -> int:
    return sum(suite.failures + suite.errors for suite in document)


@pytest.mark.parametrize("name", make.EVERY)
def test_valid(name: str) -> None:
    SCHEMA.assertValid(etree.fromstring(junit.render(make.EVERY[name])))


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("testsuite/testcase/failure", lambda found: setattr(found, "tag", "broken")),
        ("testsuite/testcase", lambda found: found.attrib.pop("name")),
        ("testsuite", lambda found: found.attrib.pop("tests")),
        ("testsuite/testcase", lambda found: found.set("verdict", "bad")),
        ("testsuite/properties/property", lambda found: found.attrib.pop("value")),
    ],
)
def test_the_schema_refuses_a_broken_document(path: str, change: Callable[[Any], object]) -> None:
    document = etree.fromstring(junit.render(make.regressed()))
    change(document.find(path))
    assert not SCHEMA.validate(document)


@pytest.mark.parametrize("name", make.EVERY)
def test_what_was_not_judged_well_is_not_green(name: str) -> None:
    assert (not_green(read(make.EVERY[name])) > 0) == (name in make.FAILING)


def test_a_suite_a_network_and_a_case_a_finding() -> None:
    document = read(make.regressed())
    suites = {suite.name: suite for suite in document}
    assert list(suites) == ["mbench gate", make.SMALL, make.LARGE]
    small = suites[make.SMALL]
    assert (small.tests, small.failures, small.errors, small.skipped) == (9, 4, 2, 1)
    results = {case.name: [type(result).__name__ for result in case.result] for case in small}
    assert results == {
        "network, latency (paired)": ["Failure"],
        "block3.dw, latency (paired)": ["Failure"],
        "block3.dw, instructions (counts)": ["Failure"],
        "block5.pw, instructions (counts)": [],
        "block1.pw, latency (paired)": [],
        "fc, latency (paired)": ["Error"],
        "pool, latency (paired)": ["Error"],
        "network, memory (static)": ["Skipped"],
        "block9.dw (static)": ["Failure"],
    }
    (failure,) = next(case for case in small if case.name == "block3.dw, latency (paired)").result
    assert failure.message.startswith("120 µs → 132 µs, +10.0 % (+9.5 to +10.5 %), 2 % tolerated; 10.0 % slower")
    assert "schedule changed" in failure.text


def test_nothing_but_a_verdict_is_an_error_too() -> None:
    (suite,) = read(make.incomparable())
    (case,) = suite
    (error,) = case.result
    assert isinstance(error, junitparser.Error)
    assert "cpu: Test CPU @ 2.0 GHz → Other CPU @ 3.0 GHz" in error.text
    assert make.LEFT_OUT in error.text


def test_what_could_not_be_measured_is_an_error() -> None:
    suites = {suite.name: suite for suite in read(make.unmeasured())}
    [case] = suites[make.LARGE]
    [error] = case.result
    assert (case.name, case.classname, type(error).__name__) == ("measured", make.LARGE, "Error")
    assert (error.type, error.message) == ("unmeasured", make.NOT_BUILT)
    whole, died = suites["mbench gate"]
    assert [type(each.result[0]).__name__ for each in (whole, died)] == ["Error", "Error"]
    assert died.result[0].message == make.DIED
    assert (suites[make.SMALL].tests, suites[make.SMALL].errors) == (2, 0)


def test_what_has_no_result_in_the_base_is_skipped() -> None:
    [suite] = [suite for suite in read(make.unmeasured()) if suite.name == make.MENDED]
    assert (suite.tests, suite.skipped, suite.failures, suite.errors) == (1, 1, 0, 0)
    [case] = suite
    assert case.result[0].message == "it has a result in the head"


def test_the_command_that_measures_both_builds_is_in_the_verdicts_case() -> None:
    [[case], *_] = read(make.inconclusive())
    assert case.result[0].text.splitlines()[1].endswith(f"type: {make.COMMAND}")


def test_what_xml_cannot_hold_is_replaced() -> None:
    document = junit.render(make.hostile())
    assert b"\x00" not in document
    assert b"\x1b" not in document
    assert r"\x00" in document.decode()
