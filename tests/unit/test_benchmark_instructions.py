from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mbench import costs, models, targets, variants
from mbench.compile.kernel import Matmul


def script(name: str) -> ModuleType:
    """Import a module of benchmarks/, which is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


layout = script("layout")
machine = script("machine")
assembly = script("assembly")
executions = script("executions")
instructions = script("instructions")

# 5 rows in tiles of 2, 2 and 1, 2 panels of 4 channels, 12 steps unrolled by 2; a task a panel
PRODUCT = Matmul(rows=5, reduction=12, columns=8)
PARAMETERS = {"rows": 2, "vectors": 1, "row_parts": 1, "panel_parts": 2}
ARM = """
kernel:
.Lfunc_begin0:
	cmp	w20, w21
	b.ge	.LBB0_9
.LBB0_1:
	blr	x8
	cbz	x0, .LBB0_8
	mov	x13, xzr
	.p2align	4, , 8
.LBB0_2:
	mov	w6, #6
.LBB0_3:
	ldp	q2, q3, [x4, #-64]
	fmla	v0.4s, v2.4s, v4.s[0]
	fmla	v1.4s, v2.4s, v5.s[0]
	fmla	v0.4s, v3.4s, v4.s[1]
	subs	x6, x6, #1
	fmla	v1.4s, v3.4s, v5.s[1]
	b.ne	.LBB0_3
	str	q0, [x9]
	add	x13, x13, #1
	cmp	x13, #2
	b.lo	.LBB0_2
	mov	x12, xzr
.LBB0_5:
	ldr	q2, [sp, #16]
	fmla	v0.4s, v2.4s, v4.s[0]
	fmla	v0.4s, v3.4s, v4.s[1]
	add	x12, x12, #1, lsl #12
	cmp	x12, #6, lsl #12
	b.ne	.LBB0_5
	add	w20, w20, #1
	cmp	w20, w21
	b.ne	.LBB0_1
	b	.LBB0_9
.LBB0_8:
	mov	w0, #-1
.LBB0_9:
	ret
.Lfunc_end0:
"""
ARM_FMAS = 2 * (2 * 6 * 4 + 6 * 2)
ARM_INSTRUCTIONS = 2 + 2 * (3 + 2 * (1 + 6 * 7 + 4) + 1 + 6 * 6 + 3) + 2
X86 = """
kernel: # @kernel
.Lfunc_begin0:
	cmpl	%r14d, %ebx
	jge	.LBB0_9
.LBB0_1:
	callq	*(%rax)
	movl	$-1, %ecx
	testq	%rax, %rax
	je	.LBB0_9
	movq	$0, 8(%rsp)
.LBB0_2:
	movq	$-96, %r11
.LBB0_3:
	vbroadcastss	-12(%r10,%r11), %ymm12
	vfmadd231ps	-32(%rbp), %ymm12, %ymm0
	vfmadd231ps	%ymm13, %ymm12, %ymm1
	vfmadd231ps	(%rbp), %ymm12, %ymm0
	vfmadd231ps	%ymm13, %ymm12, %ymm1
	addq	$16, %r11
	jne	.LBB0_3
	movq	8(%rsp), %rdx
	incq	%rdx
	movq	%rdx, 8(%rsp)
	cmpq	$2, %rdx
	jne	.LBB0_2
	xorl	%r9d, %r9d
.LBB0_5:
	vmovups	64(%rsp), %ymm3
	vfmadd231ps	%ymm3, %ymm12, %ymm0
	vfmadd231ps	%ymm4, %ymm12, %ymm0
	addq	$8, %r9
	cmpq	$48, %r9
	jb	.LBB0_5
	incl	%ebx
	xorl	%ecx, %ecx
	cmpl	%r14d, %ebx
	jne	.LBB0_1
.LBB0_9:
	movl	%ecx, %eax
	retq
.Lfunc_end0:
"""
X86_INSTRUCTIONS = 2 + 2 * (5 + 2 * (1 + 6 * 7 + 5) + 1 + 6 * 6 + 4) + 2
WIDE = Matmul(rows=5, reduction=12, columns=16)


def count(code: str, product: Matmul = PRODUCT, lanes: int = 4, **parameters: int) -> Any:
    (function,) = assembly.functions(code).values()
    nest = instructions.nest(product, lanes, {**PARAMETERS, **parameters})
    return instructions.count(function, nest, product, lanes, layers=("a",), rule="cpu.matmul 2x1x4")


@pytest.mark.parametrize(
    ("code", "product", "lanes", "expected"),
    [(ARM, PRODUCT, 4, ARM_INSTRUCTIONS), (X86, WIDE, 8, X86_INSTRUCTIONS)],
    ids=["arm", "x86"],
)
def test_instructions_and_multiply_adds_are_counted_as_by_hand(
    code: str, product: Matmul, lanes: int, expected: int
) -> None:
    seen = count(code, product, lanes)
    assert seen.wrong is None
    assert seen.multiply_adds == seen.needed == ARM_FMAS == 120
    assert seen.instructions == expected
    assert seen.loop_instructions == 2 * (2 * 6 * 7 + 6 * 6)
    assert seen.of_kernel == pytest.approx(expected / 120)
    assert seen.spills == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mov	w6, #6", "mov	w6, #7"),
        ("cmp	x13, #2", "cmp	x13, #3"),
        ("	fmla	v1.4s, v3.4s, v5.s[1]\n", ""),
        ("	fmla	v0.4s, v3.4s, v4.s[1]\n	add", "	add"),
    ],
)
def test_code_that_multiplies_more_or_less_than_the_sizes_say_is_wrong(before: str, after: str) -> None:
    assert before in ARM
    seen = count(ARM.replace(before, after))
    assert seen.wrong is not None
    assert instructions.findings([seen])[0].startswith("WRONG: a: ")
    assert "WRONG" in instructions.table([seen], 1.6, markdown=False)


def test_a_tile_that_the_rule_does_not_make_is_refused() -> None:
    with pytest.raises(assembly.AssemblyError, match="no tile of that size"):
        instructions.nest(PRODUCT, 4, PARAMETERS).tiles(3)


def test_a_branch_that_nothing_is_known_of_is_refused() -> None:
    code = ARM.replace("	str	q0, [x9]", "	cbz	x3, .LBB0_4\n	str	q0, [x9]\n.LBB0_4:")
    with pytest.raises(assembly.AssemblyError, match="guards no loop"):
        count(code)


def test_a_loop_of_which_nothing_is_known_is_refused() -> None:
    code = ARM.replace("	str	q0, [x9]", ".LBB0_4:\n	cmp	x3, x2\n	b.ne	.LBB0_4\n	str	q0, [x9]")
    with pytest.raises(assembly.AssemblyError, match="nobody knows how often"):
        count(code)


def test_a_loop_that_counts_to_a_register_takes_the_rule_s_number_of_tiles() -> None:
    # 7 rows are tiles of 2, 2, 2 and 1; of two parts of them, one has two tiles of 2, the other one of 2 and one of 1
    code = ARM.replace("cmp	x13, #2", "cmp	x13, x10").replace(
        "	mov	x12, xzr", "	b.lt	.LBB0_6\n	mov	x12, xzr"
    )
    code = code.replace("	add	w20, w20, #1", ".LBB0_6:\n	add	w20, w20, #1")
    seen = count(code, Matmul(rows=7, reduction=12, columns=8), row_parts=2, panel_parts=2)
    assert seen.wrong is None
    assert seen.multiply_adds == 7 * 12 * 8 // 4


def test_tiles_that_are_written_out_one_by_one_are_entered_by_the_tasks_that_have_them() -> None:
    # 7 rows are tiles of 2, 2, 2 and 1; of two parts of them, one has two tiles of 2, the other one of 2 and one of 1
    loop = ARM[ARM.index(".LBB0_2:") : ARM.index("	add	x13, x13, #1")]
    second = (
        loop.replace("BB0_2", "BB0_6").replace("BB0_3", "BB0_7").replace(".LBB0_6", "	cbz	x3, .LBB0_4\n.LBB0_6")
    )
    start, end = ARM.index(".LBB0_2:"), ARM.index("	mov	x12, xzr")
    code = ARM[:start] + loop + second + ".LBB0_4:\n	b.lt	.LBB0_10\n" + ARM[end:]
    code = code.replace("	add	w20, w20, #1", ".LBB0_10:\n	add	w20, w20, #1")
    seen = count(code, Matmul(rows=7, reduction=12, columns=8), row_parts=2)
    assert seen.multiply_adds == seen.needed == 7 * 12 * 8 // 4


def test_a_loop_of_two_turns_that_keeps_a_flag_instead_of_counting_is_one_of_tiles() -> None:
    # 4 panels in one task, each of two tiles of 2: the panels are counted, the tiles are not
    start, end = ARM.index("	mov	x13, xzr"), ARM.index("	mov	x12, xzr")
    tiles = ARM[start:end].replace("cmp	x13, #2", "tst	x14, #1").replace("b.lo", "b.ne")
    panels = (
        "	mov	x15, xzr\n.LBB0_7:\n" + tiles + "	add	x15, x15, #1\n	cmp	x15, #4\n	b.ne	.LBB0_7\n"
    )
    code = ARM[:start] + panels + ARM[ARM.index("	add	w20, w20, #1") :]
    product = Matmul(rows=8, reduction=12, columns=16)
    seen = count(code, product, row_parts=2, panel_parts=1)
    assert seen.wrong is None
    assert seen.multiply_adds == seen.needed == 8 * 12 * 16 // 4


def test_channels_that_panels_share_are_expected_twice_and_needed_once() -> None:
    seen = count(ARM, Matmul(rows=5, reduction=12, columns=6))
    assert (seen.needed, seen.expected, seen.wrong) == (90, 120, None)
    assert "33.3 % more" in instructions.findings([seen])[0]


def test_the_rule_s_loops_are_told_from_its_parameters() -> None:
    # 49 rows by 9 are 9 and five of 8; three parts of two tiles; 10 panels in four parts
    product = Matmul(rows=49, reduction=64, columns=80)
    parameters = {"rows": 9, "vectors": 2, "row_parts": 3, "panel_parts": 4}
    nest = instructions.nest(product, 4, parameters)
    assert nest.tasks == 12
    assert nest.panels == Fraction(10, 4)
    assert nest.row_parts == ({18: 1, 16: 1}, {16: 2}, {16: 2})
    assert (nest.share(18, {}), nest.share(16, {}), nest.share(16, {18: 1})) == (Fraction(1, 3), 1, 1)
    assert (nest.share(16, {16: 1}), nest.share(16, {18: 1, 16: 1})) == (Fraction(2, 3), 0)
    assert nest.tiles(16) == Fraction(5, 3)


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("mov w6, #16|subs x6, x6, #2|b.ne", 8),
        ("mov w6, #8|subs x6, x6, #3|b.ne", None),
        ("mov x6, xzr|add x6, x6, #16|cmp x6, #1, lsl #12|b.lo", 256),
        ("mov x6, xzr|add x6, x6, #1|cmp x6, x7|b.ne", None),
        ("ldr x6, [x1]|add x6, x6, #1|cmp x6, #8|b.ne", None),
        ("mov w16, #1|mov w14, w16|mov w16, wzr|tbnz w14, #0,", 2),
        ("mov w16, #1|mov w14, w16|mov w16, w3|tbnz w14, #0,", None),
        ("movb $1, %dl|movl %edx, %eax|xorl %edx, %edx|testb $1, %al|jne", 2),
        ("movl $-128, %eax|addq $16, %rax|jne", 8),
        ("xorl %r9d, %r9d|incq %r9|cmpq $5, %r9|jne", 5),
    ],
)
def test_the_turns_of_a_loop_are_read_where_it_counts_to_a_constant(text: str, turns: int | None) -> None:
    start, *body = ("\t" + part.replace(" ", "\t", 1) for part in text.split("|"))
    lines = [start, ".L1:", *body[:-1], f"{body[-1]}\t.L1", "\tret"]
    function = assembly.Function(lines)
    (loop,) = function.loops
    assert executions.constant_turns(function, loop) == turns


@pytest.mark.parametrize(
    ("line", "spills"),
    [
        ("	str	q0, [sp, #16]", True),
        ("	str	q0, [x2]", False),
        ("	ldr	x8, [sp, #16]", False),
        ("	vfmadd231ps	32(%rsp), %ymm1, %ymm0", True),
        ("	vmovaps	-480(%rbp), %ymm13", False),
        ("	movq	8(%rsp), %rax", False),
    ],
)
def test_only_vectors_on_the_stack_are_spills(line: str, spills: bool) -> None:
    (instruction,) = assembly.instructions([line])
    assert instruction.spills == spills


def test_the_network_s_ratio_weighs_kernels_by_their_work_and_layers() -> None:
    one = count(ARM)
    heavy = instructions.dataclasses.replace(one, layers=("b", "c"), instructions=Fraction(3 * one.needed))
    expected = (float(one.instructions) + 2 * 3 * one.needed) / (3 * one.needed)
    assert instructions.network_ratio([one, heavy]) == pytest.approx(expected)
    assert "all 3" in instructions.table([one, heavy], 1.6, markdown=False)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["arm64_cortex_a72", "x86_64_v3", "x86_64_v4"])
def test_the_code_of_a_network_multiplies_as_often_as_its_layers_cost(target: str) -> None:
    name = "mobilenet_v1_0.5_64"
    described = targets.load(target)
    seen, failed = instructions.count_network(name, described)
    assert failed == []
    assert [one.wrong for one in seen] == [None] * len(seen)
    macs = {spec.name: costs.of_layer(spec).macs for spec in models.layers(variants.parse(name))}
    lanes = described.processor.vector_bits // 32
    counted = {layer: one.needed for one in seen for layer in one.layers}
    assert counted == {layer: count // lanes for layer, count in macs.items() if layer.endswith(".pw")}
    assert all(1 < one.in_loop <= one.of_kernel < 3 for one in seen)
