"""Packs what a board needs into one folder that can be copied: the server, TVM's runtime, a script that starts it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from mbench.core import plain, scratch
from mbench.core.errors import OutputError, UsageError, why
from mbench.core.machine_types import Target
from mbench.core.progress import Note
from mbench.core.version import VERSION
from mbench.devices import toolchain, tvm_runtime
from mbench.hardware import linker

START = "start.sh"
README = "README.txt"
_START = """\
#!/bin/sh
# Starts the server of mbench on this board; what is given to this script is given to the server. See README.txt.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P) || exit 2
machine=$(uname -m)
case $machine in
{patterns}) ;;
*)
    echo "mbench-server: this server is for {architecture}, and this machine is $machine;" \\
        "make another: mbench device serve --target NAME" >&2
    exit 2
    ;;
esac
if [ ! -e {loader} ]; then
    echo "mbench-server: {loader} is missing; expected a 64-bit Linux with glibc {glibc} or newer" >&2
    exit 2
fi
LD_LIBRARY_PATH=$here${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}
export LD_LIBRARY_PATH
exec "$here/{program}" "$@"
"""
_MADE_BY = _START.splitlines()[1]
_README = """\
mbench-server {version} for {architecture}: runs and times what mbench compiles, on this board.
It needs Linux with glibc {glibc} or newer and its libstdc++: no Python, no compiler, no installation.

    ./start.sh                  listen on 127.0.0.1, port 9090
    ./start.sh --port N         listen on another port; 0: any that is free
    ./start.sh --host ADDRESS   listen on another address; 0.0.0.0: on all
    ./start.sh --dir DIR        keep what is uploaded in DIR while a session lasts; default /tmp
    ./start.sh --tracker HOST:PORT --key K
                                offer this board to a TVM RPC tracker, for those who ask for K
    ./start.sh --hello-timeout S    drop who has sent no whole request S seconds after connecting; default 5
    ./start.sh --idle-timeout S     end a session in which no whole request comes for S seconds; default 300
    ./start.sh --max-upload MIB     what one session may upload; default 1024

Ctrl-C, SIGTERM or SIGHUP stops it. One client at a time is served, the others wait; when its line drops, what it ran is
ended and its files are removed.

TVM's RPC has no authentication: whoever reaches the port can run any code as the user who started the server. So the
server listens on loopback unless --host is given. Leave it so, and come through SSH, from the machine with mbench:

    ssh -L 9090:127.0.0.1:9090 BOARD
    mbench device add NAME --rpc 127.0.0.1:9090
    mbench run --target {target} --device NAME
"""
_ALSO_CALLED = {"aarch64": ("aarch64", "arm64"), "x86_64": ("x86_64", "amd64")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """A folder for a board."""

    folder: Path
    target: str
    architecture: str
    glibc: str
    """The oldest C library that the board may have."""
    files: tuple[str, ...]
    total_bytes: int


def default_folder(target: Target) -> Path:
    """Return where the package for a target goes if nobody says otherwise."""
    return Path(f"{toolchain.PROGRAM}-{linker.architecture(_triple(target))}")


def pack(target: Target, folder: Path, say: Note = lambda _: None) -> Package:
    """Build what is not there yet, and write the folder whole or not at all. A package that is there is replaced.

    Args:
        target: what the board is.
        folder: to be made; what lies above it must be there.
        say: called with a line about what takes long.

    Raises:
        UsageError: nothing is served for such a target, the folder holds something else, or something is missing that
            must be installed first.
        OutputError: the folder could not be written.
    """
    triple = _triple(target)
    architecture = linker.architecture(triple)
    _check_free(folder)
    built = toolchain.server(triple, say)
    program = built.program.read_bytes()
    words = {
        "architecture": architecture,
        "patterns": " | ".join(_ALSO_CALLED.get(architecture, (architecture,))),
        "loader": shlex.quote(_loader(program)),
        "glibc": _glibc(b"".join(path.read_bytes() for path in built.files)),
        "program": toolchain.PROGRAM,
        "target": plain.quoted(target.name),
        "version": VERSION,
    }
    with _replacing(folder) as work:
        for path in built.files:
            shutil.copy(path, work)
        (work / START).write_text(_START.format(**words), encoding="utf-8")
        (work / START).chmod(0o755)
        (work / README).write_text(_README.format(**words), encoding="utf-8")
        sizes = {path.name: path.stat().st_size for path in sorted(work.iterdir())}
    return Package(
        folder=folder,
        target=target.name,
        architecture=architecture,
        glibc=words["glibc"],
        files=tuple(sizes),
        total_bytes=sum(sizes.values()),
    )


def _triple(target: Target) -> str:
    if target.tvm["kind"] != "llvm":
        raise UsageError(f"target '{target.name}': a server is made for CPUs alone; see 'mbench targets'")
    return str(target.tvm["mtriple"])


def _loader(program: bytes) -> str:
    """Return the dynamic loader that a program asks for, which is of a certain C library and word size."""
    found = re.search(rb"/lib[\w./-]*/ld-linux[\w.-]*", program)
    if found is None:
        raise UsageError("the server that was built names no loader of GNU's C library; build it with g++")
    return found.group().decode()


def _glibc(code: bytes) -> str:
    """Return the newest version of GNU's C library that any symbol in `code` is bound to."""
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(\d+\.\d+(?:\.\d+)?)\0", code)}
    return ".".join(map(str, max(versions, default=(2, 17))))


def _check_free(folder: Path) -> None:
    """Refuse a folder that holds anything but a package."""
    ours = {START, README, toolchain.PROGRAM, *tvm_runtime.LIBRARIES.values()}
    hint = "choose another folder with --output"
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"--output {folder}: the folder {folder.parent} does not exist; make it first")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"--output {folder} is not a folder; {hint}")
    if folder.resolve() == Path.cwd():
        raise UsageError(f"--output {folder} is the folder that you are in; {hint}")
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    others = [path.name for path in inside if path.name not in ours or path.is_symlink() or not path.is_file()]
    if inside and not others and not _is_package(folder):
        others = [inside[0].name]
    if others:
        raise UsageError(f"--output {folder} holds other files ({others[0]}, …); {hint}")


def _is_package(folder: Path) -> bool:
    """Return whether mbench made a folder: its script says so."""
    try:
        return _MADE_BY in (folder / START).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a scratch folder to fill, which takes the place of `folder`."""
    folder = folder.absolute()
    try:
        with scratch.folder(folder.parent) as place:
            work, old = place / "new", place / "old"
            work.mkdir()
            yield work
            if folder.exists():
                folder.rename(old)
            try:
                work.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {why(error)}; choose another folder with --output") from error
