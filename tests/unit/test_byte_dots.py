"""Which instructions multiply the bytes of a kernel: those of the machine, and of them the quickest that is exact."""

from __future__ import annotations

import kernel_cases as kernels
import pytest
from byte_layers import AVX2, BW, VNNI, VNNI_256, ByteConv, dot_of, kernels_of

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.cpu import byte_dots


@pytest.mark.parametrize(("machine", "taken"), [(VNNI, True), (kernels.AVX512, False)])
def test_kernels_of_bytes_are_for_machines_with_dot_products(machine: KernelMachine, taken: bool) -> None:
    assert [byte_dots.of(kernel, machine) is not None for kernel in kernels_of(ByteConv())] == [False, taken, False]
    assert byte_dots.of(Kernel(kernels.Conv(kernel=1).function()), machine) is None


@pytest.mark.parametrize(
    ("machine", "layer", "name", "shift"),
    [
        (VNNI, ByteConv(), "vpdpbusd", 0),
        (VNNI, ByteConv(narrow=True), "vpdpbusd", 0),
        (VNNI_256, ByteConv(dtype="int8"), "vpdpbusd", 128),
        (VNNI, ByteConv(other_zero_point=3), "vpmaddwd", 0),
        (BW, ByteConv(narrow=True), "vpmaddubsw", 0),
        (AVX2, ByteConv(narrow=True, dtype="int8"), "vpmaddubsw", 128),
        (AVX2, ByteConv(narrow=True, other_zero_point=3), "vpmaddwd", 0),
        (AVX2, ByteConv(), "vpmaddwd", 0),
        (BW, ByteConv(dtype="int8"), "vpmaddwd", 128),
    ],
)
def test_the_quickest_instruction_that_is_exact(machine: KernelMachine, layer: ByteConv, name: str, shift: int) -> None:
    dot = dot_of(machine, layer)
    assert (dot.name, dot.shift) == (name, shift)
