"""A site of a history on this machine alone: made anew whenever the store changes, and its pages load themselves again.

For a look before publishing. It listens on loopback, answers for files of the site and for nothing else, and refuses
requests that name another host: a page of a stranger whose name leads to 127.0.0.1 gets nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socketserver
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

from mbench.core import scratch
from mbench.core.errors import MbenchError, UsageError
from mbench.core.progress import Note
from mbench.history import site_names

LOOPBACK = "127.0.0.1"
VERSION_FILE = "version.txt"
"""What pages ask for: which state of the store the site is of."""
EVERY_S = 2.0
_SLOW_S = 30.0
"""A client that sends nothing for so long is left."""
_KINDS = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".json": "application/json",
}  # fmt: skip


class SiteServer(ThreadingHTTPServer):
    """Answers for the files of a folder, which may be replaced at any time."""

    daemon_threads = True

    def __init__(self, port: int, folder: Path) -> None:
        """Listen on a port of loopback; 0: on any that is free."""
        self.folder = folder
        self.names: frozenset[str] = frozenset()
        self.version = ""
        super().__init__((LOOPBACK, port), _Answers)

    def server_bind(self) -> None:
        """Bind without asking any server for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What a request may name as its host."""
        return tuple(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))

    def show(self, version: str) -> None:
        """Answer with what lies in the folder now."""
        self.names = frozenset(each.name for each in self.folder.iterdir() if not each.name.startswith("."))
        self.version = version

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Answers(BaseHTTPRequestHandler):
    server: SiteServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mbench", ""
    timeout = _SLOW_S

    def do_GET(self) -> None:
        """Answer with a file."""
        if self.headers.get("Host", "") not in self.server.hosts:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"This server answers for 127.0.0.1 and localhost alone.\n")
            return
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).removeprefix("/") or site_names.INDEX
        if name == VERSION_FILE:
            self._answer(HTTPStatus.OK, self.server.version.encode())
        elif name in self.server.names:
            try:
                data = (self.server.folder / name).read_bytes()
            except OSError:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"The site is being made. Try again.\n")
            else:
                self._answer(HTTPStatus.OK, data, _KINDS.get(Path(name).suffix, "application/octet-stream"))
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"The site has no such page.\n")

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _answer(self, status: HTTPStatus, data: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Print nothing."""


def serve(
    make: Callable[[Path, str], object],
    state: Callable[[], str],
    *,
    port: int,
    announce: Callable[[str], object],
    note: Note,
    pause: Callable[[], object] = lambda: sleep(EVERY_S),
) -> None:
    """Serve a site until the process is interrupted, and make it anew whenever `state` answers something else.

    Args:
        make: writes the site of a state into a folder.
        state: of what the site is made of.
        port: to listen on; 0: any that is free.
        announce: called with the address once the site is there.
        note: called with why it could not be made anew; the last one stays.
        pause: waits before `state` is asked again.

    Raises:
        UsageError: the port is taken.
        MbenchError: the site could not be made at all.
    """
    with scratch.temporary() as room, _listening(port, room / "site") as server:
        shown = state()
        make(server.folder, shown)
        server.show(shown)
        announce(server.url)
        said = ""
        while True:
            pause()
            try:
                found = state()
                if found != shown:
                    make(server.folder, found)
                    server.show(found)
                    shown = found
                said = ""
            except MbenchError as error:
                if str(error) != said:
                    said = str(error)
                    note(f"the site stays as it was: {said}")


@contextlib.contextmanager
def _listening(port: int, folder: Path) -> Iterator[SiteServer]:
    try:
        server = SiteServer(port, folder)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UsageError(
                f"port {port} cannot be listened on: {os.strerror(error.errno or 0)}; choose another, or leave it out"
            ) from error
        raise
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
