"""What the workers of `scale.py` do beside their work: Python imports this when its folder is on PYTHONPATH.

SCALE_LOG        a folder: each process writes there what it built or counted, and from when to when
SCALE_RECORDED   a folder with an artifact: builds deliver its files under their own names instead of compiling
SCALE_SECONDS    a file: how long each network's build waits instead, by name; those that it does not name do not wait
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOG, RECORDED, SECONDS = (os.environ.get(f"SCALE_{name}") for name in ("LOG", "RECORDED", "SECONDS"))

if LOG:
    from mbench.build import build
    from mbench.devices import emulated

    @contextlib.contextmanager
    def _logged(name: str) -> Iterator[None]:
        start_s = time.monotonic()
        yield
        with (Path(str(LOG)) / f"{os.getpid()}.work").open("a", encoding="utf-8") as log:
            log.write(f"{start_s} {time.monotonic()} {name}\n")

    _seconds = json.loads(Path(SECONDS).read_text(encoding="utf-8")) if SECONDS else {}
    _compile, _measure = build._compile, emulated.EmulatedDevice.measure

    def _recorded(variant: Any, target: Any, inputs: dict[str, str], work: Path) -> Any:
        import msgspec

        from mbench.core import artifact

        time.sleep(_seconds.get(variant.name, 0.0))
        kept = artifact.load(Path(str(RECORDED)))
        for name in (artifact.LIBRARY, artifact.REFERENCE):
            os.link(kept.folder / name, work / name)  # thousands of copies fill a disk
        return msgspec.structs.replace(
            kept.manifest, digest=build.digest(inputs), inputs=inputs, variant=variant, target=target.name
        )

    def _build(variant: Any, target: Any, choices: Any, inputs: dict[str, str], work: Path) -> Any:
        with _logged(variant.name):
            if RECORDED:
                return _recorded(variant, target, inputs, work)
            return _compile(variant, target, choices, inputs, work)

    def _count(self: Any, artifact: Any, *arguments: Any) -> Any:
        with _logged(artifact.manifest.variant.name):
            return _measure(self, artifact, *arguments)

    build._compile = _build
    emulated.EmulatedDevice.measure = _count  # type: ignore[method-assign, assignment]
