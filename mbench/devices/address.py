"""Addresses of devices that TVM's RPC reaches: `rpc://host:port` is a server, `rpc://host:port/key` a tracker.

A tracker is asked for `key`, which stands for a kind of device; it has several of them and a queue.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

from mbench.core.errors import UsageError

SCHEME = "rpc"
EXPECTED = "expected rpc://HOST:PORT of a server, or rpc://HOST:PORT/KEY of a tracker"
_KEY = re.compile(r"[A-Za-z0-9._+-]+")


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a device is. With a key, host and port are those of a tracker."""

    host: str
    port: int
    key: str | None = None
    ticket: str = ""
    """What a server asks for that waits for the client whom its tracker sends."""

    def __str__(self) -> str:
        return f"{SCHEME}://{host_and_port(self.host, self.port)}" + (f"/{self.key}" if self.key else "")

    @staticmethod
    def parse(text: str) -> Address:
        """Return the address that `text` is.

        Raises:
            UsageError: it is none.
        """
        try:
            parts = urllib.parse.urlsplit(text)
            wrong = _wrong(parts)
        except ValueError as error:
            raise UsageError(f"device {text!r}: {error}; {EXPECTED}") from None
        if wrong:
            raise UsageError(f"device {text!r}: {wrong}; {EXPECTED}")
        assert parts.hostname is not None
        assert parts.port is not None
        return Address(parts.hostname, parts.port, parts.path.strip("/") or None)


def host_and_port(host: str, port: int) -> str:
    """Return both as a URL has them: an IPv6 address is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _wrong(parts: urllib.parse.SplitResult) -> str | None:
    """Return what is wrong with an address, if something is. Raises ValueError where the port is no number."""
    key = parts.path.strip("/")
    if parts.scheme != SCHEME:
        return f"the scheme is {parts.scheme!r}" if parts.scheme else "there is no scheme"
    if not parts.hostname:
        return "there is no host"
    if parts.port is None:
        return "there is no port"
    if parts.port == 0:
        return "port 0 is none that a server listens on"
    if "@" in parts.netloc:
        return "there is a user, and TVM's RPC knows none"
    if parts.query or parts.fragment:
        return "there is something after ? or #"
    if key and not _KEY.fullmatch(key):
        return f"the key {key!r} has other characters than letters, digits and . _ + -"
    return None
