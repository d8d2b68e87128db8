"""Annotations, read as GitHub's runner reads its standard output (actions/runner, `ActionCommand.TryParseV2`)."""

import collections
import re

import pytest
import verdict_factory as make
from record_factory import HOSTILE

from mbench.gating.comparison import Verdict
from mbench.gating.outputs import annotations

Command = tuple[str, dict[str, str], str]
DATA = (("%0D", "\r"), ("%0A", "\n"), ("%25", "%"))
PROPERTY = (*DATA[:2], ("%3A", ":"), ("%2C", ","), DATA[2])


def unescape(text: str, escapes: tuple[tuple[str, str], ...]) -> str:
    for escape, character in escapes:
        text = text.replace(escape, character)
    return text


def parse(line: str) -> Command:
    """Return kind, properties and message as the runner takes them from a line; it ignores what is no command."""
    line = line.lstrip()
    assert line.startswith("::"), line
    head, separator, data = line[2:].partition("::")
    assert separator, line
    kind, _, given = head.partition(" ")
    pairs = [pair.split("=", 1) for pair in given.split(",") if pair]
    properties = {key: unescape(value, PROPERTY) for key, value in pairs}
    assert kind in ("error", "warning", "notice"), line
    assert set(properties) == {"title"}, line
    return kind, properties, unescape(data, DATA)


def commands(verdict: Verdict) -> list[Command]:
    return [parse(line) for line in re.split(r"\r\n|\r|\n", annotations.render(verdict).rstrip("\n"))]


def test_what_the_runner_takes() -> None:
    kind, properties, message = commands(make.regressed())[0]
    assert (kind, properties["title"]) == ("error", "mbench gate: Regressed")
    assert message.startswith("mobilenet_v1_0.25_128 is 3.1 % slower (+2.6 to +3.6 %)")
    titles = [(kind, properties["title"]) for kind, properties, _ in commands(make.regressed())]
    assert ("error", "mobilenet_v1_0.25_128: block3.dw, latency") in titles
    assert ("warning", "mobilenet_v1_0.25_128: pool, latency") in titles
    assert ("notice", "mobilenet_v1_0.25_128: network, memory") in titles


@pytest.mark.parametrize("name", make.EVERY)
def test_an_error_if_and_only_if_it_did_not_pass(name: str) -> None:
    kinds = {kind for kind, _, _ in commands(make.EVERY[name])}
    assert ("error" in kinds) == (name in make.FAILING)
    assert kinds


@pytest.mark.parametrize("name", make.EVERY)
def test_never_more_than_github_keeps(name: str) -> None:
    counts = collections.Counter(kind for kind, _, _ in commands(make.EVERY[name]))
    assert max(counts.values()) <= annotations.MOST


def test_what_is_left_out_is_counted() -> None:
    found = commands(make.long(200))
    assert len(found) == annotations.MOST
    assert found[-1][2] == "and 192 more; the log has them"  # 201 errors with the verdict, 9 of them shown
    assert found[1][1]["title"] == f"{make.SMALL}: block199.dw, latency"


def test_names_cannot_end_a_line_or_a_property() -> None:
    found = commands(make.hostile())
    assert len(found) == 7 + len(HOSTILE)
    assert "::error::x%0A" in found[0][2]
    assert found[2 + len(HOSTILE)][1]["title"].endswith("|`, latency")


def test_what_was_not_measured_is_an_error_and_what_is_mended_a_notice() -> None:
    found = [(kind, properties["title"], message) for kind, properties, message in commands(make.unmeasured())]
    assert found[1:] == [
        ("error", "not measured", make.DIED),
        ("error", f"{make.LARGE}: not measured", make.NOT_BUILT),
        ("notice", f"{make.MENDED}: network", "it has a result in the head"),
    ]
    assert found[0][:2] == ("error", "mbench gate: Not measured")


def test_the_command_that_measures_both_builds_is_a_notice() -> None:
    [notice] = [message for kind, _, message in commands(make.inconclusive()) if kind == "notice"]
    assert notice.endswith(f"type: {make.COMMAND}")


def test_the_reading_can_fail() -> None:
    with pytest.raises(AssertionError):
        parse("error: plain text")
    with pytest.raises(AssertionError):
        parse("::error title=a,b=c::text")
