"""Gives the workers of a test's cluster trouble: Python imports this when its folder is on PYTHONPATH.

MBENCH_TEST_VERSIONS   `torch=9.9`: what the process says of installed packages
MBENCH_TEST_HIDDEN     `mbench`: a package that is not installed
MBENCH_TEST_BUILDS     `fake`: builds take no time; `hang`, `die`, `worker dies`: what they do instead
MBENCH_TEST_ONCE       a file: only the first build that makes it has the trouble
"""

import importlib.metadata
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

VERSIONS = dict(each.split("=") for each in os.environ.get("MBENCH_TEST_VERSIONS", "").split(",") if each)
HIDDEN, BUILDS = os.environ.get("MBENCH_TEST_HIDDEN"), os.environ.get("MBENCH_TEST_BUILDS")

if VERSIONS:
    _version = importlib.metadata.version
    importlib.metadata.version = lambda name: VERSIONS.get(name) or _version(name)  # type: ignore[assignment]

if HIDDEN:

    class _Hides:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            """Find nothing of a package, as where it is not installed."""
            if name.partition(".")[0] == HIDDEN:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, _Hides)

if BUILDS:
    from mbench.build import build

    def _first() -> bool:
        once = os.environ.get("MBENCH_TEST_ONCE")
        if once is None:
            return True
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _compile(variant: Any, target: Any, _choices: Any, inputs: dict[str, str], work: Path) -> Any:
        if BUILDS != "fake" and _first():
            if log := os.environ.get("MBENCH_TEST_LOG"):
                Path(log).write_text(str(os.getpid()))
            if BUILDS == "hang":
                time.sleep(3600)
            os.kill(os.getppid() if BUILDS == "worker dies" else os.getpid(), signal.SIGKILL)
            time.sleep(3600)
        sys.path.append(str(Path(__file__).parent.parent.parent))
        import fake_devices
        import msgspec

        made = fake_devices.compiled(work, variant)
        made.library.write_bytes(variant.name.encode())
        return msgspec.structs.replace(made.manifest, digest=build.digest(inputs), inputs=inputs, target=target.name)

    build._compile = _compile  # type: ignore[assignment]
