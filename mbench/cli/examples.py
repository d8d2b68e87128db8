"""Examples of each command, shown below its help. A test parses each of them, so that they stay true."""

from __future__ import annotations

from collections.abc import Mapping

import click

from mbench.cli import defaults

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "mbench run mobilenet_v2_0.5_160",
        "mbench run net.onnx --dtype float32,int8",
        "mbench fit --max-latency 20ms --max-memory 4MB",
        "mbench list",
    ),
    "run": (
        "mbench run mobilenet_v2_0.5_160",
        "mbench run 'mobilenet_v1_{0.25,0.5}_{128,224}' --quick",
        "mbench run net.onnx --dtype float32,int8 --threads 2",
        "mbench run mobilenet_v3_small --target arm64 --device emulated",
        "mbench run --resume mbench-results/20261201-101500-3f2a1b.json",
    ),
    "fit": (
        "mbench fit --max-latency 20ms",
        "mbench fit mobilenet_v2 mobilenet_v3_small --max-memory 4MB --dtype int8",
        "mbench fit --min-accuracy 65 --minimize energy --target arm64_cortex_a72",
    ),
    "predict": (
        "mbench predict mobilenet_v2",
        "mbench predict 'mobilenet_v1_{0.25,0.5}_{128,160}' --threads 1",
    ),
    "tune": (
        "mbench tune mobilenet_v2_0.5_160",
        "mbench tune net.onnx --threads 1 --tries 24",
    ),
    "show": (
        "mbench show mbench-results",
        "mbench show mbench-results/20261201-101500-3f2a1b.json --json",
    ),
    "report": (
        "mbench report mbench-results -o all.html",
        "mbench report before.json after.json -o both.html",
    ),
    "compare": (
        "mbench compare before.json after.json",
        "mbench compare float32.json int8.json --html compare.html",
    ),
    "gate": (
        "mbench gate baseline.json mbench-results/new.json",
        "mbench gate base.json head.json --paired --threshold latency=3%",
        "mbench gate base.json head.json --junit gate.xml --annotations",
    ),
    "history": (
        "mbench history add mbench-results",
        "mbench history check 'mobilenet_v2_*'",
    ),
    "history add": (
        "mbench history add mbench-results",
        "mbench history add run.json --store team.db",
    ),
    "history list": (
        "mbench history list --since 30d",
        "mbench history list --network 'mobilenet_v2_*' --branch main",
    ),
    "history export": (
        "mbench history export records --since 2026-11-01",
    ),
    "history show": (
        "mbench history show mobilenet_v2_1.0_224",
        "mbench history show 'mobilenet_v1_*' --quantity instructions",
    ),
    "history check": (
        "mbench history check",
        "mbench history check 'mobilenet_v2_*' --last 5 --threshold latency=5%",
    ),
    "history publish": (
        "mbench history publish site",
        "mbench history publish site --record-pages all",
    ),
    "history serve": (
        "mbench history serve --port 8000",
    ),
    "variants": (
        "mbench variants",
        "mbench variants mobilenet_v2_0.5_160",
        "mbench variants net.onnx --input-shape image=1,3,224,224",
    ),
    "targets": (
        "mbench targets",
        "mbench targets arm64_cortex_a72",
    ),
    "list": (
        "mbench list",
        "mbench list targets",
    ),
    "device": (
        "mbench device serve --target arm64_cortex_a72",
        "mbench device add pi --rpc 127.0.0.1:9090",
        "mbench run --target arm64_cortex_a72 --device pi",
    ),
    "device serve": (
        "mbench device serve --target arm64_cortex_a72 -o server",
    ),
    "device add": (
        "mbench device add pi --rpc 127.0.0.1:9090",
        "mbench device add phones --tracker 10.0.0.5:9190 --key pixel",
    ),
    "device list": ("mbench device list --json",),
    "device remove": ("mbench device remove pi",),
    "doctor": ("mbench doctor",),
    "schema": ("mbench schema record",),
    "completion": (
        "mbench completion bash >> ~/.bashrc",
        "mbench completion zsh >> ~/.zshrc",
        "mbench completion fish > ~/.config/fish/completions/mbench.fish",
    ),
}  # fmt: skip
"""Command lines by the words of their command; none: of mbench itself."""


def write(context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the examples of a command below its help."""
    lines = EXAMPLES.get(" ".join(defaults.path(context)), ())
    if lines:
        with formatter.section("Examples" if len(lines) > 1 else "Example"):
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
