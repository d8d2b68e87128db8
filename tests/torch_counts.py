"""Multiply-adds as torch counts them, on tensors that have a shape and no numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode


class Counted:
    """What was counted, once it is over."""

    macs = 0


@contextlib.contextmanager
def counting() -> Iterator[Counted]:
    """Count what is computed meanwhile on the device `meta`, where tensors are made.

    BatchNorm gives what it reads: torch counts nothing for it, and takes longer to find that out than for all the rest.
    """
    found = Counted()
    as_read = mock.patch.object(functional, "batch_norm", lambda x, *_, **__: x)
    with as_read, torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        yield found
    found.macs, odd = divmod(counter.get_total_flops(), 2)
    assert not odd
