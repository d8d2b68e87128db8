"""One network by its name, as an ONNX file and as a `.pt2`: what importing takes, and whether the kernels are the same.

Run: python benchmarks/import_time.py [VARIANT...]. The files are written by torch's exporters. `mbench variants` reads
each with an empty cache, in a process of its own, in turn. Goals beyond the network by its name: 1 s and 4 s. Then all
three are built and measured in one run, on one thread. Exit code 1 if kernels differ.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import logging
import statistics
import sys
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import machine
from layout import table
from startup import seconds

import mbench
from mbench.analysis import headline
from mbench.build import build
from mbench.core.records import Variant
from mbench.hardware import targets
from mbench.networks import architectures, torch_network, variants

VARIANTS = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v4_conv_small")
GOALS_S = {"ONNX": 1.0, ".pt2": 4.0}


def main() -> int:
    """Print, for each network, what importing takes and how its kernels differ; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", default=VARIANTS, metavar="VARIANT")
    parser.add_argument("-n", "--runs", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=5)
    arguments = parser.parse_args()
    heading = machine.heading()
    rows, code = [], 0
    for name in variants.expand(arguments.variants):
        with tempfile.TemporaryDirectory() as folder:
            forms = {"name": name, **write(variants.parse(name), Path(folder))}
            row, same = _row(name, forms, arguments)
        rows.append(row)
        code |= not same
    columns = ("network", *(f"{form}: more, s" for form in GOALS_S), "kernels", *("name, ms", *GOALS_S))
    goals = ", ".join(f"{form} {goal:g} s" for form, goal in GOALS_S.items())
    print(f"{heading}\nmedians of {arguments.runs} runs; goals: {goals}; latency on one thread: median, interval")
    print(table(columns, rows))
    return code


def write(variant: Variant, folder: Path) -> dict[str, str]:
    """Write a network as torch's exporters do, with BatchNorm; return the file of each form."""
    import torch

    graph = architectures.graph(variant)
    network = torch_network.TorchNetwork(graph, torch_network.draw(graph))
    images = tuple(torch_network.example_inputs(graph).values())
    files = {"ONNX": folder / f"{variant.name}_onnx.onnx", ".pt2": folder / f"{variant.name}_pt2.pt2"}
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(network, images), files[".pt2"])
        torch.onnx.export(network, images, str(files["ONNX"]), dynamo=False)
    logging.disable(logging.NOTSET)
    return {form: str(file) for form, file in files.items()}


def _row(name: str, forms: Mapping[str, str], arguments: argparse.Namespace) -> tuple[tuple[str, ...], bool]:
    taken = import_s(forms.values(), arguments.runs)
    more = [taken[forms[form]] - taken[forms["name"]] for form in GOALS_S]
    files = mbench.Network.from_onnx(forms["ONNX"]), mbench.Network.from_export(forms[".pt2"])
    found = [kernels(each) for each in (variants.parse(name), *(file.at() for file in files))]
    same = found[0] == found[1] == found[2]
    with tempfile.TemporaryDirectory() as output:
        asked = mbench.RunOptions(threads=1, sessions=arguments.sessions, use_tuned=False, output=Path(output))
        record = mbench.run([name, *files], options=asked)
    return (
        name,
        *(f"{each:.2f}" for each in more),
        "the same" if same else "differ",
        *_latencies(record, [name, *(file.name for file in files)]),
    ), same


def import_s(sources: Iterable[str], runs: int) -> dict[str, float]:
    """Return the seconds that `mbench variants` takes for each network with an empty cache: medians, in turn."""
    command = [sys.executable, "-m", "mbench", "variants"]
    taken: dict[str, list[float]] = {source: [] for source in sources}
    for _ in range(runs):
        for source, seen in taken.items():
            with tempfile.TemporaryDirectory() as cache:
                seen.append(seconds([*command, source], cache=Path(cache)))
    return {source: statistics.median(seen) for source, seen in taken.items()}


def kernels(variant: Variant) -> collections.Counter[tuple[object, ...]]:
    """Return what each kernel computes and how it is made, with how often there is such a one."""
    with tempfile.TemporaryDirectory() as cache:
        made, _ = build.build(variant, targets.for_threads(targets.load("host"), 1), Path(cache))
    manifest = made.manifest
    called = [(kernel, manifest.layers[place]) for kernel, place in manifest.calls]
    return collections.Counter(
        (layer.op, layer.input_shape, layer.output_shape, manifest.schedules.get(kernel)) for kernel, layer in called
    )


def _latencies(record: mbench.Record, names: Iterable[str]) -> list[str]:
    found = {result.variant.name: headline.of_result(result) for result in record.results}
    return [_latency(found.get(name)) for name in names]


def _latency(found: headline.Headline | None) -> str:
    if found is None:
        return "failed"
    ends = found.interval
    return f"{found.median_s * 1e3:.3f}" + (f" ({ends.low * 1e3:.3f} to {ends.high * 1e3:.3f})" if ends else "")


if __name__ == "__main__":
    sys.exit(main())
