"""The web page of MCP Inspector 1, which can call a server from the browser itself; its later pages call through a backend."""

import fcntl
import functools
import http.server
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.npm import INSTALL_SECONDS, UnavailableError

PACKAGE = "@modelcontextprotocol/inspector"
VERSION = "1.0.3"


def fetch() -> Path:
    """The folder with the built page, fetched once into the user's cache. Raises UnavailableError."""
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("npm is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-docker-server-tests"
    folder = cache / f"inspector-page-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _unpack(npm, folder)
    return folder / "package" / "client" / "dist"


def _unpack(npm: str, folder: Path) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--fetch-retries=1", "--fetch-timeout=30000"]
    try:
        done = subprocess.run(command, cwd=part, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"npm did not fetch the page within {INSTALL_SECONDS} seconds") from None
    if done.returncode != 0:
        raise UnavailableError(f"npm could not fetch the page: {done.stderr.strip()[:200]}")
    (archive,) = part.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(part, filter="data")
    part.rename(folder)


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves files, and the page for every path that is none, as the inspector's own little server does."""

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        return found if Path(found).is_file() else str(Path(self.directory) / "index.html")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the page on a free loopback port; its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()
