"""What devices without Python need, built on demand and kept in the cache folder: server, TVM's runtime, plugin.

The runtime comes out of the very wheels that mbench is pinned to: those installed here, or, for another architecture,
the same versions fetched from the package index once, checked against their hashes, and kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import mbench
from mbench import resources
from mbench.compile import linker
from mbench.errors import BuildError, UsageError

PROGRAM = "mbench-server"
PLUGIN = "counts.so"
NATIVE = Path(__file__).resolve().parent.parent / "native"
LIBRARIES = {"tvm": "libtvm_runtime.so", "tvm_ffi": "libtvm_ffi.so"}
_SYSROOTS = {name: Path(f"/usr/{name}-linux-gnu") for name in ("aarch64", "x86_64")}
_FETCH_MAX_S = 900
_BUILD_MAX_S = 300
_ANSWER_MAX_S = 30.0

Say = Callable[[str], None]


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


@dataclasses.dataclass(frozen=True)
class Server:
    """A folder with everything that a device needs: the server and TVM's runtime."""

    folder: Path

    @property
    def program(self) -> Path:
        """The server itself; it finds its libraries beside it."""
        return self.folder / PROGRAM

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the folder."""
        return (self.program, *(self.folder / name for name in LIBRARIES.values()))


@dataclasses.dataclass(frozen=True)
class Emulator:
    """QEMU's user-mode emulator for one architecture."""

    command: str
    version: tuple[int, ...]
    plugins: bool

    @property
    def name(self) -> str:
        """Program and version."""
        return f"{Path(self.command).name} {'.'.join(map(str, self.version))}"


# --------------------------------------------------------------------------------------------------------------- server
def server(triple: str, say: Say = lambda _: None) -> Server:
    """Return the server for machines of a triple, built now if it is not there yet.

    Args:
        triple: as LLVM writes it, such as `aarch64-linux-gnu`.
        say: called with a line about what takes long: fetching, building.

    Raises:
        UsageError: a compiler or the runtime is missing and cannot be had; the message says what to install.
    """
    architecture = linker.architecture(triple)
    source = NATIVE / "server.cc"
    words = compiler(triple)
    libraries = runtime(architecture, say)
    folder = _kept("server", source, (*words, mbench.__version__, *(_digest(path) for path in libraries)))
    with _made(folder) as work:
        if work is not None:
            say(f"building {PROGRAM} for {architecture}")
            for library in libraries:
                shutil.copy(library, work)
            includes = [f"-I{path}" for path in (_package("tvm_ffi") / "include", _package("tvm") / "include")]
            options = [
                "-std=c++17",
                "-O2",
                f'-DMBENCH_VERSION="{mbench.__version__}"',
                "-Wl,-rpath,$ORIGIN",
                "-pthread",
            ]
            libs = [str(work / name) for name in LIBRARIES.values()]
            _run([*words, *options, *includes, str(source), *libs, "-o", str(work / PROGRAM)], f"building {PROGRAM}")
    return Server(folder)


def compiler(triple: str) -> tuple[str, ...]:
    """Return the words of the C++ compiler whose standard library is that of Debian's and the wheels: GNU's.

    Raises:
        UsageError: it is not there.
    """
    architecture = linker.architecture(triple)
    native = architecture == linker.architecture(platform.machine())
    words: tuple[str, ...] = ()
    try:
        words = linker.find(triple)
    except BuildError as error:
        if native and os.environ.get("CXX"):
            raise UsageError(str(error)) from error
    if words and "ziglang" not in words:
        return words
    package = "g++" if native else f"g++-{architecture.replace('_', '-')}-linux-gnu"
    raise UsageError(
        f"the server for {triple} needs GNU's C++ compiler, which is not on PATH; "
        f"install it (Debian and Ubuntu: apt install {package})"
    )


def sysroot(triple: str) -> Path:
    """Return where an emulator finds the C library of a triple.

    Raises:
        UsageError: it is not there.
    """
    architecture = linker.architecture(triple)
    if architecture == linker.architecture(platform.machine()):
        return Path("/")
    if architecture not in _SYSROOTS:
        raise UsageError(f"emulating {triple} is not known; expected one of: {', '.join(_SYSROOTS)}")
    folder = _SYSROOTS[architecture]
    if not folder.is_dir():
        package = f"g++-{architecture.replace('_', '-')}-linux-gnu"
        raise UsageError(
            f"emulating {triple} needs its C library in {folder}, which does not exist; "
            f"install it (Debian and Ubuntu: apt install {package})"
        )
    return folder


# -------------------------------------------------------------------------------------------------------------- runtime
def runtime(architecture: str, say: Say = lambda _: None) -> tuple[Path, ...]:
    """Return TVM's runtime libraries for an architecture.

    Raises:
        UsageError: they are for another architecture than this machine's and could not be fetched.
    """
    if architecture == linker.architecture(platform.machine()):
        return tuple(_package(package) / "lib" / library for package, library in LIBRARIES.items())
    if architecture not in WHEELS:
        raise UsageError(f"TVM's runtime for {architecture} is not known; expected one of: {', '.join(WHEELS)}")
    wheels = WHEELS[architecture]
    folder = resources.cache_dir() / "runtime" / f"{architecture}-{wheels[0].sha256[:8]}-{wheels[1].sha256[:8]}"
    with _made(folder) as work:
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
            _run([*command, *words, *platforms, "--requirement", str(wanted)], "pip", max_s=_FETCH_MAX_S)
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


def _package(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"the package {name} is not installed; install mobilenet-bench again")
    return Path(next(iter(spec.submodule_search_locations)))


# ------------------------------------------------------------------------------------------------------------- emulator
def emulator(triple: str) -> Emulator:
    """Return QEMU's user-mode emulator for a triple.

    Raises:
        UsageError: it is not on PATH, or does not say its version.
    """
    name = f"qemu-{linker.architecture(triple)}"
    command = shutil.which(name) or shutil.which(f"{name}-static")
    if command is None:
        raise UsageError(
            f"emulating {triple} needs {name}, which is not on PATH; install it "
            "(Debian and Ubuntu: apt install qemu-user)"
        )
    said = _output([command, "--version"])
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    if not found:
        hint = "expected QEMU's version; install it again (Debian and Ubuntu: apt install qemu-user)"
        raise UsageError(f"{command} --version says {said.strip()[:80]!r}; {hint}")
    return Emulator(command, tuple(map(int, found.groups())), plugins="-plugin" in _output([command, "-h"]))


def plugin(emulated: Emulator) -> Path:
    """Return the counting plugin for an emulator, built now if it is not there yet.

    Raises:
        UsageError: there is no C compiler, or the emulator takes no plugins.
    """
    check_counting(emulated)
    source = NATIVE / "counts.c"
    words = c_compiler()
    interface = plugin_interface(emulated.version)
    folder = _kept("plugin", source, (*words, str(interface)))
    with _made(folder) as work:
        if work is not None:
            options = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-DMBENCH_QEMU_PLUGIN_API={interface}"]
            _run([*words, *options, str(source), "-o", str(work / PLUGIN)], f"building {PLUGIN}")
    return folder / PLUGIN


def check_counting(emulated: Emulator) -> None:
    """Notice that an emulator cannot count.

    Raises:
        UsageError: it takes no plugins, or those of an older interface.
    """
    if not emulated.plugins:
        raise UsageError(
            f"{emulated.name} takes no plugins (static builds, such as Debian 13's, do not); exact counts need a QEMU "
            "that is linked dynamically, such as qemu-user of Debian 12 or Ubuntu 24.04"
        )
    plugin_interface(emulated.version)


def plugin_interface(version: tuple[int, ...]) -> int:
    """Return the plugin interface that a version of QEMU is given.

    Source: QEMU_PLUGIN_VERSION in include/qemu/qemu-plugin.h (include/plugins/ from 10.1 on): 2 in 9.0, 3 in 9.1.

    Raises:
        UsageError: the version is too old.
    """
    if version < (7, 0):
        raise UsageError(
            f"QEMU {'.'.join(map(str, version))} is too old for counting; expected 7.0 or newer (Debian 12 has 7.2)"
        )
    return 1 if version < (9, 0) else 2 if version < (9, 1) else 3


def c_compiler() -> tuple[str, ...]:
    """Return the words of this machine's C compiler.

    Raises:
        UsageError: there is none.
    """
    chosen = shlex.split(os.environ.get("CC", ""))
    for words in (chosen, ["cc"], ["gcc"], ["clang"]):
        if words and shutil.which(words[0]):
            return tuple(words)
    if importlib.util.find_spec("ziglang") is not None:
        return (sys.executable, "-m", "ziglang", "cc")
    raise UsageError(
        "the counting plugin needs a C compiler, and none is on PATH; install one (Debian: apt install gcc)"
    )


# -------------------------------------------------------------------------------------------------------------- keeping
def _kept(kind: str, source: Path, parts: Sequence[str]) -> Path:
    hashed = hashlib.sha256("\0".join((_digest(source), *parts)).encode())
    return resources.cache_dir() / kind / hashed.hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path | None]:
    """Yield a scratch folder to fill, which becomes `folder`, whole or not at all; None where that is there already.

    Raises:
        UsageError: nothing can be written there.
    """
    if folder.is_dir():
        yield None
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as name:
            work = Path(name) / folder.name
            work.mkdir()
            yield work
            try:
                work.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
    except OSError as error:
        raise UsageError(
            f"the cache folder {folder.parent}: nothing can be written there: {error.strerror or error}; choose "
            "another with the environment variable MBENCH_CACHE_DIR"
        ) from error


def _output(command: Sequence[str]) -> str:
    """Return what a command says about itself.

    Raises:
        UsageError: it cannot be executed, or says nothing for long.
    """
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            errors="replace", check=False, timeout=_ANSWER_MAX_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"'{' '.join(command)}' failed: {error}; install it again") from error
    return done.stdout


def _run(command: Sequence[str], what: str, *, max_s: float = _BUILD_MAX_S) -> None:
    """Run a command.

    Raises:
        UsageError: it failed; the message has the last line that it said.
    """
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=max_s,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{what} failed: {error}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        wrong = next((line for line in lines if "error:" in line.lower()), (lines or ["no message"])[-1])
        raise UsageError(f"{what} failed (status {done.returncode}): {wrong}")
