from __future__ import annotations

import shutil
import subprocess

import msgspec
import pytest
import tvm

from mbench.core.errors import TargetError
from mbench.core.machine_types import Target
from mbench.hardware import host, linker, llvm, platforms, targets

SHIPPED = sorted(targets.available())


@pytest.mark.parametrize("name", SHIPPED)
def test_tvm_takes_each_shipped_target(name: str) -> None:
    described = targets.load(name).tvm_options
    taken = tvm.target.Target(described)
    assert taken.kind.name == described["kind"]
    for key in described.keys() - {"kind", "mattr"}:
        assert taken.attrs[key] == described[key], key
    assert list(taken.attrs.get("mattr", [])) == described.get("mattr", [])


@pytest.mark.parametrize("name", SHIPPED)
def test_llvm_knows_each_shipped_mcpu(name: str) -> None:
    llvm.check_llvm(targets.load(name))


def changed(**tvm_keys: str) -> Target:
    target = targets.load("arm64_cortex_a72")
    return msgspec.structs.replace(target, tvm={**target.tvm, **tvm_keys})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"mcpu": "cortex-a722"},
            "tvm.mcpu 'cortex-a722' is not a processor that LLVM knows for aarch64-linux-gnu"
            "; did you mean 'cortex-a72'?",
        ),
        (
            {"mcpu": "x86-64-v3"},
            "tvm.mcpu 'x86-64-v3' is not a processor that LLVM knows for aarch64-linux-gnu; it knows ",
        ),
        (
            {"mtriple": "x86_64-linux-gnu"},
            "tvm.mcpu 'cortex-a72' is not a processor that LLVM knows for x86_64-linux-gnu",
        ),
        ({"mtriple": "pdp11-linux"}, "tvm.mtriple 'pdp11-linux' is of an architecture that LLVM does not know"),
    ],
)
def test_what_llvm_does_not_know_is_refused(keys: dict[str, str], said: str) -> None:
    with pytest.raises(TargetError) as caught:
        llvm.check_llvm(changed(**keys))
    assert str(caught.value).startswith(f"target 'arm64_cortex_a72': {said}")
    assert "\n" not in str(caught.value)


def test_the_host_cpu_is_one_that_llvm_knows() -> None:
    found = llvm.host_target()
    assert found.name == "host"
    assert found == targets.load("host")
    llvm.check_llvm(found)
    tvm.target.Target(found.tvm)
    triple = str(found.tvm["mtriple"])
    assert linker.architecture(triple) == host.describe().architecture
    assert len(triple.split("-")) == 3


def fake(monkeypatch: pytest.MonkeyPatch, *, triple: str, mcpu: str) -> None:
    real = llvm._call
    answers = {"target.llvm_get_system_triple": triple, "target.llvm_get_system_cpu": mcpu}
    monkeypatch.setattr(llvm, "_call", lambda name, *given: answers[name] if name in answers else real(name, *given))


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        (set(), "skylake-avx512"),
        ({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}, "x86-64-v3"),
        ({"avx512vl", "fma"}, "x86-64-v2"),
        ({"avx512vl", "avx2", "sse4_2"}, "x86-64"),
    ],
)
def test_a_vector_unit_that_a_hypervisor_hides_is_not_used(
    monkeypatch: pytest.MonkeyPatch, hidden: set[str], expected: str
) -> None:
    fake(monkeypatch, triple="x86_64-conda-linux-gnu", mcpu="skylake-avx512")
    features = set(targets.load("x86_64_v4").processor.requires) - hidden
    assert llvm.host_cpu(features) == ("x86_64-linux-gnu", expected)


@pytest.mark.parametrize(
    ("mcpu", "named", "expected"),
    [
        ("znver4", "x86_64_v4_vnni", "icelake-client"),  # a guest that is given no bfloat16
        ("znver5", "x86_64_v3_vnni", "alderlake"),  # and no AVX-512
    ],
)
def test_dot_products_of_bytes_are_used_where_a_hypervisor_leaves_them(
    monkeypatch: pytest.MonkeyPatch, mcpu: str, named: str, expected: str
) -> None:
    fake(monkeypatch, triple="x86_64-unknown-linux-gnu", mcpu=mcpu)
    features = set(targets.load(named).processor.requires)
    assert llvm.host_cpu(features) == ("x86_64-linux-gnu", expected)


@pytest.mark.parametrize(("hidden", "asked"), [(set(), "+avx512bf16"), ({"avx512_bf16"}, None)])
def test_bfloat16_is_asked_for_where_a_hypervisor_hides_something_else(
    monkeypatch: pytest.MonkeyPatch, hidden: set[str], asked: str | None
) -> None:
    fake(monkeypatch, triple="x86_64-unknown-linux-gnu", mcpu="sapphirerapids")  # a guest that is given no AMX
    features = tuple(set(targets.load("x86_64_v4_bf16").processor.requires) - hidden)
    machine = msgspec.structs.replace(host.describe(), features=features, architecture="x86_64")
    monkeypatch.setattr(host, "describe", lambda: machine)
    found = llvm.host_target()
    assert (found.tvm["mcpu"], found.tvm.get("mattr")) == ("icelake-client", asked)
    assert ("avx512_bf16" in found.processor.requires) == (asked is not None)
    assert ("bfloat16" in platforms.of(found).types(found)) == (asked is not None)


@pytest.mark.parametrize(
    ("mcpu", "hidden", "expected"),
    [
        ("neoverse-v2", set(), "neoverse-v2"),
        ("neoverse-v2", {"sve", "sve2"}, "neoverse-n1"),  # a guest that is given no SVE
        ("neoverse-v2", {"sve", "sve2", "atomics"}, "cortex-a72"),
        ("neoverse-v2", {"sve", "atomics", "crc32"}, "generic"),
        ("generic", {"sve", "sve2"}, "generic"),  # a processor that LLVM does not know
    ],
)
def test_a_vector_unit_that_a_hypervisor_hides_is_not_used_on_arm64_either(
    monkeypatch: pytest.MonkeyPatch, mcpu: str, hidden: set[str], expected: str
) -> None:
    fake(monkeypatch, triple="aarch64-unknown-linux-gnu", mcpu=mcpu)
    features = set(targets.load("arm64_neoverse_v2").processor.requires) - hidden
    assert llvm.host_cpu(features) == ("aarch64-linux-gnu", expected)


@pytest.mark.parametrize("name", [name for name in SHIPPED if targets.load(name).family != "gpu"])
def test_a_target_requires_whatever_llvm_uses_unasked(name: str) -> None:
    target = targets.load(name)
    used = llvm.unasked_features(str(target.tvm["mtriple"]), str(target.tvm["mcpu"]))
    assert used, name
    assert used <= {llvm._bare(feature) for feature in target.processor.requires}


def test_arm64_and_macos_keep_what_llvm_says(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, triple="arm64-apple-darwin23.1.0", mcpu="apple-m1")
    assert llvm.host_cpu(["asimd"]) == ("arm64-apple-darwin23.1.0", "apple-m1")


@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="no qemu-aarch64")
def test_qemu_knows_the_processors_of_arm64() -> None:
    """`-cpu help` lists them (and exits 1 in some versions)."""
    known = subprocess.run(["qemu-aarch64", "-cpu", "help"], capture_output=True, text=True, check=False).stdout.split()
    assert "max" in known
    for target in targets.load_all().values():
        if target.family == "arm":
            assert target.emulation["qemu_cpu"].split(",")[0] in known, target.name
