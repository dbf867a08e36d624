"""MCP programs of the npm registry: installed once into the user's cache, run with a Node of their own."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# The one place that says which versions are run. Their own dependencies are those of the day BEFORE.
PACKAGES = {
    "@modelcontextprotocol/inspector": "2.12.0",
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/client": "2.3.1",
    "@modelcontextprotocol/sdk": "1.32.2",
    "mcp-remote": "0.15.1",
    "axe-core": "4.14.1",
    "oidc-provider": "9.13.3",
}
PROGRAMS = {
    "inspector": "@modelcontextprotocol/inspector/clients/launcher/build/index.js",
    "conformance": "@modelcontextprotocol/conformance/dist/index.js",
    "mcp-remote": "mcp-remote/dist/proxy.js",
}
NODE = "24.21.0"  # the inspector needs 22.19 or newer
BEFORE = "2026-11-20"
INSTALL_SECONDS = 150
TEST_SECONDS = 2 * INSTALL_SECONDS + 60  # another worker may install first, and fail
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class UnavailableError(Exception):
    """The programs cannot be had on this machine; the text says why."""


@dataclass(frozen=True)
class Npm:
    """The installed programs."""

    folder: Path
    node: str

    def command(self, program: str, *arguments: str) -> tuple[str, ...]:
        """The command line of one of PROGRAMS."""
        return (self.runtime, str(self.folder / PROGRAMS[program]), *arguments)

    @property
    def runtime(self) -> str:
        """The path of Node itself."""
        return str(self.folder / self.node / "bin" / "node")


def install() -> Npm:
    """The installed programs; installs them first where they are not. Raises UnavailableError.

    No package's own script runs. Node is one of the packages, since a machine's own may be too old.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("npm is not installed")
    machine = platform.machine().lower()
    node = f"node-{sys.platform}-{_ARCHITECTURES.get(machine, machine)}"
    manifest = json.dumps({"private": True, "dependencies": {**PACKAGES, node: NODE}}, indent=2)
    key = hashlib.sha256(f"{manifest} {BEFORE}".encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-docker-server-tests"
    cache.mkdir(parents=True, exist_ok=True)
    found, failed = cache / f"npm-{key}", cache / f"npm-{key}.failed"
    with _locked(cache / f"npm-{key}.lock"):
        if not found.exists():
            _once_a_run(failed, lambda: _install(npm, manifest, found))
    return Npm(found / "node_modules", node)


def _once_a_run(note: Path, action: Callable[[], None]) -> None:
    """Do it unless another worker of this test run already failed to, which the note says."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    if run and note.exists() and note.read_text(encoding="utf-8").startswith(f"{run}\n"):
        raise UnavailableError(note.read_text(encoding="utf-8").partition("\n")[2])
    try:
        action()
    except UnavailableError as error:
        note.write_text(f"{run}\n{error}", encoding="utf-8")
        raise


def _install(npm: str, manifest: str, folder: Path) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    (part / "package.json").write_text(manifest, encoding="utf-8")
    options = ("--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", f"--before={BEFORE}")
    network = (
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=4000",
        "--fetch-timeout=30000",
    )
    try:
        done = subprocess.run(
            [npm, "install", *options, *network],
            cwd=part,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"npm did not install the clients within {INSTALL_SECONDS} seconds") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        raise UnavailableError(f"npm could not install the clients: {' '.join(errors[:2])[:200]}")
    part.rename(folder)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock: two workers install once, and the second waits."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
