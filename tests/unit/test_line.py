from __future__ import annotations

import pytest

from mbench.devices import line
from mbench.devices.address import Address

BOARD = Address("board", 9090)


@pytest.mark.parametrize(
    ("text", "said"),
    [  # as TVM 0.27 words them
        (
            "Error caught from RPC call:\nCheck failed: (lib_handle_ != nullptr) is false: Failed to load dynamic "
            "shared library /tmp/x/model.so: cannot open shared object file\n",
            "Failed to load dynamic shared library /tmp/x/model.so: cannot open shared object file",
        ),
        ("Error caught from RPC call:\nUnknown function: nope\n", "Unknown function: nope"),
        ("RPCError: Error caught from RPC call:\nInternalError: std::bad_alloc", "std::bad_alloc"),
        ("", "no message"),
    ],
)
def test_the_line_of_an_error_that_says_something(text: str, said: str) -> None:
    assert line.said(RuntimeError(text)) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [  # source: tvm/src/runtime/rpc/rpc_socket_impl.cc and rpc_endpoint.cc
        (
            "URL board:9090 cannot find server that matches key=client:",
            "wants a key, so it waits",
        ),
        ("URL board:9090 is not TVM RPC server", "is no TVM RPC server; check the port"),
        (
            "Server[SockServerLoop]: Client protocol version mismatch with the server  server protocol=0.8.0, client",
            "speaks another version of TVM's RPC than apache-tvm 0.27",
        ),
        ("something new\nof two lines", "no session with rpc://board:9090: something new"),
    ],
)
def test_why_no_session_came_about(text: str, said: str) -> None:
    refusal = line._refusal(RuntimeError(text), BOARD, str(BOARD))
    assert said in refusal
    assert "\n" not in refusal
