"""A labgrid on loopback: its own coordinator and exporter, and a power switch that is a web server of the tests."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import board_server as serving

_START_S = 60.0


def program(name: str) -> str | None:
    """Return the path of a program of labgrid, or None where it is not installed."""
    return shutil.which(name, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))


class Site:
    """A coordinator with a place."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"

    def client(self, *words: str) -> str:
        """Return what labgrid-client prints."""
        command = [program("labgrid-client") or "", "-x", self.address, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def wait_for(self, text: str, *words: str) -> None:
        """Wait until the client prints something."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):
                if text in self.client(*words):
                    return
            time.sleep(0.2)
        raise AssertionError(f"labgrid-client {' '.join(words)} never printed {text!r}")


@contextlib.contextmanager
def site(folder: Path, place: str, switched: Callable[[bool], None]) -> Iterator[Site]:
    """Start a labgrid whose one place has a power port.

    Args:
        folder: an empty one.
        place: its name.
        switched: called when the power goes on or off.
    """
    found = Site(serving.free_port())
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(_switch(switched))
        stack.enter_context(_running(folder, "labgrid-coordinator", "-l", found.address))
        found.wait_for("", "places")
        export = folder / "exporter.yaml"
        export.write_text(f"rack:\n  NetworkPowerPort:\n    model: rest\n    host: '{url}'\n    index: '1'\n")
        stack.enter_context(
            _running(
                folder, "labgrid-exporter", "-c", found.address, "-n", "tests", "--hostname", "127.0.0.1", str(export)
            )
        )
        found.wait_for("NetworkPowerPort", "resources")
        found.client("-p", place, "create")
        found.client("-p", place, "add-match", "tests/rack/NetworkPowerPort")
        yield found


@contextlib.contextmanager
def _running(folder: Path, name: str, *words: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([program(name) or name, *words], cwd=folder, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def _switch(switched: Callable[[bool], None]) -> Iterator[str]:
    """Listen as a power switch does that labgrid's `rest` model knows; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            on = self.rfile.read(int(self.headers["Content-Length"])) == b"1"
            switched(on)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/power"
    finally:
        server.shutdown()
        server.server_close()
