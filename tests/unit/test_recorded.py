from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import record_factory as factory

from mbench.core import spread_history
from mbench.core.records import Layer, Record, Result
from mbench.core.sessions import Session
from mbench.core.spread_history import SeenSpread
from mbench.core.stats import median
from mbench.gating import matching, recorded
from mbench.gating.comparison import Finding
from mbench.gating.limits import Limits, read
from mbench.gating.outputs import words

NAME = "mobilenet_v1_0.25_32"
BASE = factory.record([NAME])
LAYERS = BASE.results[0].layers
LONGEST = max(LAYERS, key=lambda layer: median(layer.latency_s or ())).name


def run(factor: float = 1.0, *, layers: dict[str, float] | None = None, threads: int = 1, number: int = 0) -> Record:
    """Return a record of one session whose latencies are `factor` times those of BASE, some layers' by their own."""
    own = layers or {}
    replace = msgspec.structs.replace
    result = BASE.results[0]

    def of_layer(layer: Layer) -> Layer:
        by = own.get(layer.name, factor)
        return replace(layer, latency_s=tuple(by * value for value in layer.latency_s or ()))

    whole = replace(result.end_to_end, latency_s=tuple(factor * value for value in result.end_to_end.latency_s or ()))
    changed = replace(result, layers=tuple(map(of_layer, result.layers)), end_to_end=whole)
    settings = replace(BASE.settings, threads=threads)
    return replace(BASE, run_id=f"run-{number}", results=(changed,), settings=settings)


def runs(
    count: int, factor: float = 1.0, *, spread: float = 1e-3, seed: int = 1, **options: dict[str, float]
) -> tuple[Record, ...]:
    draw = random.Random(seed)
    return tuple(run(factor * (1 + draw.gauss(0, spread)), number=number, **options) for number in range(count))  # type: ignore[arg-type]


def sessions(
    factors: Sequence[float], *, threads: int = 1, number: int = 0, disturbed: tuple[str, ...] = (),
    layers: dict[str, float] | None = None, exchange_s: float | None = None, left_out: Sequence[Session] = (),
) -> Record:  # fmt: skip
    """Return a record with a session for each factor, whose latencies are so many times those of BASE."""
    own, replace, result = layers or {}, msgspec.structs.replace, BASE.results[0]

    def joined(samples: Sequence[float] | None, by: float = 1.0) -> tuple[float, ...]:
        return tuple(by * factor * value for factor in factors for value in samples or ())

    whole = replace(result.end_to_end, latency_s=joined(result.end_to_end.latency_s), twin_latency_s=None)
    parts = tuple(
        Session(
            samples=len(result.end_to_end.latency_s or ()), layer_samples=len(result.layers[0].latency_s or ()),
            began_utc=BASE.created_at_utc, disturbed=disturbed, exchange_s=exchange_s, far_apart=disturbed == FAR,
        )
        for _ in factors
    )  # fmt: skip
    changed = replace(
        result, end_to_end=whole, sessions=(*parts, *left_out),
        layers=tuple(
            replace(layer, latency_s=joined(layer.latency_s, own.get(layer.name, 1.0))) for layer in result.layers
        ),
    )  # fmt: skip
    settings = replace(BASE.settings, threads=threads, sessions=len(factors))
    return replace(BASE, run_id=f"run-{number}", results=(changed,), settings=settings)


def spread(count: int = 5, factor: float = 1.0, *, by: float = 0.01, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [factor * (1 + draw.gauss(0, by)) for _ in range(count)]


def far_apart(factors: Sequence[float]) -> tuple[Session, ...]:
    """Return sessions that were left out, since there were others whose processors were near each other."""
    samples = BASE.results[0].end_to_end.latency_s or ()
    return tuple(
        Session(
            samples=len(samples), layer_samples=5, began_utc=BASE.created_at_utc, disturbed=FAR, exchange_s=9e-6,
            far_apart=True, left_out=True, latency_s=tuple(factor * value for value in samples),
        )
        for factor in factors
    )  # fmt: skip


ANY = Limits()
FAR = ("reading what another thread wrote took 9.00 µs, at best 2.70 µs: processors that are far apart",)


def judge(base: Sequence[Record], head: Sequence[Record], limits: Limits = ANY) -> dict[str | None, Finding]:
    ours, theirs = base[-1].results[0], head[-1].results[0]
    found = recorded.judge(base, head, {NAME: matching.layers(ours.layers, theirs.layers)}, limits)
    return {each.layer: each for each in found}


def with_samples(samples: tuple[float, ...]) -> Record:
    result = BASE.results[0]
    whole = msgspec.structs.replace(result.end_to_end, latency_s=samples)
    return msgspec.structs.replace(BASE, results=(msgspec.structs.replace(result, end_to_end=whole),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path))


# ---------------------------------------------------------------------------------------------- one default record each
def test_two_records_of_the_same_code_pass() -> None:
    found = judge([sessions(spread())], [sessions(spread(seed=2))])
    assert found[None].outcome == "same"
    assert "a slow-down of 10.0 % is ruled out" in found[None].reason
    assert "sessions of one job lie" in found[None].reason
    assert {each.outcome for each in found.values()} == {"same", "information"}, "layers alone leave nothing open"


@pytest.mark.parametrize(("factor", "outcome"), [(1.1, "regressed"), (0.9, "improved"), (12.0, "regressed")])
def test_a_change_of_a_tenth_is_named(factor: float, outcome: str) -> None:
    found = judge([sessions(spread())], [sessions(spread(factor=factor, seed=2))])[None]
    assert found.outcome == outcome
    assert found.ratio == pytest.approx(factor, rel=0.02)
    low, high = words.bounds(found) or (1.0, 1.0)
    assert found.ratio is not None
    assert low <= found.ratio <= high


def test_however_wide_the_interval_beyond_the_tolerance_is_a_regression() -> None:
    found = judge([sessions(spread(by=0.2))], [sessions(spread(factor=12.0, by=0.3, seed=2), threads=1)])[None]
    assert found.outcome == "regressed"
    assert "slower, by " in found.reason


def test_a_wide_spread_leaves_it_open_and_says_what_would_show_it() -> None:
    found = judge([sessions(spread(by=0.05))], [sessions(spread(by=0.05, seed=2))])[None]
    assert found.outcome == "undecided"
    assert found.smallest_change is not None
    assert found.smallest_change > 0.1
    assert "sessions a side (--sessions " in found.reason


def test_nobody_is_told_to_run_thousands() -> None:
    found = judge([sessions(spread(by=0.5))], [sessions(spread(by=0.5, seed=2))])[None]
    assert found.outcome == "undecided"
    assert "--sessions" not in found.reason
    assert "--paired" in found.reason


def test_the_threshold_is_what_is_tolerated() -> None:
    base, head = [sessions(spread())], [sessions(spread(factor=1.15, seed=2))]
    assert judge(base, head)[None].outcome == "regressed"
    tolerant = read(None, ["latency=20%"], ["latency=40%"])
    found = judge(base, head, tolerant)[None]
    assert found.outcome == "same"
    assert found.threshold == pytest.approx(0.2)


def test_the_sensitivity_is_what_must_not_be_missed() -> None:
    base, head = [sessions(spread())], [sessions(spread(seed=2))]
    assert judge(base, head, read(None, (), ["latency=1.5%"]))[None].outcome == "undecided"
    assert judge(base, head, read(None, (), ["latency=30%"]))[None].sensitivity == pytest.approx(0.3)


def test_with_more_threads_a_coarser_change_must_not_be_missed() -> None:
    found = judge([sessions(spread(), threads=2)], [sessions(spread(seed=2), threads=2)])[None]
    assert found.sensitivity == recorded.SENSITIVITY[2] > recorded.SENSITIVITY[1]


def test_a_slow_layer_is_named_alone() -> None:
    found = judge([sessions(spread())], [sessions(spread(seed=2), layers={LONGEST: 1.5})])
    assert {layer for layer, each in found.items() if each.outcome == "regressed"} == {LONGEST}


def test_a_layer_is_open_only_if_somebody_asked_for_it() -> None:
    base, head = [sessions(spread(by=0.04))], [sessions(spread(by=0.04, seed=2))]
    assert judge(base, head)[LONGEST].outcome == "information"
    assert judge(base, head, read(None, (), ["layer.latency=5%"]))[LONGEST].outcome == "undecided"


def test_what_a_layer_of_nanoseconds_loses_is_too_short_to_matter() -> None:
    short = min((layer for layer in LAYERS if layer.latency_s), key=lambda layer: median(layer.latency_s or ()))
    found = judge([sessions(spread())], [sessions(spread(seed=2), layers={short.name: 1.05})])
    assert short.name not in found or found[short.name].outcome == "information"


def test_networks_and_layers_are_families_of_their_own() -> None:
    """One network of its own: its interval leaves 0.5 % outside, those of its layers that share among them."""
    found = judge([sessions(spread())], [sessions(spread(seed=2))])
    assert found[None].confidence == pytest.approx(1 - 2 * 0.005)
    layers = len(found) - 1
    assert found[LONGEST].confidence == pytest.approx(1 - 2 * 0.005 / layers)


# ------------------------------------------------------------------------------------------------------------ disturbed
def test_beside_a_disturbed_side_nothing_passes_and_little_is_a_regression() -> None:
    loud = sessions(spread(factor=1.5, seed=2), disturbed=("other processes kept 1.00 processors busy",))
    for base, head in ((sessions(spread()), loud), (loud, sessions(spread()))):
        found = judge([base], [head])[None]
        assert found.outcome == "undecided"
        assert "was disturbed while it was measured (other processes kept 1.00 processors busy)" in found.reason
        assert "--wait-quiet" in found.reason


def test_sessions_with_processors_far_apart_are_compared_with_such() -> None:
    base, same, slower = (
        sessions(spread(factor=factor, seed=seed), threads=2, disturbed=FAR, exchange_s=9e-6)
        for seed, factor in enumerate((1.5, 1.5, 1.8))
    )
    assert judge([base], [same])[None].outcome == "same"
    found = judge([base], [slower])
    assert found[None].outcome == "regressed"
    assert found[LONGEST].outcome == "regressed"


def test_processors_near_and_far_apart_are_no_regression_whatever_is_marked() -> None:
    near = sessions(spread(), threads=2, exchange_s=2.7e-6)
    for marked in (FAR, ()):
        far = sessions(spread(factor=1.5, seed=2), threads=2, disturbed=marked, exchange_s=9e-6)
        for base, head in ((near, far), (far, near)):
            found = judge([base], [head])
            assert {each.outcome for each in found.values()} == {"undecided", "information"}
            assert "in 2.70 µs on one side and in 9.00 µs on the other" in found[None].reason


@pytest.mark.parametrize(("factor", "outcome"), [(1.5, "same"), (2.0, "regressed")])
def test_what_was_left_out_is_compared_where_the_other_side_has_nothing_else(factor: float, outcome: str) -> None:
    far = sessions(spread(factor=1.5), threads=2, disturbed=FAR, exchange_s=9e-6)
    left_out = far_apart([factor, factor * 1.01])
    mixed = sessions(spread(factor=factor / 1.5, seed=2), threads=2, exchange_s=2.7e-6, left_out=left_out)
    found = judge([far], [mixed])
    assert found[None].outcome == outcome
    assert found[None].ratio == pytest.approx(factor / 1.5, rel=0.02)
    assert "of sessions with processors far apart on both sides" in found[None].reason
    assert {each.outcome for layer, each in found.items() if layer} == {"information"}
    few = sessions(spread(factor=factor / 1.5, seed=2), threads=2, exchange_s=2.7e-6, left_out=left_out[:1])
    assert judge([far], [few])[None].outcome == "undecided"


def test_twelve_times_slower_is_no_disturbance() -> None:
    loud = sessions(spread(factor=12.0, seed=2), disturbed=("other processes kept 1.00 processors busy",))
    assert judge([sessions(spread())], [loud])[None].outcome == "regressed"


# -------------------------------------------------------------------------------------------------------------- several
@pytest.mark.parametrize("count", [2, 5])
def test_more_runs_in_a_folder_narrow_it(count: int) -> None:
    def side(seed: int, factor: float = 1.0) -> list[Record]:
        return [sessions(spread(factor=factor, seed=seed + number), number=number) for number in range(count)]

    many, one = judge(side(1), side(20, 1.04))[None], judge(side(1)[:1], side(20, 1.04)[:1])[None]
    assert many.smallest_change is not None
    assert one.smallest_change is not None
    assert many.smallest_change < one.smallest_change
    assert many.outcome == "regressed"


def test_runs_that_lie_far_apart_decide_nothing() -> None:
    def side(*factors: float) -> list[Record]:
        return [sessions(spread(factor=each, seed=3), number=number) for number, each in enumerate(factors)]

    assert judge(side(1.0, 1.2, 0.8, 1.1, 0.9), side(1.02, 1.22, 0.82, 1.12, 0.92))[None].outcome == "undecided"


# ----------------------------------------------------------------------------------------------- records of one session
def test_one_session_a_side_is_judged_by_an_assumed_spread() -> None:
    found = judge([run()], [run()])[None]
    assert found.outcome == "undecided"
    assert "processes are assumed to lie 4.0 % apart: too few sessions to show it" in found.reason
    assert judge([run()], [run(2.0)])[None].outcome == "regressed"
    assert judge([run(threads=2)], [run(2.0, threads=2)])[None].outcome == "undecided"


def test_the_machines_own_history_is_taken_where_there_is_one() -> None:
    spread_history.add(BASE.host, 1, (SeenSpread(0.005**2, 4), SeenSpread(0.005**2, 4)))
    found = judge([run()], [run(1.0001)])[None]
    assert "assumed to lie 0.5 % apart" in found.reason
    assert found.outcome == "same"


def test_runs_of_one_session_show_their_spread_together() -> None:
    found = judge(runs(5), runs(5, seed=2))[None]
    assert "as 10 show" in found.reason
    assert found.outcome == "same"


# ---------------------------------------------------------------------------------------------------------------- unfit
def test_one_sample_decides_nothing() -> None:
    for base, head, word in ((BASE, with_samples((1e-3,)), "head"), (with_samples((1e-3, 2e-3)), BASE, "base")):
        found = judge([base], [head])
        assert {each.outcome for each in found.values()} == {"undecided"}
        assert found[None].reason.startswith(f"{word} {BASE.run_id}: ")
        assert "expected at least 3" in found[None].reason


def test_samples_that_are_all_equal_decide_nothing() -> None:
    found = judge([with_samples((1e-3,) * 50)], [with_samples((9e-3,) * 50)])
    assert {each.outcome for each in found.values()} == {"undecided"}
    assert "no clock gives that" in found[None].reason


def test_samples_of_zero_are_no_times() -> None:
    assert judge([with_samples((0.0, 0.0, 1e-9))], [BASE]) == {}


def test_what_was_only_compiled_has_no_times() -> None:
    assert judge([factory.record([NAME], latency=False)], [BASE]) == {}


def test_layers_without_times_are_left_out() -> None:
    result: Result = BASE.results[0]
    layers = tuple(msgspec.structs.replace(layer, latency_s=None) for layer in result.layers)
    head = msgspec.structs.replace(BASE, results=(msgspec.structs.replace(result, layers=layers),))
    assert set(judge([BASE], [head])) == {None}
