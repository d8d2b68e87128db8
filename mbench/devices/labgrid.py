"""Places of a labgrid: reserved, acquired, switched off and on, and released, by its own program `labgrid-client`.

The program is called, not imported: labgrid keeps its gRPC and its event loop to itself. It comes with the extra `farm`
or stands on PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mbench.core.errors import MeasureError, UsageError
from mbench.core.progress import Note
from mbench.devices.answers import plain

CLIENT = "labgrid-client"
ANSWER_S = 60.0
"""How long the program may take for anything but waiting for a place."""
_TOKEN = re.compile(r"LG_TOKEN=([A-Za-z0-9]+)")
_POLL_S = 0.2


def client() -> str:
    """Return the path of the program.

    Raises:
        UsageError: it is not there.
    """
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    found = shutil.which(CLIENT, path=beside)
    if found is None:
        raise UsageError(f"{CLIENT} is not there, which holds places; install: pip install 'mobilenet-bench[farm]'")
    return found


class LabgridPlace:
    """A place: held between `acquire` and `release`."""

    def __init__(
        self,
        name: str,
        coordinator: str,
        config: Path | None = None,
        *,
        program: str | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            name: of the place.
            coordinator: HOST:PORT.
            config: an environment file with drivers for its power.
            program: `labgrid-client`; by default the one that is installed.
        """
        self.name = name
        self._coordinator, self._config = coordinator, config
        self._program = program or client()
        self._token: str | None = None
        self._held = False

    def acquire(self, waiting: Note, patience_s: float, stopped: Callable[[], bool]) -> None:
        """Wait in the coordinator's queue for the place, and hold it.

        Args:
            waiting: called once with a line.
            patience_s: how long to wait.
            stopped: asked again and again whether the run is over.

        Raises:
            MeasureError: there is no such place, somebody keeps it, no coordinator answers, or the run is over.
        """
        said = self._call("reserve", "--shell", f"name={self.name}", stopped=stopped)
        found = _TOKEN.search(said)
        if found is None:
            raise MeasureError(
                f"{CLIENT} reserve answered {plain(said)!r}, expected a token; is it labgrid 24 or newer?"
            )
        self._token = found[1]
        waiting(f"waiting for the place {self.name} of labgrid")
        late = f"somebody kept it for {patience_s:g} s"
        self._call("wait", self._token, within_s=patience_s, late=late, stopped=stopped)
        self._call("-p", f"+{self._token}", "acquire")  # to its end: whether a place is held must be known
        self._held = True

    def cycle(self) -> None:
        """Switch the place off and on.

        Raises:
            MeasureError: it has no power that can be switched, or that went wrong.
        """
        config = () if self._config is None else ("-c", str(self._config))
        self._call(*config, "-p", self.name, "power", "cycle")

    def release(self) -> None:
        """Let others have the place.

        Raises:
            MeasureError: the coordinator does not answer.
        """
        token, held, self._token, self._held = self._token, self._held, None, False
        try:
            if held:
                self._call("-p", self.name, "release")
        finally:
            if token is not None:
                self._call("cancel-reservation", token)

    def _call(
        self, *words: str, within_s: float = ANSWER_S, late: str = "", stopped: Callable[[], bool] = lambda: False
    ) -> str:
        """Return what the program printed.

        Raises:
            MeasureError: it failed, was too late, or the run is over.
        """
        command = (self._program, "-x", self._coordinator, *words)
        what = f"place {self.name} of labgrid at {self._coordinator}"
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                errors="replace", start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise MeasureError(f"{what}: {self._program} cannot be started: {error.strerror}") from error
        deadline = time.monotonic() + within_s
        while True:
            try:
                said, wrong = process.communicate(timeout=_POLL_S)
            except subprocess.TimeoutExpired:
                over = stopped()
                if time.monotonic() < deadline and not over:
                    continue
                process.kill()
                process.communicate()
                if over:
                    raise MeasureError(f"{what}: the run has ended") from None
                raise MeasureError(f"{what}: {late or f'{CLIENT} took longer than {within_s:g} s'}") from None
            if process.returncode:
                raise MeasureError(f"{what}: {_last_line(wrong or said) or f'exit status {process.returncode}'}")
            return said


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return plain(lines[-1].removeprefix(f"{CLIENT}: ").removeprefix("error: ")) if lines else ""
