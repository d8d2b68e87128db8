"""Addresses of Dask clusters, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.build.dask_address import DaskAddress
from mbench.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "scheduler", "others"),
    [
        ("dask://10.0.0.1:8786", "tcp://10.0.0.1:8786", True),
        ("dask://login.example.org:8786", "tcp://login.example.org:8786", True),
        ("dask://127.0.0.1:8786", "tcp://127.0.0.1:8786", False),
        ("dask://localhost:8786", "tcp://localhost:8786", False),
        ("dask://[::1]:8786", "tcp://[::1]:8786", False),
        ("dask+tls://10.0.0.1:8786", "tls://10.0.0.1:8786", False),
    ],
)
def test_an_address_is_what_dask_calls_it(text: str, scheduler: str, others: bool) -> None:
    address = DaskAddress.parse(text)
    assert (str(address), address.scheduler, address.open_to_others) == (text, scheduler, others)


def test_a_folder_that_is_shared_must_be_there(tmp_path: Path) -> None:
    assert DaskAddress.parse(f"dask://h:1?shared={tmp_path}").shared == tmp_path
    with pytest.raises(UsageError, match=r"gone is no folder here; expected one that all workers reach"):
        DaskAddress.parse(f"dask://h:1?shared={tmp_path}/gone")
    with pytest.raises(UsageError, match=r"nnn is no folder here"):
        DaskAddress.parse(f"dask://h:1?shared={tmp_path}/{'n' * 300}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tcp://h:1", "the scheme is 'tcp'"),
        ("dask://:1", "there is no host"),
        ("dask://h", "there is no port"),
        ("dask://h:0", "there is no port"),
        ("dask://h:x", "Port could not be cast"),
        ("dask://h:99999", "Port out of range"),
        ("dask://me@h:1", "there is a user"),
        ("dask://h:1/key", "something after the port"),
        ("dask://h:1?share=/x", "'share=/x' after ?"),
        ("dask://h:1?shared=", "'shared=' after ?"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        DaskAddress.parse(text)
    assert str(caught.value).startswith(f"--executor {text}: ")
    assert said in str(caught.value)
    assert "expected dask://HOST:PORT" in str(caught.value)
