"""What a record's result is a point of: the identity of its series, and the marks that may explain a change.

What is the same by nature is identity: network, type, batch, threads, target, and the machine with its hardware. What a
maintainer changes is a mark: versions, the kernel of the system, the network's content, the build, tuned schedules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import msgspec

from mbench.core import plain
from mbench.core.machine_types import Target
from mbench.core.records import Record, Result
from mbench.hardware import device_kinds
from mbench.history.series import Identity

_ID_CHARACTERS = 16
_NUL = r"\x00"
"""What stands for the character that PostgreSQL has no text for."""


def of_result(record: Record, result: Result) -> Identity:
    """Return what all points of this result's series share."""
    variant = result.variant
    machine, hardware = _place(record, result)
    texts = {
        "network": variant.name, "family": variant.family, "source": variant.source, "dtype": variant.dtype,
        "target": record.target.name, "device": record.device.kind, "machine": machine, "hardware": hardware,
    }  # fmt: skip
    return Identity(
        batch=variant.batch, threads=record.settings.threads, **{key: storable(text) for key, text in texts.items()}
    )


def series_id(identity: Identity, quantity: str) -> str:
    """Return the name of a series: the same in every store."""
    return _hashed((identity, quantity))[:_ID_CHARACTERS]


def key(identity: Identity) -> str:
    """Return the SHA-256 of an identity."""
    return _hashed(identity)


def marks(record: Record, result: Result) -> dict[str, str]:
    """Return what may explain that a point differs from the one before, by name."""
    return {name: storable(text) for name, text in _marks(record, result) if text}


def storable(text: str) -> str:
    """Return a text that every database holds: no lone surrogates, and no character of code 0."""
    return plain.storable(text).replace("\0", _NUL)


def _place(record: Record, result: Result) -> tuple[str, str]:
    """Return the machine that ran a result, and its hardware; of what is the same everywhere, no machine.

    A device of a farm goes by its name there.
    """
    facts, device = device_kinds.of(record.device.kind), record.device
    if facts.counts_only:
        emulated = record.target.emulation.get("qemu_cpu") or (device.emulator or "").rpartition(", ")[2]
        return "", emulated
    if not facts.runs:
        return "", ""
    machine = record.machine_of(result)
    processors = f"{machine.processors_usable or machine.cores_logical} processors"
    quota = "" if machine.processors_quota is None else f", {machine.processors_quota:g} by quota"
    return result.device or machine.name, device.gpu.name if device.gpu else f"{machine.cpu}, {processors}{quota}"


def _marks(record: Record, result: Result) -> Iterator[tuple[str, str]]:
    """Yield each mark with its value; empty where a record does not know it."""
    machine, settings, variant = record.machine_of(result), record.settings, result.variant
    yield "mbench", record.mbench_version
    yield from ((name, version) for name, version in sorted(record.host.versions.items()) if name != "mbench")
    if not device_kinds.of(record.device.kind).counts_only:
        yield "kernel", machine.os
        yield "governor", machine.conditions.governor or ""
        yield "memory", f"{round(machine.memory_bytes / 2**30)} GiB" if machine.memory_bytes else ""
    yield "driver", (record.device.gpu.driver or "") if record.device.gpu else ""
    yield "emulator", (result.counts.emulator if result.counts else record.device.emulator) or ""
    yield "code", " ".join(f"{name}={value}" for name, value in sorted(record.target.tvm.items()))
    yield "network", variant.digest or ""
    yield "file", str(variant.parameters.get("file_sha256") or "")
    yield "content", str(variant.parameters.get("content_sha256") or "")
    yield "quantization", _of_table(msgspec.to_builtins(variant.quantization)) if variant.quantization else ""
    yield "build", result.artifact.digest
    yield "schedules", _of_table(result.artifact.schedules)
    yield "tuned", _of_table(settings.tuned)
    yield "prefer", settings.prefer or "neither"
    yield "model", result.end_to_end.latency_model_method or ""
    yield "figures", _of_table(_figures(record.target))
    if not device_kinds.of(record.device.kind).counts_only:
        yield "timing", f"{settings.number} runs a sample, blocks of {settings.block}"


def _figures(target: Target) -> Mapping[str, object]:
    """Return what a target's description says of the hardware."""
    return {"processor": msgspec.to_builtins(target.processor), "peaks": msgspec.to_builtins(target.peaks)}


def _of_table(table: Mapping[str, object]) -> str:
    return _hashed(table)[:_ID_CHARACTERS] if table else ""


def _hashed(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
