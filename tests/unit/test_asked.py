"""Passed means that all that was asked for was compared: what is missing on either side is named and never passes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench, Outcome, assert_one_line

from mbench.core import record_files
from mbench.core.records import Failure, Record, Result
from mbench.gating import asked

NAME, OTHER, NEW = "mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64", "mobilenet_v1_0.5_32"
replace = msgspec.structs.replace
RECORD = factory.short(factory.record([NAME, OTHER]))
COUNTED = factory.counted(RECORD)
Change = Callable[[Record], Record]


def of_other(item: Record, **fields: Any) -> Record:
    """Return the record with other fields in the result of one of its networks."""
    results = (replace(each, **fields) if each.variant.name == OTHER else each for each in item.results)
    return replace(item, results=tuple(results))


def result(item: Record) -> Result:
    return next(each for each in item.results if each.variant.name == OTHER)


def without(item: Record) -> Record:
    return replace(item, results=tuple(each for each in item.results if each.variant.name != OTHER))


def failed(item: Record) -> Record:
    return replace(item, failures=(Failure(variant=OTHER, stage="compiling", reason="out of registers"),))


def wrong(item: Record) -> Record:
    numerics = result(item).numerics
    assert numerics
    return of_other(item, numerics=replace(numerics, passed=False, detail="0.1 > 0.0001"))


CHECKED = Failure(variant=OTHER, stage="checking", reason="wrong result: 0.1 > 0.0001")
"""What `runner` records beside a result that is wrong."""


def uncounted(item: Record) -> Record:
    layers = tuple(replace(layer, counters=None) for layer in result(item).layers)
    return of_other(item, counts=None, layers=layers, missing={"counts": "no plugin"})


def asked_to_count(item: Record) -> Record:
    return replace(item, settings=replace(item.settings, counts=True))


def one_layer_uncounted(item: Record) -> Record:
    first, *others = result(item).layers
    return of_other(item, layers=(replace(first, counters=None), *others))


def counted_for_another(item: Record) -> Record:
    counts = result(item).counts
    assert counts
    return of_other(item, counts=replace(counts, target="arm64_cortex_a72"))


def not_asked(item: Record) -> Record:
    return replace(without(item), settings=replace(item.settings, variants=(NAME,)))


def nothing_asked(item: Record) -> Record:
    return replace(item, results=(), settings=replace(item.settings, variants=()))


def renamed(item: Record) -> Record:
    item = of_other(item, variant=replace(result(item).variant, name=NEW))
    return replace(item, settings=replace(item.settings, variants=(NAME, NEW)))


@dataclasses.dataclass(frozen=True)
class Case:
    """What is done to a record, the exit codes where that is BASE, HEAD and both, and a word that is said."""

    change: Change
    base: int
    head: int
    both: int
    said: str = OTHER


CASES = {
    "nothing": Case(lambda item: item, 0, 0, 0),
    "unfinished": Case(without, 4, 4, 4, "no result: unfinished"),
    "interrupted before anything ended": Case(lambda item: replace(item, results=()), 4, 4, 4, "no result: unfinished"),
    "failed": Case(lambda item: failed(without(item)), 0, 4, 4, "failed while compiling: out of registers"),
    "failed, and a result": Case(failed, 0, 4, 4, "failed while compiling: out of registers"),
    "wrong": Case(wrong, 4, 1, 4, "wrong result: 0.1 > 0.0001"),
    "wrong, as a run records it": Case(
        lambda item: replace(wrong(item), failures=(CHECKED,)), 4, 1, 4, "wrong result: 0.1 > 0.0001"
    ),
    "not checked": Case(lambda item: of_other(item, numerics=None), 4, 4, 4, "its output was not checked"),
    "not counted": Case(lambda item: uncounted(asked_to_count(item)), 4, 4, 4, "not counted, as was asked"),
    "not counted, nor asked to": Case(uncounted, 3, 3, 3),
    "one layer not counted": Case(one_layer_uncounted, 3, 3, 0, "conv0"),
    "counted for another target": Case(counted_for_another, 3, 3, 0, "not compared by counts"),
    "not asked for": Case(not_asked, 3, 1, 0),
    "nothing asked for": Case(nothing_asked, 3, 1, 3),
    "renamed": Case(renamed, 1, 1, 0),
}  # fmt: skip
SAID = {
    ("nothing asked for", "both"): "the two runs have nothing in common", ("renamed", "base"): NEW,
    **dict.fromkeys([("counted for another target", side) for side in ("base", "head")], "not compared by counts"),
}  # fmt: skip
"""What is said where it is not the network's name."""


def judged(run: Mbench, folder: Path, base: Record, head: Record, *options: str) -> Outcome:
    """Judge two records, and check that what does not pass is said in every form."""
    files = folder / "base.json", folder / "head.json"
    for file, item in zip(files, (base, head), strict=True):
        record_files.write(file, factory.again(item, file.stem))
    return run("gate", *files, *options)


@pytest.mark.parametrize("side", ["base", "head", "both"])
@pytest.mark.parametrize("kind", CASES)
def test_what_was_not_compared_does_not_pass(run: Mbench, tmp_path: Path, kind: str, side: str) -> None:
    case = CASES[kind]
    base, head = (case.change(COUNTED) if side in (word, "both") else COUNTED for word in ("base", "head"))
    done = judged(run, tmp_path, base, head)
    assert done.code == getattr(case, side), done.out
    assert done.out.startswith("Passed") == (done.code == 0)
    if done.code:
        assert_said_everywhere(run, tmp_path, SAID.get((kind, side), OTHER))
        assert SAID.get((kind, side), case.said) in " ".join(done.out.split())
    elif kind == "one layer not counted":
        assert f"{OTHER}: layers conv0 were counted in neither run" in " ".join(done.out.split())
    elif kind.startswith("failed"):
        assert_information_everywhere(run, tmp_path, f"it has a result in the head; in the base it {case.said}")


def assert_said_everywhere(run: Mbench, folder: Path, said: str) -> None:
    """Check that every form of a verdict says something, and that none is green."""
    files = (folder / "base.json", folder / "head.json")
    document = json.loads(run("gate", *files, "--json").out)
    done = run("gate", *files, "--annotations", "--junit", "junit.xml", "--markdown", "out.md", "--html", "out.html")
    annotations = "".join(line for line in done.out.splitlines() if line.startswith(("::error", "::warning")))
    suite = ElementTree.parse("junit.xml").getroot()
    wrongs = [each.get("message", "") for kind in ("failure", "error") for each in suite.iter(kind)]
    forms = {
        "terminal": done.out.split("::", maxsplit=1)[0],
        "annotations": annotations,
        "JSON": json.dumps([document["headline"], document["failures"], document["comparison"]["findings"]]),
        "JUnit": "".join(wrongs),
        "Markdown": Path("out.md").read_text(),
        "page": Path("out.html").read_text(),
    }
    for form, text in forms.items():
        assert said in " ".join(text.replace("&#95;", "_").split()), form
    assert document["conclusion"] != "passed"
    Path("out.md").unlink()


def assert_information_everywhere(run: Mbench, folder: Path, said: str) -> None:
    """Check that every form says what has a result in the head alone, and that none is red for it."""
    files = (folder / "base.json", folder / "head.json")
    document = json.loads(run("gate", *files, "--json").out)
    done = run("gate", *files, "--annotations", "--junit", "junit.xml", "--markdown", "out.md", "--html", "out.html")
    [skipped] = ElementTree.parse("junit.xml").getroot().iter("skipped")
    [information] = [each for each in document["comparison"]["findings"] if each["variant"] == OTHER]
    forms = {
        "terminal": done.out.split("::", maxsplit=1)[0],
        "annotations": "".join(line for line in done.out.splitlines() if line.startswith("::notice")),
        "JSON": information["reason"],
        "JUnit": skipped.get("message", ""),
        "Markdown": Path("out.md").read_text(),
        "page": Path("out.html").read_text(),
        "compare": run("compare", *files).out,
    }
    for form, text in forms.items():
        assert said in " ".join(text.split()), form
    assert document["headline"].endswith(f"; a result in the head alone: {OTHER}")
    assert (document["conclusion"], document["failures"], information["outcome"]) == ("passed", [], "information")
    assert not any(line.startswith(("::error", "::warning")) for line in done.out.splitlines())


@pytest.mark.parametrize("side", ["base", "head", "both"])
@pytest.mark.parametrize("kind", [kind for kind, case in CASES.items() if 4 in (case.base, case.head, case.both)])
def test_compare_says_what_was_not_compared(run: Mbench, tmp_path: Path, kind: str, side: str) -> None:
    case = CASES[kind]
    base, head = (case.change(COUNTED) if side in (word, "both") else COUNTED for word in ("base", "head"))
    judged(run, tmp_path, base, head)
    files = (tmp_path / "base.json", tmp_path / "head.json")
    done = run("compare", *files, "--markdown", "out.md", "--html", "out.html")
    assert done.code == (4 if kind == "interrupted before anything ended" else 0), "0: something else is compared"
    document = run("compare", *files, "--json").out
    for text in (done.out, document, Path("out.md").read_text(), Path("out.html").read_text()):
        plain = " ".join(text.replace("&#95;", "_").replace("&#62;", ">").replace("&gt;", ">").split())
        assert case.said in plain


def test_networks_that_were_counted_for_each_others_targets_do_not_pass(run: Mbench, tmp_path: Path) -> None:
    other = replace(counted_for_another(COUNTED), results=counted_for_another(COUNTED).results[::-1])
    counts = [each.counts for each in counted_for_another(COUNTED).results]
    swapped = tuple(
        replace(each, counts=replace(each.counts, target=found.target))
        for each, found in zip(other.results, counts, strict=True)
        if each.counts and found
    )
    done = judged(run, tmp_path, counted_for_another(COUNTED), replace(other, results=swapped))
    assert (done.code, "counted for x86_64_v3 in the base" in " ".join(done.out.split())) == (3, True), done.out


# ------------------------------------------------------------------------------------------------------------- recorded
def untimed(item: Record) -> Record:
    return of_other(item, end_to_end=replace(result(item).end_to_end, latency_s=None))


def no_samples(item: Record) -> Record:
    return of_other(item, end_to_end=replace(result(item).end_to_end, latency_s=()))


def one_sample(item: Record) -> Record:
    return of_other(item, end_to_end=replace(result(item).end_to_end, latency_s=(1e-3,)))


def layers_untimed(item: Record) -> Record:
    return of_other(item, layers=tuple(replace(layer, latency_s=None) for layer in result(item).layers))


RECORDED = {
    "nothing": Case(lambda item: item, 0, 0, 0),
    "unfinished": Case(without, 4, 4, 4),
    "failed": Case(failed, 0, 4, 4),
    "wrong": Case(wrong, 4, 1, 4),
    "no latency": Case(untimed, 3, 3, 3),
    "no samples": Case(no_samples, 3, 3, 3),
    "one sample": Case(one_sample, 3, 3, 3),
    "layers without latencies": Case(layers_untimed, 3, 3, 0),
    "compiled only": Case(lambda _: factory.short(factory.record([NAME, OTHER], latency=False)), 3, 3, 3),
}


def several(folder: Path, change: Change, *, only: int | None = None) -> Path:
    """Write five runs of a job on one thread, changed: all of them, or one."""
    folder.mkdir()
    for number in range(5):
        item = factory.again(RECORD, f"{folder.name}-{number}", 1 + 0.0005 * number)
        item = change(item) if only in (None, number) else item
        item = replace(item, settings=replace(item.settings, threads=1), run_id=f"{folder.name}-{number}")
        record_files.write(folder / f"{number}.json", replace(item, created_at_utc=f"2025-03-0{number + 1}T12:00:00Z"))
    return folder


@pytest.mark.parametrize("side", ["base", "head", "both"])
@pytest.mark.parametrize("kind", RECORDED)
def test_latencies_that_were_not_compared_do_not_pass(run: Mbench, tmp_path: Path, kind: str, side: str) -> None:
    case = RECORDED[kind]
    folders = [several(tmp_path / w, case.change if side in (w, "both") else CASES["nothing"].change) for w in SIDES]
    done = run("gate", *folders)
    assert done.code == getattr(case, side), done.out
    assert done.out.startswith("Passed") == (done.code == 0)
    if kind == "layers without latencies" and side == "both":
        assert f"{OTHER}: its layers were timed in neither run" in " ".join(done.out.split())


SIDES = ("base", "head")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", [0, 4])
@pytest.mark.parametrize("kind", ["unfinished", "failed", "wrong"])
def test_one_run_of_several_that_lacks_something_does_not_pass(
    run: Mbench, tmp_path: Path, kind: str, number: int, side: str
) -> None:
    folders = [
        several(tmp_path / w, RECORDED[kind].change if side == w else CASES["nothing"].change, only=number)
        for w in SIDES
    ]
    done = run("gate", *folders)
    newest = {("head", "wrong"): 1, ("base", "failed"): 0}.get((side, kind), 4)
    assert done.code == (newest if number == 4 else 4), done.out
    assert OTHER in done.out
    if number == 0:
        assert f"in the {side}, 0.json: " in " ".join(done.out.split())


def test_runs_of_a_folder_that_were_asked_for_other_networks_are_refused(run: Mbench, tmp_path: Path) -> None:
    folder = several(tmp_path / "base", not_asked, only=2)
    assert_one_line(run("gate", folder, folder), "2.json: variants differ from 4.json beside it")


# -------------------------------------------------------------------------------------------------------------- options
def test_recorded_that_was_asked_for_and_cannot_be_had_does_not_pass(run: Mbench, tmp_path: Path) -> None:
    item = factory.counted(factory.short(factory.record([NAME, OTHER], latency=False)))
    assert judged(run, tmp_path, item, item).code == 0
    assert_one_line(judged(run, tmp_path, item, item, "--recorded"), "--recorded: ", "base.json holds no latencies")
    assert_one_line(judged(run, tmp_path, COUNTED, item, "--recorded"), "--recorded: ", "head.json holds no latencies")
    done = judged(run, tmp_path, COUNTED, untimed(COUNTED), "--recorded")
    assert (done.code, "not timed on both sides" in done.out) == (3, True)


def test_a_baseline_is_not_moved_by_what_was_not_compared(run: Mbench, tmp_path: Path) -> None:
    for kind, case in CASES.items():
        if case.head:
            done = judged(run, tmp_path, COUNTED, case.change(COUNTED), "--update-baseline")
            assert "stays as it is" in done.out, kind
            assert record_files.read(tmp_path / "base.json").run_id == "base", kind


# ------------------------------------------------------------------------------------------------------- one by one
def test_a_record_is_asked_for_its_settings_and_holds_what_else_it_has() -> None:
    assert asked.networks(RECORD) == (NAME, OTHER)
    assert asked.networks(renamed(RECORD)) == (NAME, NEW)
    assert asked.networks(failed(not_asked(RECORD))) == (NAME, OTHER)


@pytest.mark.parametrize(("change", "kind"), [(failed, "failed"), (wrong, "wrong"), (without, "unfinished")])
def test_what_failed_is_told_apart_from_what_is_wrong_or_unfinished(change: Change, kind: str) -> None:
    unfit = asked.unfit(change(RECORD), OTHER)
    assert unfit is not None
    assert unfit.kind == kind
    assert asked.result(change(RECORD), OTHER) is None
    assert [name for name, _, _ in asked.comparable(RECORD, change(RECORD))] == [NAME]
    assert asked.unfit(RECORD, OTHER) is None


# ------------------------------------------------------------------------------------------------------ not measured
def test_a_network_that_failed_in_the_head_hides_no_regression(run: Mbench, tmp_path: Path) -> None:
    """The other network became worse: that wins, and what was not measured is said beside it."""
    layer = COUNTED.results[0].layers[1]
    assert layer.counters
    more = replace(layer, counters=replace(layer.counters, instructions=2 * layer.counters.instructions))
    [first, *others] = COUNTED.results
    worse = factory.with_layers(first, (first.layers[0], more, *first.layers[2:]))
    done = judged(run, tmp_path, COUNTED, failed(without(replace(COUNTED, results=(worse, *others)))))
    assert done.code == 1, done.out
    text = " ".join(done.out.split())
    assert text.startswith("Regressed: ")
    assert "; 1 not measured" in text
    assert f"NOT MEASURED: {OTHER}: in the head: failed while compiling: out of registers" in text


def test_a_network_that_failed_in_the_head_is_in_every_form_as_its_own(run: Mbench, tmp_path: Path) -> None:
    judged(run, tmp_path, COUNTED, failed(without(COUNTED)))
    files, reason = (tmp_path / "base.json", tmp_path / "head.json"), "in the head: failed while compiling"
    forms = ["--junit", "a.xml", "--benchmark-action", "a.json", "--bencher", "b.json", "--annotations"]
    done = run("gate", *files, *forms)
    assert (done.code, done.out.startswith("Not measured: 1 not measured: ")) == (4, True)
    suites = {each.get("name"): each for each in ElementTree.parse("a.xml").getroot()}
    [error] = suites[OTHER].iter("error")
    assert error.get("message", "").startswith(reason)
    assert not list(suites[NAME].iter("error"))
    assert f"::error title={OTHER}%3A not measured::{reason}" in done.out
    for file in ("a.json", "b.json"):
        text = Path(file).read_text()
        assert (f"{NAME}/" in text, f"{OTHER}/" in text) == (True, False), "no value, so that no curve goes to 0"
    document = json.loads(run("gate", *files, "--json").out)
    [finding] = [each for each in document["comparison"]["findings"] if each["variant"] == OTHER]
    assert (document["conclusion"], finding["outcome"]) == ("unmeasured", "unmeasured")
    assert document["failures"] == [f"{OTHER}: {finding['reason']}"]


def test_what_was_not_measured_cannot_be_accepted(run: Mbench, tmp_path: Path) -> None:
    lines = '[[accepted]]\nvariant = "*"\nreason = "it is known"\nexpires = 2999-01-01\n'
    Path("mbench-accepted.toml").write_text(lines)
    assert judged(run, tmp_path, COUNTED, failed(without(COUNTED))).code == 4
    assert judged(run, tmp_path, COUNTED, wrong(COUNTED)).code == 0, "a regression can"


def test_nothing_that_could_be_compared_is_no_verdict(run: Mbench, tmp_path: Path) -> None:
    done = judged(run, tmp_path, replace(failed(without(COUNTED)), results=()), COUNTED)
    assert done.code == 4, "the other network is unfinished in the base"
    alone = replace(COUNTED, results=COUNTED.results[1:], settings=replace(COUNTED.settings, variants=(OTHER,)))
    done = judged(run, tmp_path, failed(without(alone)), alone)
    assert (done.code, "nothing in common" in done.out) == (3, True), done.out


def test_runs_without_a_common_network_say_what_is_in_each() -> None:
    names = [f"mobilenet_v1_0.25_{side}" for side in (96, 128, 160, 192)]
    other = factory.record(names, repeat=3, layer_repeat=3)
    [said] = asked.apart(RECORD, other)
    assert said == (
        f"no network is in both: the base has {NAME}, {OTHER}; the head has {', '.join(names[:3])} and 1 more"
    )
    assert asked.apart(RECORD, factory.record([OTHER, *names])) == ()
