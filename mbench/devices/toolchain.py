"""What emulated machines and boards need, built on demand with the system's tools: the server, the counting plugin."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import platform
import re
import shlex
import shutil
import sys
from pathlib import Path

from mbench.core.errors import BuildError, UsageError
from mbench.core.progress import Note
from mbench.core.version import VERSION
from mbench.devices import tool_cache, tvm_runtime
from mbench.hardware import linker

PROGRAM = "mbench-server"
PLUGIN = "counts.so"
NATIVE = Path(__file__).resolve().parent.parent / "native"
_SYSROOTS = {name: Path(f"/usr/{name}-linux-gnu") for name in ("aarch64", "x86_64")}


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
        return (self.program, *(self.folder / name for name in tvm_runtime.LIBRARIES.values()))


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
def server(triple: str, say: Note = lambda _: None) -> Server:
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
    libraries = tvm_runtime.libraries(architecture, say)
    parts = (*sorted(NATIVE.glob("*.h")), *libraries)
    folder = tool_cache.kept("server", source, (*words, VERSION, *(tool_cache.digest(path) for path in parts)))
    with tool_cache.made(folder) as work:
        if work is not None:
            say(f"building {PROGRAM} for {architecture}")
            for library in libraries:
                shutil.copy(library, work)
            folders = (tvm_runtime.package_folder(package) for package in ("tvm_ffi", "tvm"))
            options = [
                "-std=c++17",
                "-O2",
                f'-DMBENCH_VERSION="{VERSION}"',
                "-Wl,-rpath,$ORIGIN",
                "-pthread",
            ]
            inputs = [str(source), *(str(work / name) for name in tvm_runtime.LIBRARIES.values())]
            command = [*words, *options, *(f"-I{path / 'include'}" for path in folders), *inputs]
            tool_cache.run([*command, "-o", str(work / PROGRAM)], f"building {PROGRAM}")
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


# ------------------------------------------------------------------------------------------------------------- emulator
def emulator(triple: str) -> Emulator:
    """Return QEMU's user-mode emulator for a triple.

    Raises:
        UsageError: it is not on PATH, or does not print its version.
    """
    name = f"qemu-{linker.architecture(triple)}"
    command = shutil.which(name) or shutil.which(f"{name}-static")
    if command is None:
        raise UsageError(
            f"emulating {triple} needs {name}, which is not on PATH; install it "
            "(Debian and Ubuntu: apt install qemu-user)"
        )
    said = tool_cache.output([command, "--version"])
    found = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    if not found:
        hint = "expected QEMU's version; install it again (Debian and Ubuntu: apt install qemu-user)"
        raise UsageError(f"{command} --version says {said.strip()[:80]!r}; {hint}")
    return Emulator(command, tuple(map(int, found.groups())), plugins="-plugin" in tool_cache.output([command, "-h"]))


def plugin(emulated: Emulator) -> Path:
    """Return the counting plugin for an emulator, built now if it is not there yet.

    Raises:
        UsageError: there is no C compiler, or the emulator takes no plugins.
    """
    check_counting(emulated)
    source = NATIVE / "counts.c"
    words = c_compiler()
    interface = plugin_interface(emulated.version)
    folder = tool_cache.kept("plugin", source, (*words, str(interface)))
    with tool_cache.made(folder) as work:
        if work is not None:
            options = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-DMBENCH_QEMU_PLUGIN_API={interface}"]
            tool_cache.run([*words, *options, str(source), "-o", str(work / PLUGIN)], f"building {PLUGIN}")
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
