from __future__ import annotations

import msgspec
import pytest

from mbench.hardware import byte_instructions, targets


@pytest.mark.parametrize(
    ("name", "first", "multiply_adds", "is_dot_product"),
    [
        ("x86_64_v2", "vpmaddubsw", 16, False),
        ("x86_64_v3", "vpmaddubsw", 32, False),
        ("x86_64_v4", "vpmaddubsw", 64, False),
        ("arm64_cortex_a53", "smull", 16, False),
        ("arm64_cortex_a72", "smull", 16, False),
        ("arm64_cortex_a76", "sdot", 16, True),
        ("arm64_neoverse_v2", "smmla", 32, True),
    ],
)
def test_what_a_target_multiplies_bytes_by(name: str, first: str, multiply_adds: int, is_dot_product: bool) -> None:
    target = targets.load(name)
    found = byte_instructions.of(target.family, target.processor)
    assert found is not None
    assert (found.mnemonics[0], found.multiply_adds, found.is_dot_product) == (first, multiply_adds, is_dot_product)


@pytest.mark.parametrize(
    ("requires", "bits"),
    [(("avx512_vnni", "avx512vl", "avx512bw"), 512), (("avx_vnni", "avx2"), 256), (("avx512_vnni", "avx2"), None)],
)
def test_vnni_is_of_its_own_width(requires: tuple[str, ...], bits: int | None) -> None:
    target = targets.load("x86_64_v4")
    processor = msgspec.structs.replace(target.processor, requires=requires)
    found = byte_instructions.of("x86", processor)
    assert found is not None
    assert found.is_dot_product is (bits is not None)
    if bits:
        assert (found.mnemonics, found.bits, found.multiply_adds) == (("vpdpbusd",), bits, bits // 8)


def test_an_instruction_against_those_of_float32() -> None:
    """vpdpbusd multiplies 64 bytes where an FMA multiplies 16 floats; three of AVX2 multiply 32 where three do 24."""
    vnni = byte_instructions.ByteInstructions(mnemonics=("vpdpbusd",), bits=512, multiply_adds=64)
    assert vnni.against_floats(512) == 4
    avx2 = targets.load("x86_64_v3")
    found = byte_instructions.of("x86", avx2.processor)
    assert found is not None
    assert found.against_floats(256) == pytest.approx(4 / 3)


def test_a_gpu_or_an_unknown_processor_has_none_that_is_known() -> None:
    target = targets.load("cuda_sm90")
    assert byte_instructions.of(target.family, target.processor) is None
    bare = msgspec.structs.replace(targets.load("x86_64_v2").processor, requires=())
    assert byte_instructions.of("x86", bare) is None
