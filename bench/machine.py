"""On what was measured: the machine, and the versions of what ran on it."""

import os
import platform
import re
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from tests.support.npm import NODE, PACKAGES

_MEASURED = (
    "fastmcp",
    "mcp",
    "uvicorn",
    "uvloop",
    "httptools",
    "starlette",
    "sqlalchemy",
    "python-jose",
    "cryptography",
)


def _cpu() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor()


def filesystem(folder: Path) -> str:
    """The kind of file system that a folder is on."""
    parts = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(parts, key=lambda part: len(part.mountpoint)).fstype if parts else "unknown"


def machine(folder: Path) -> dict[str, Any]:
    """Cores, processor, kernel, and the file system of the stores."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "filesystem": filesystem(folder),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Of Python, its packages, SQLite, Node and oidc-provider."""
    return {
        "Python": platform.python_version(),
        **{name: version(name) for name in _MEASURED},
        "SQLite": sqlite3.sqlite_version,
        "Node": NODE,
        "oidc-provider": PACKAGES["oidc-provider"],
    }
