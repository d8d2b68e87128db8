"""The first screen of a page: where the time goes, whether to trust it, what to try next."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory

from mbench.analysis import first_answers
from mbench.core.records import Record

GRID = ("mobilenet_v1_0.25_128", "mobilenet_v1_0.5_128", "mobilenet_v1_0.75_128")


def small(names: Sequence[str], run_id: str = "a") -> Record:
    """Return a record of networks with few samples."""
    return factory.record(names, run_id=run_id, repeat=20, layer_repeat=3)


def answers(*records: Record) -> dict[str, str]:
    """Return what is said to each question, with its steps."""
    found = first_answers.of_records(records)
    return {
        each.question: " ".join([*each.sentences, *(f"{step.words}: {step.command}" for step in each.steps)]).replace(
            "\u00a0", " "
        )
        for each in found
    }


def test_one_network_says_where_its_time_goes_and_what_it_lacks() -> None:
    found = answers(factory.in_sessions(small(GRID[:1])))
    assert list(found) == ["Where does the time go?", "Can I trust it?", "What should I try next?"]
    assert "of the layers\u2019 time is in 13" in found["Where does the time go?"]
    assert found["Can I trust it?"].startswith("The output is right. The smallest slow-down that two such")
    steps = found["What should I try next?"]
    assert f"mbench run {GRID[0]} --target host --threads 2 --batch 1 --dtype float32,int8" in steps
    assert f"mbench run {GRID[0]} {GRID[0]}_standard --target host --threads 2" in steps


def test_of_several_the_shares_are_a_range_without_the_standard_twins() -> None:
    found = answers(small((*GRID, f"{GRID[0]}_standard")))["Where does the time go?"]
    assert found.startswith("Mostly to pointwise (1x1) layers: ")
    assert "standard convolution" not in found


def test_disturbed_times_are_not_to_be_relied_on_and_are_measured_again() -> None:
    record = factory.in_sessions(small(GRID), disturbed=range(5), only=GRID[:1])
    found = answers(record)
    assert "Do not rely on times of 1 of 3: other work disturbed them." in found["Can I trust it?"]
    words = "Use a quiet machine (--wait-quiet), or count instructions (--counts)"
    assert found["What should I try next?"].startswith(f"{words}: None "), "of many there is no command"
    one = answers(factory.in_sessions(small(GRID[:1]), disturbed=range(5)))["What should I try next?"]
    again = f"mbench run {GRID[0]} --target host --threads 2 --batch 1 --dtype float32 --wait-quiet 60"
    assert one.startswith(f"{words}: {again}")
    pair = answers(factory.in_sessions(small(factory.PAIR), disturbed=range(5)))["What should I try next?"]
    assert pair.startswith(f"{words}: mbench run {' '.join(factory.PAIR)} --target host")
    both = answers(factory.in_sessions(quantized.both(), disturbed=range(5)))["What should I try next?"]
    assert "--dtype float32,int8 --wait-quiet 60" in both.partition(": ")[2]
    assert "rely" not in answers(factory.in_sessions(small(GRID)))["Can I trust it?"]


def test_a_wrong_output_comes_first() -> None:
    record = small(GRID[:1])
    numerics = record.results[0].numerics
    assert numerics is not None
    wrong = msgspec.structs.replace(numerics, passed=False)
    results = (msgspec.structs.replace(record.results[0], numerics=wrong),)
    said = answers(msgspec.structs.replace(record, results=results))["Can I trust it?"]
    assert said.startswith("No: the output of the network is wrong.")


def test_one_session_says_what_is_not_known() -> None:
    found = answers(factory.in_sessions(small(GRID[:1]), count=1))
    assert "how far processes lie apart is not known" in found["Can I trust it?"]
    steps = found["What should I try next?"]
    assert steps.startswith("Leave out --quick: five sessions show how far processes lie apart: mbench run ")
    assert "--quick" not in steps.partition("mbench run ")[2].partition(" See ")[0]


def test_warnings_are_counted() -> None:
    record = small(GRID[:2])
    first = msgspec.structs.replace(record.results[0], warnings=("hot",))
    said = answers(msgspec.structs.replace(record, results=(first, record.results[1])))["Can I trust it?"]
    assert "There are warnings about 1 of 2." in said


def test_counts_are_exact_and_go_to_instructions() -> None:
    found = answers(factory.emulated(GRID[:1]))
    assert "Where do the instructions go?" in found
    assert "Counts are exact" in found["Can I trust it?"]
    assert "Latency is a model's, of one thread, not measured: " in found["Can I trust it?"]


def test_where_disturbed_time_goes_is_said_roughly() -> None:
    quiet = factory.in_sessions(small(GRID[:1]))
    hit = factory.in_sessions(small(GRID[:1]), disturbed=range(5))
    sure, rough = (answers(record)["Where does the time go?"] for record in (quiet, hit))
    assert rough.startswith("Roughly, as it was disturbed: ~")
    assert "~" not in sure
    every = answers(factory.in_sessions(small(GRID), disturbed=range(5)))["Where does the time go?"]
    assert every.startswith("Roughly, as all were disturbed: mostly to pointwise (1x1) layers: ~")
    some = answers(factory.in_sessions(small(GRID), disturbed=range(5), only=GRID[:1]))["Where does the time go?"]
    assert "~" not in some


def test_counts_are_not_offered_where_they_are_there_or_cannot_be() -> None:
    hit = factory.in_sessions(small(GRID[:1]), disturbed=range(5))
    counted = msgspec.structs.replace(hit, settings=msgspec.structs.replace(hit.settings, counts=True))
    for record in (counted, factory.in_sessions(factory.on_gpu(small(GRID[:1])), disturbed=range(5))):
        steps = answers(record)["What should I try next?"]
        assert steps.startswith("Use a quiet machine (--wait-quiet): mbench run ")


def test_of_timed_and_emulated_records_the_time_is_that_of_the_timed_ones() -> None:
    timed = factory.in_sessions(small(GRID[:1]))
    found = answers(factory.emulated(GRID[1:2]), timed)
    assert found["Where does the time go?"] == answers(timed)["Where does the time go?"]
    assert "Counts of what was emulated are exact" in found["Can I trust it?"]


def test_what_failed_is_counted() -> None:
    record = factory.record(GRID[:2], failed=GRID[2:])
    assert "1 network failed." in answers(record)["Can I trust it?"]


def test_two_runs_of_a_network_are_judged_by_the_gate() -> None:
    first = small(GRID[:1], "a")
    steps = answers(first, factory.again(first, "b"))["What should I try next?"]
    assert steps.startswith(
        "Judge whether the later run is worse, with the files of both records: mbench gate a.json b.json"
    )
    elsewhere = msgspec.structs.replace(
        factory.again(first, "b"), target=msgspec.structs.replace(first.target, name="x86_64_v3")
    )
    assert "gate" not in answers(first, elsewhere)["What should I try next?"]
    other = small(GRID[1:2], "b")
    assert "gate" not in answers(first, other)["What should I try next?"]


def test_both_types_are_not_asked_for_again() -> None:
    assert "int8 gives" not in answers(quantized.both()).get("What should I try next?", "")


@pytest.mark.parametrize("record", [factory.record(()), factory.record((), failed=GRID[:1])])
def test_without_results_there_are_no_answers(record: Record) -> None:
    assert answers(record) == {}


def test_a_layer_far_from_its_roofline_is_worth_a_search() -> None:
    record = factory.in_sessions(small(GRID[:1]))

    def reaching(share: float) -> Record:
        [result] = record.results
        layers = tuple(
            msgspec.structs.replace(
                layer, roofline=layer.roofline and msgspec.structs.replace(layer.roofline, fraction_of_bound=share)
            )
            for layer in result.layers
        )
        return msgspec.structs.replace(record, results=(msgspec.structs.replace(result, layers=layers),))

    assert "reaches 20 % of what" in answers(reaching(0.2))["What should I try next?"]
    assert "mbench tune" not in answers(reaching(0.95))["What should I try next?"]


def test_how_far_a_model_is_off_is_said_in_a_few_words() -> None:
    error = "off by 8% in the median; against ncnn on a core, 1 thread: a +1%, b int8 -9%; against X on a core: a +27%"
    [result] = factory.emulated(GRID[:1]).results
    with_error = msgspec.structs.replace(result.end_to_end, latency_model_error=error)
    known = msgspec.structs.replace(result, end_to_end=with_error)
    said = first_answers.model_errors([known, known, result])
    assert said == "off by 8% in the median; -9 to +27% against what is published of its core"
    assert first_answers.model_errors([result]) == ""
