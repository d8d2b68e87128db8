from __future__ import annotations

import pytest

from mbench.core.errors import UsageError
from mbench.devices.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("rpc://127.0.0.1:9090", Address("127.0.0.1", 9090)),
        ("rpc://board.local:1", Address("board.local", 1)),
        ("rpc://board:65535/", Address("board", 65535)),
        ("rpc://farm:9190/pi4", Address("farm", 9190, "pi4")),
        ("rpc://farm:9190/cortex-a72.v2_b+x", Address("farm", 9190, "cortex-a72.v2_b+x")),
        ("rpc://[::1]:9090", Address("::1", 9090)),
        ("rpc://[fe80::1]:9190/pi4", Address("fe80::1", 9190, "pi4")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "there is no scheme"),
        ("board:9090", "the scheme is 'board'"),
        ("127.0.0.1:9090", "there is no scheme"),
        ("http://board:9090", "the scheme is 'http'"),
        ("rpc://", "there is no host"),
        ("rpc://:9090", "there is no host"),
        ("rpc://board", "there is no port"),
        ("rpc://board:", "there is no port"),
        ("rpc://board/pi4", "there is no port"),
        ("rpc://board:0", "port 0 is none"),
        ("rpc://board:65536", "Port out of range"),
        ("rpc://board:-1", "Port"),
        ("rpc://board:http", "Port could not be cast to integer"),
        ("rpc://me@board:9090", "there is a user"),
        ("rpc://board:9090?key=pi4", "something after"),
        ("rpc://board:9090#pi4", "something after"),
        ("rpc://farm:9190/pi4/5", "the key 'pi4/5' has other characters"),
        ("rpc://farm:9190/pi:4", "the key 'pi:4' has other characters"),
        ("rpc://farm:9190/p%20i", "the key 'p%20i' has other characters"),
        ("rpc://[::1:9090", "Invalid IPv6 URL"),
    ],
)
def test_what_is_no_address_is_said_in_one_line(text: str, wrong: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(text)
    said = str(caught.value)
    assert said.startswith(f"device {text!r}: ")
    assert wrong in said
    assert said.endswith("; expected rpc://HOST:PORT of a server, or rpc://HOST:PORT/KEY of a tracker")
    assert "\n" not in said
