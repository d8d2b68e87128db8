"""What a search found, in 80 columns."""

from __future__ import annotations

import fit_factory
import msgspec
from printed import printed

from mbench.core import units
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


def test_where_nothing_fits_the_nearest_is_named() -> None:
    limits = DeviceLimits(latency_s=1e-6)
    text = words(fit_factory.record(fit_factory.grid(limits=limits), limits=limits))
    assert "Nothing fits. Mobilenet_v2_0.35_96 comes nearest" in text


def test_what_is_open_is_named() -> None:
    found = fit_factory.record(certain=False)
    assert f"Not certain: the time was over before {found.open[0]} could be measured" in words(found)


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
