"""A cluster of PostgreSQL of the tests' own, in a temporary folder: the system's programs, no running server needed."""

from __future__ import annotations

import dataclasses
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

OWNER, PASSWORD = "owner", "s3cret/%@:word"
_NOBODY = ("postgres", "nobody")


def programs() -> Path | None:
    """Return the folder of the server's programs; None: they are not installed."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]))
    found = [Path(program).parent for name in ("initdb",) if (program := shutil.which(name))]
    return next((folder for folder in (*reversed(debian), *found) if (folder / "initdb").exists()), None)


@dataclasses.dataclass
class Cluster:
    """A running server."""

    port: int
    made: int = 0

    def url(self, database: str, *, user: str = OWNER, password: str | None = PASSWORD) -> str:
        from sqlalchemy import URL

        made = URL.create("postgresql", user, password, "127.0.0.1", self.port, database)
        return made.render_as_string(hide_password=False)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Execute statements as the owner, each by itself."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=OWNER, password=PASSWORD, dbname=database, autocommit=True
        ) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def new_database(self) -> str:
        """Return the name of a database that was made just now."""
        self.made += 1
        self.execute(f"CREATE DATABASE test{self.made}")
        return f"test{self.made}"


def _as_nobody(folder: Path) -> list[str]:
    """Return what runs a program as a user other than root, which PostgreSQL demands, and give that user the folder."""
    if os.geteuid() != 0:
        return []
    user = next(entry for name in _NOBODY if (entry := _user(name)))
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def running(bin_folder: Path, *settings: str) -> Iterator[Cluster]:
    """Yield a server that runs until the iterator is closed; `settings`: such as `fsync=off`."""
    folder = Path(tempfile.mkdtemp(prefix="mbench-pg-"))
    before = _as_nobody(folder)
    data, word, log = folder / "data", folder / "word", folder / "log"
    word.write_text(PASSWORD)
    word.chmod(0o644)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = " ".join(f"-c {each}" for each in ("listen_addresses=127.0.0.1", "max_connections=50", *settings))
    control = [*before, str(bin_folder / "pg_ctl"), "-D", str(data)]
    try:
        initialise = ["--auth=scram-sha-256", f"--pwfile={word}", f"--username={OWNER}", "--encoding=UTF8", "--no-sync"]
        _run([*before, str(bin_folder / "initdb"), "-D", str(data), "--locale=C.UTF-8", *initialise], folder)
        _run([*control, "-l", str(log), "-o", f"-p {port} -k {folder} {given}", "-w", "start"], folder)
        yield Cluster(port)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], cwd=folder, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], folder: Path) -> None:
    with (folder / "said").open("w") as said:  # a pipe would stay open as long as the server runs
        done = subprocess.run(command, cwd=folder, stdout=said, stderr=said, check=False)
    if done.returncode:
        texts = [file.read_text() for file in (folder / "said", folder / "log") if file.exists()]
        raise RuntimeError(f"{command[-1]}: {' '.join(texts)}")
