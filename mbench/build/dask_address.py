"""Addresses of Dask clusters: `dask://HOST:PORT` is a scheduler, `dask+tls://HOST:PORT` one that is asked over TLS."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import urllib.parse
from pathlib import Path

from mbench.core.errors import UsageError, shortened
from mbench.devices.address import host_and_port

SCHEMES = {"dask": "tcp", "dask+tls": "tls"}
"""Schemes, and what Dask calls the same."""
EXPECTED = "expected dask://HOST:PORT or dask+tls://HOST:PORT of a scheduler, with ?shared=FOLDER where there is one"
MOST = 200
"""Characters of an address that a message quotes."""
_SHARED = "shared"


@dataclasses.dataclass(frozen=True)
class DaskAddress:
    """Where a scheduler is, and the folder that is shared with its workers, if one is."""

    scheme: str
    host: str
    port: int
    shared: Path | None = None

    def __str__(self) -> str:
        return f"{self.scheme}://{host_and_port(self.host, self.port)}"

    @property
    def scheduler(self) -> str:
        """The address as Dask writes it."""
        return f"{SCHEMES[self.scheme]}://{host_and_port(self.host, self.port)}"

    @property
    def open_to_others(self) -> bool:
        """Whether whoever reaches the scheduler's machine can use it: no TLS, and not this machine alone."""
        if SCHEMES[self.scheme] == "tls" or self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @staticmethod
    def parse(text: str) -> DaskAddress:
        """Return the address that `text` is.

        Raises:
            UsageError: it is none.
        """
        try:
            parts = urllib.parse.urlsplit(text)
            query = urllib.parse.parse_qs(parts.query, keep_blank_values=True)
            wrong = _wrong(parts, query)
        except ValueError as error:
            raise UsageError(f"--executor {shortened(text, MOST)}: {error}; {EXPECTED}") from None
        if wrong:
            raise UsageError(f"--executor {shortened(text, MOST)}: {wrong}; {EXPECTED}")
        assert parts.hostname is not None
        assert parts.port is not None
        shared = Path(query[_SHARED][0]) if query else None
        if shared is not None and not os.path.isdir(shared):  # noqa: PTH112 - Path.is_dir raises where a name is too long
            said = "is no folder here; expected one that all workers reach"
            raise UsageError(f"--executor {shortened(text, MOST)}: {shortened(str(shared), MOST)} {said}")
        return DaskAddress(parts.scheme, parts.hostname, parts.port, shared and shared.resolve())


def _wrong(parts: urllib.parse.SplitResult, query: dict[str, list[str]]) -> str | None:
    """Return what is wrong with an address, if something is. Raises ValueError where the port is no number."""
    if parts.scheme not in SCHEMES:
        return f"the scheme is {parts.scheme!r}"
    if not parts.hostname:
        return "there is no host"
    if not parts.port:
        return "there is no port"
    if "@" in parts.netloc:
        return "there is a user, and Dask knows none"
    if parts.path.strip("/") or parts.fragment:
        return "there is something after the port"
    if parts.query and (set(query) != {_SHARED} or len(query[_SHARED]) > 1 or not query[_SHARED][0]):
        return f"there is {parts.query!r} after ?"
    return None
