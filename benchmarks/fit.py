"""How good `mbench fit` is: how far its predictions are off, whether its answers are the best ones, how long it takes.

Run: python benchmarks/fit.py predictions RECORD...     networks of these records, predicted from others of them
     python benchmarks/fit.py answers RECORD... [--limits N]  searches among them, beside looking at all of them
     python benchmarks/fit.py time [FAMILY] --max-latency T   a search with an empty store, and the same once more

The records hold networks of a few families with their layers, all of one device, type and number of threads each:

     mbench run 'mobilenet_v2_{0.35,0.5,0.75,1.0,1.3,1.4}_{96,128,160,192,224}' --threads 1 --sessions 3
     mbench run 'mobilenet_v1_{0.25,0.5,0.75,1.0}_{128,160,192,224}' --target arm64_cortex_a72

Predictions: many times, some networks of each family are drawn, a model learns from them, and predicts the rest.
Answers: limits are drawn from the latencies of the records; the search measures by looking a network up.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import machine

import mbench
from mbench.analysis import accuracy
from mbench.core import quantities, stats
from mbench.core.fit_records import CandidateResult, DeviceLimits
from mbench.core.progress import Progress, silent
from mbench.core.records import Record, Variant
from mbench.fitting import answers, candidates, layer_shapes, observations, search
from mbench.fitting.budget import Budget
from mbench.fitting.layer_model import SeenLayer
from mbench.fitting.network_model import NetworkModel, SeenNetwork
from mbench.fitting.observations import LATENCY, Observed
from mbench.fitting.search import FitSearch, Question
from mbench.hardware import targets

_NOISE = 0.02
_COUNTED_NOISE = 0.001
_SPLITS = 10


def main() -> None:
    """Do what was asked for, and print it."""
    arguments = _arguments()
    print(machine.heading())
    if arguments.what == "time":
        _time(arguments.names or ["mobilenet_v2"], arguments)
        return
    records = [mbench.read(name) for name in arguments.names]
    if arguments.what == "predictions":
        _predictions(records, arguments.learnt)
    else:
        _answers(records, arguments.limits)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["predictions", "answers", "time"])
    parser.add_argument("names", nargs="*", metavar="RECORD|FAMILY")
    parser.add_argument(
        "--learnt", type=int, nargs="+", default=[4, 6, 8], help="networks of each family to learn from"
    )
    parser.add_argument("--limits", type=int, default=30, help="limits to draw")
    parser.add_argument("--max-latency", default="2ms")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


# ---------------------------------------------------------------------------------------------------------- predictions
def _predictions(records: Sequence[Record], learnt: Sequence[int]) -> None:
    observed = _observed(records).values()
    for quantity, of in (("latency", _network), ("instructions", _counted)):
        seen = [network for each in observed if (network := of(each)) is not None]
        if seen:
            print(f"{quantity} of {len(seen)} networks; learnt from: median error, nine in ten within, largest, held")
            _errors(seen, learnt, _NOISE if of is _network else _COUNTED_NOISE)


def _errors(seen: Sequence[SeenNetwork], learnt: Sequence[int], noise: float) -> None:
    for count in learnt:
        errors, held = _left_out(seen, count, noise)
        middle, most = stats.quantiles(errors, (0.5, 0.9))
        print(
            f"{count} of each family: {middle:.1%}, {most:.1%}, {max(errors):.1%}, {held / len(errors):.0%} "
            f"({len(errors)} predictions)"
        )


def _left_out(seen: Sequence[SeenNetwork], count: int, noise: float) -> tuple[list[float], int]:
    """Return the relative errors of networks that were not learnt from, and how many their intervals held."""
    drawn, errors, held = random.Random(count), list[float](), 0
    groups: dict[str, list[SeenNetwork]] = {}
    for each in seen:
        groups.setdefault(each.group, []).append(each)
    for _ in range(_SPLITS):
        known = [each for members in groups.values() for each in drawn.sample(members, min(count, len(members)))]
        model = NetworkModel(known, noise=noise)
        for each in seen:
            if each not in known:
                found = model.predict(each.group, [layer.shape for layer in each.layers])
                errors.append(abs(found.value / each.whole - 1))
                held += found.low <= each.whole <= found.high
    return errors, held


def _observed(records: Sequence[Record]) -> dict[str, Observed]:
    found = (observations.of_result(result) for record in records for result in record.results)
    return {each.name: each for each in found if each is not None}


def _network(observed: Observed) -> SeenNetwork | None:
    return observations.network(observed, candidates.group(observed.result.variant), LATENCY)


def _counted(observed: Observed) -> SeenNetwork | None:
    """Return a network with the instructions of its layers as its costs; None where they were not counted."""
    result = observed.result
    layers = [
        SeenLayer(shape=layer_shapes.of_layer(layer, result.variant.dtype), cost=layer.counters.instructions)
        for layer in result.layers
        if layer.counters is not None
    ]
    if result.counts is None or len(layers) < len(result.layers):
        return None
    group, whole = candidates.group(result.variant), result.counts.counters.instructions
    return SeenNetwork(name=observed.name, group=group, layers=tuple(layers), whole=whole)


# -------------------------------------------------------------------------------------------------------------- answers
class _LookedUp:
    """Stands for a device: what it measures is looked up in records."""

    def __init__(self, all_: dict[str, Observed]) -> None:
        self._all = all_
        self.known: dict[str, Observed] = {}
        self.failed: dict[str, str] = {}
        self.attempts: dict[str, int] = {}

    def measure(self, networks: Sequence[Variant], _progress: Progress, *, sessions: int) -> tuple[Observed, ...]:
        for each in networks:
            self.attempts[each.name] = sessions
            self.known[each.name] = self._all[each.name]
        return ()


def _answers(records: Sequence[Record], count: int) -> None:
    every, target = _observed(records), records[0].target
    networks = [each.result.variant for each in every.values()]
    described = candidates.described(networks, targets.for_threads(target, records[0].settings.threads))
    accuracies = {each.name: accuracy.of(each.network) for each in described}
    times = sorted(each.latency_s for each in every.values())
    drawn, right, measured = random.Random(0), 0, 0
    for _ in range(count):
        limit = math.exp(drawn.uniform(math.log(times[0]), math.log(times[-1])))
        limits, device = DeviceLimits(latency_s=limit), _LookedUp(every)
        question = Question(candidates=described, accuracies=accuracies, limits=limits)
        budget = Budget(math.inf, counted=False)
        found = FitSearch(question, device, budget=budget, sessions=5).run(silent, search.unheard)  # type: ignore[arg-type]
        given = answers.answers(found.estimates.candidates, limits, found.sure)
        best = max((accuracies[name].top1_percent or 0.0 for name, each in every.items() if each.latency_s <= limit))
        mine = accuracies[given[0].network].top1_percent or 0.0 if given else 0.0
        right += mine >= best - 0.3
        measured += len(device.known)
        if mine < best - 0.3:
            print(f"latency at most {limit * 1e3:.3f} ms: {mine:.1f} %, the best has {best:.1f} %")
    print(f"{right} of {count} limits: the best of {len(every)} networks, or within 0.3 points of its top-1")
    print(f"{measured / count:.1f} of {len(every)} networks measured in the mean")


# ----------------------------------------------------------------------------------------------------------------- time
def _time(families: Sequence[str], arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        limit_s = quantities.seconds(arguments.max_latency, "--max-latency")
        options = mbench.FitOptions(max_latency_s=limit_s, threads=arguments.threads, output=Path(folder))
        for which in ("first", "once more"):
            began = time.perf_counter()
            found = mbench.fit(families, options=options)
            taken, known = time.perf_counter() - began, sum(_is_known(each) for each in found.candidates)
            name = found.answers[0].network if found.answers else "nothing fits"
            print(
                f"{which}: {taken:.1f} s, {known} of {len(found.candidates)} measured, {name}, certain: {found.certain}"
            )


def _is_known(candidate: CandidateResult) -> bool:
    return candidate.latency_s is not None and candidate.latency_s.basis != "predicted"


if __name__ == "__main__":
    main()
