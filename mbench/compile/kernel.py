"""What a fused PrimFunc computes, read off its blocks. No scheduling decisions here."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir import Schedule

_REDUCTION = 2  # tvm.tirx.IterVar.CommReduce


class Kernel:
    """One PrimFunc with one schedule under construction.

    Blocks are named by TVM: the convolution's is `conv2d_nhwc`, or `group_conv2d_nhwc` if depthwise; its padding is
    `pad_temp`; a matrix product is `matmul`.
    """

    def __init__(self, function: tirx.PrimFunc) -> None:
        self.function = function
        self.schedule = Schedule(tvm.IRModule({"main": function}))

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks, in order, as they were before scheduling."""
        children = self.schedule.get_child_blocks(self.schedule.get_sblock("root"))
        return tuple(str(self.schedule.get(block).name_hint) for block in children)

    @cached_property
    def anchor(self) -> str | None:
        """Name of the block that reduces (convolution, matrix product, pooling); None for element-wise kernels."""
        return next((name for name in self.blocks if self._reduces(name)), None)

    @cached_property
    def epilogue(self) -> tuple[str, ...]:
        """Blocks after the anchor."""
        if self.anchor is None:
            return ()
        return self.blocks[self.blocks.index(self.anchor) + 1 :]

    @cached_property
    def extents(self) -> tuple[int, ...]:
        """Loop extents of the anchor, or of the first block; (n, y, x, c, ky, kx, ci) for a convolution."""
        block = self.schedule.get_sblock(self.anchor or self.blocks[0])
        return tuple(int(self.schedule.get(loop).extent) for loop in self.schedule.get_loops(block))

    def result(self) -> tirx.PrimFunc:
        """Return the function as scheduled so far."""
        return self.schedule.mod["main"]

    def block(self, name: str | None) -> Any:
        """Return the schedule's handle of a block.

        Raises:
            ValueError: there is no name, as for the anchor of an element-wise kernel.
        """
        if name is None:
            raise ValueError("the kernel has no such block")
        return self.schedule.get_sblock(name)

    def _reduces(self, name: str) -> bool:
        block = self.schedule.get(self.schedule.get_sblock(name))
        return any(int(var.iter_type) == _REDUCTION for var in block.iter_vars)
