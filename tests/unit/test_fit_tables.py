"""What a search found, in 80 columns."""

from __future__ import annotations

import fit_factory
import msgspec
import pytest
from printed import printed

from mbench.core import fit_files, units
from mbench.core.fit_records import DeviceLimits, FitRecord
from mbench.terminal import fit_tables


def words(found: FitRecord) -> str:
    text = printed(*fit_tables.listing(found).parts)
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_answers_with_shares_and_why_the_next_better_does_not_fit() -> None:
    found = fit_factory.record()
    best = found.answers[0]
    text = words(found)
    assert "latency at most 2.00 ms" in text
    assert f"next better than {best.network}: {best.next_better}" in text
    assert best.next_over[0] in text
    [row] = [each for each in found.candidates if each.network.name == best.network]
    assert row.latency_s is not None
    assert f"{100 * row.latency_s.value / 0.002:.0f}%" in text
    assert "8 of them measured" in text
    assert "Not certain" not in text


def test_where_noise_decides_it_is_said() -> None:
    found = fit_factory.record()
    first, *others = found.answers
    close = msgspec.structs.replace(first, close=("latency 1.99 ms is within the noise of the limit (1.9 to 2.1 ms)",))
    clear = [msgspec.structs.replace(each, why_best="of those known that are clear of every limit") for each in others]
    text = words(msgspec.structs.replace(found, answers=(close, *clear)))
    assert f"{clear[0].network}: the best of those known that are clear of every limit." in text
    assert f"{first.network}: latency 1.99 ms is within the noise of the limit" in text


def test_nothing_in_the_time_given_is_not_nothing_that_fits() -> None:
    limits = DeviceLimits(latency_s=1e-6)
    found = fit_factory.record(fit_factory.grid(limits=limits), limits=limits, certain=False)
    likely = "the best that probably fits is mobilenet_v2_0.35_96"
    text = words(msgspec.structs.replace(found, nearest=likely))
    assert "Nothing that fits was found yet. The best that probably fits is" in text
    assert "Nothing fits" not in text


def test_how_far_a_model_or_too_few_networks_leave_it_open_is_said() -> None:
    found = msgspec.structs.replace(fit_factory.record(), quality=None, methods={"latency model": "off by 9%"})
    text = words(found)
    assert "The target's model of latency: off by 9%." in text
    assert "Fewer than three networks are known here" in text


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_lines_are_as_long_as_there_is_room_for(columns: int) -> None:
    found = fit_factory.record(certain=False)
    text = printed(*fit_tables.listing(found).parts, width=columns)
    assert max(map(len, text.splitlines())) <= columns
    assert found.answers[0].network in "".join(text.split())


def test_where_nothing_fits_the_nearest_is_named() -> None:
    limits = DeviceLimits(latency_s=1e-6)
    text = words(fit_factory.record(fit_factory.grid(limits=limits), limits=limits))
    assert "Nothing fits. Mobilenet_v2_0.35_96 comes nearest" in text


def test_what_is_open_is_named() -> None:
    found = fit_factory.record(certain=False)
    predicted = next(each for each in found.candidates if each.latency_s and each.latency_s.basis == "predicted")
    found = msgspec.structs.replace(found, open=(predicted.network.name,))
    assert f"Not certain: the search ended before {found.open[0]} could be measured" in words(found)


def test_a_disturbed_answer_is_marked_with_the_cause() -> None:
    found = fit_factory.record()
    disturbed = tuple(
        msgspec.structs.replace(each, disturbed=("other work",))
        if each.network.name == found.answers[0].network
        else each
        for each in found.candidates
    )
    text = words(msgspec.structs.replace(found, candidates=disturbed))
    assert f"{found.answers[0].network}*" in text
    assert "*: every session was disturbed: other work" in text


def test_progress_says_how_many_fit() -> None:
    said: list[str] = []
    found = fit_factory.record()
    fit_tables.report(said.append)(found.candidates)
    fitting, out = (sum(each.fits is verdict for each in found.candidates) for verdict in (True, False))
    assert said[0].startswith(f"20 candidates: {fitting} fit, {out} do not, {20 - fitting - out} open; best so far: ")


def test_predictions_have_intervals_and_how_far_they_are_off() -> None:
    found = fit_factory.record()
    listed = fit_tables.predictions(found.candidates[:4], found.quality)
    text = " ".join(printed(*listed.parts).split())
    predicted = next(each for each in found.candidates[:4] if each.latency_s and each.latency_s.low)
    assert predicted.latency_s is not None
    assert f"{units.seconds(predicted.latency_s.value)} " in text
    assert predicted.latency_s.low is not None
    [low, *_], _unit = units.together((predicted.latency_s.low, predicted.latency_s.value))
    assert f"{low} to " in text
    assert "measured" in text
    assert "3.0 % off in the median" in text
    assert len(listed.data["networks"]) == 4


def test_numbers_of_predictions_are_those_of_a_search() -> None:
    found = fit_factory.record()
    [first, *_] = [each for each in found.candidates if each.latency_s]
    assert first.latency_s is not None
    timed = msgspec.structs.replace(
        first, latency_s=msgspec.structs.replace(first.latency_s, value=105403 * 1e-9)
    )  # 0.00010540300000000001
    searched = msgspec.json.decode(fit_files.encode(msgspec.structs.replace(found, candidates=(timed,))))
    assert fit_tables.predictions((timed,), None).data["networks"] == searched["candidates"]
    assert searched["candidates"][0]["latency_s"]["value"] == 0.000105403


def test_another_batch_than_one_is_said() -> None:
    found = fit_factory.record()
    assert "batch" not in words(found).partition("network")[0]
    change = msgspec.structs.replace
    eight = tuple(change(each, network=change(each.network, batch=8)) for each in found.candidates)
    assert "1 thread, batch 8: latency at most" in words(change(found, candidates=eight))


def disturbed(found: FitRecord) -> FitRecord:
    every = tuple(
        msgspec.structs.replace(each, disturbed=("other work",))
        if each.latency_s and each.latency_s.basis == "measured"
        else each
        for each in found.candidates
    )
    return msgspec.structs.replace(found, candidates=every)


def test_disturbed_figures_are_marked_and_counted() -> None:
    found = disturbed(fit_factory.record())
    [row] = [each for each in found.candidates if each.network.name == found.answers[0].network]
    assert row.latency_s is not None
    text = words(found)
    assert f"~{units.seconds(row.latency_s.value)} " in text
    assert "8 of them measured (all of those above). 8 of 8 were disturbed (~). The rest is predicted." in text
    assert "Certain by disturbed figures, whose intervals all lie on one side of the limit." in text
    assert "were disturbed" not in words(fit_factory.record())


def test_nothing_is_the_rest_where_all_or_none_was_measured() -> None:
    found = fit_factory.record()
    every = tuple(each for each in found.candidates if each.latency_s and each.latency_s.basis == "measured")
    text = words(fit_factory.record(every))
    assert "8 candidates, 8 of them measured (all of those above)." in text
    assert "The rest" not in text
    none = tuple(each for each in found.candidates if each not in every)
    text = words(msgspec.structs.replace(found, candidates=none, answers=()))
    assert "12 candidates, 0 of them measured: none had to be. All are predicted." in text


def test_what_an_answer_hangs_on_is_said_instead_of_being_certain() -> None:
    limits = DeviceLimits(latency_s=1e-6)
    found = fit_factory.record(fit_factory.grid(limits=limits), limits=limits, certain=False)
    text = words(msgspec.structs.replace(found, open=(), doubts=("it may fit: a model; a board decides",)))
    assert "Nothing fits, but that is not certain." in text
    assert "Not certain: it may fit: a model; a board decides." in text


def test_predictions_say_what_is_measured_and_mark_what_was_disturbed() -> None:
    found = disturbed(fit_factory.record())
    [row, *_] = [each for each in found.candidates if each.disturbed]
    assert row.latency_s is not None
    wide = msgspec.structs.replace(row.latency_s, low=0.5 * row.latency_s.value, high=2 * row.latency_s.value)
    text = " ".join(
        printed(*fit_tables.predictions((msgspec.structs.replace(row, latency_s=wide),), None).parts).split()
    )
    assert f" ~{units.seconds(row.latency_s.value)} " in text
    assert " measured " in text
    assert "of a measured one, that of the median, by its sessions" in text
