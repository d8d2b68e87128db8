from __future__ import annotations

import kernel_cases as kernels
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import AVX512

from mbench.compile.schedules.cpu import columns
from mbench.compile.schedules.cpu.columns import Panel, PanelRun

MACHINES = st.sampled_from(sorted(kernels.MACHINES))


@given(width=st.integers(1, 300), vectors=st.integers(1, 4), machine=MACHINES)
def test_panels_cover_all_columns(width: int, vectors: int, machine: str) -> None:
    split = columns.panels(width, vectors, kernels.MACHINES[machine])
    covered = [column for panel in split for column in range(panel.start, panel.start + panel.width)]
    assert set(covered) == set(range(width))
    assert len(covered) - width < kernels.MACHINES[machine].lanes() / 4
    assert max(len(panel.lanes) for panel in split) <= vectors


@pytest.mark.parametrize(
    ("width", "vectors", "expected"),
    [
        (24, 2, [Panel(0, (16, 8))]),
        (24, 1, [Panel(0, (16,)), Panel(16, (8,))]),
        (64, 2, [Panel(0, (16, 16)), Panel(32, (16, 16))]),
        (18, 2, [Panel(0, (16,)), Panel(14, (4,))]),  # two columns are left: a vector of four overlaps
    ],
)
def test_a_narrow_vector_takes_what_is_left(width: int, vectors: int, expected: list[Panel]) -> None:
    assert columns.panels(width, vectors, AVX512) == expected


def test_panels_that_are_alike_share_a_run() -> None:
    split = columns.panels(72, 2, AVX512)
    assert columns.runs(split) == [PanelRun(Panel(0, (16, 16)), 2, 0), PanelRun(Panel(64, (8,)), 1, 64)]


def test_weights_lie_panel_by_panel() -> None:
    weights = np.arange(48).reshape(2, 24)
    packed = columns.pack(weights, columns.panels(24, 1, AVX512))
    assert packed.tolist() == [*range(16), *range(24, 40), *range(16, 24), *range(40, 48)]
