"""`mbench compare` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from conftest import Mbench
from gate_records import (
    NAME,
    OTHERS,
    Put,
    changed,
    counted,
    layers_of,
    one_layer,
    timed,
)

from mbench.cli.compare import compare
from mbench.core.records import Failure
from mbench.gating import comparison

pytest_plugins = ("gate_fixtures",)


def test_compare_reads_and_never_judges(run: Mbench, base: Path, put: Put) -> None:
    layer = counted().results[0].layers[5].name
    head = put(one_layer(counted(), instructions=10**6), "head")
    outcome = run(compare, base, head)
    assert (outcome.code, outcome.err) == (0, "")
    assert layer in outcome.out
    assert "instructions" in outcome.out
    document = json.loads(run(compare, base, head, "--json").out)
    schema = comparison.json_schema()
    jsonschema.validate(document, {"$ref": "#/$defs/Comparison", "$defs": schema["$defs"]})
    assert layers_of({"comparison": document}, "regressed") >= {layer}
    assert any("instructions" in cause for each in document["findings"] for cause in each.get("causes", ()))


def test_compare_writes_its_files(run: Mbench, base: Path) -> None:
    assert run(compare, base, base, "--markdown", "out.md", "--html", "out.html").code == 0
    assert Path("out.md").read_text().strip()
    assert Path("out.html").read_text().rstrip().endswith("</html>")


def test_compare_of_what_cannot_be_compared_says_so(run: Mbench, put: Put) -> None:
    outcome = run(compare, put(timed(), "base"), put(OTHERS["host"](timed()), "head"))
    assert outcome.code == 0
    assert "host" in outcome.out
    assert "runner-7" in outcome.out


def test_records_without_a_common_network_are_no_success(run: Mbench, base: Path, put: Put) -> None:
    head = put(counted("mobilenet_v1_0.25_64"), "head")
    outcome = run(compare, base, head)
    assert outcome.code == 3
    said = f"o network is in both: the base has {NAME}; the head has mobilenet_v1_0.25_64"
    assert f"N{said}." in " ".join(outcome.out.split())
    assert json.loads(run(compare, base, head, "--json").out)["left_out"] == [f"n{said}"]


def test_what_was_not_measured_in_one_of_them_is_no_success(run: Mbench, base: Path, put: Put) -> None:
    failed = Failure(variant=NAME, stage="compiling", reason="out of registers")
    head = changed(counted(), results=(), failures=(failed,))
    outcome = run(compare, base, put(head, "head"))
    assert outcome.code == 4
    assert f"NOT MEASURED: {NAME}: in the head: failed while compiling: out of registers" in " ".join(
        outcome.out.split()
    )
