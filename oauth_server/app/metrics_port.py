"""Prometheus metrics on a port of their own: of this process, or the sum of the workers that it started."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oauth_server import metrics
from oauth_server.core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client lets each worker keep its values
_LIVE = re.compile(r"gauge_live\w+_(\d+)\.db")


@contextmanager
def serving_metrics(settings: Settings) -> Iterator[None]:
    """Serve the metrics of this process while it runs; raises SettingsError when the port cannot be bound."""
    if settings.metrics_port is None:
        yield
        return
    with _server(settings, metrics.start()):
        yield


@contextmanager
def serving_metrics_of_workers(settings: Settings) -> Iterator[None]:
    """Serve the sum of the workers that are started meanwhile. Their values lie in a folder that goes at the end."""
    if settings.metrics_port is None:
        yield
        return
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - in this process, whose values stay in memory

    folder = tempfile.mkdtemp(prefix="mcp-metrics-")
    os.environ[_FOLDER] = folder
    try:
        registry = CollectorRegistry()
        registry.register(_Workers(folder))
        with _server(settings, registry):
            yield
    finally:
        del os.environ[_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


def start_in_worker(settings: Settings) -> None:
    """Begin to count in a worker, whose parent serves the sum."""
    if settings.metrics_port is not None and _FOLDER in os.environ:
        metrics.start()


class _Workers:
    """Adds up what the workers counted, those that ended included; gauges are of those alone that run."""

    def __init__(self, folder: str) -> None:
        from prometheus_client import multiprocess  # noqa: PLC0415

        untyped: Any = multiprocess
        self._folder = Path(folder)
        self._sum = untyped.MultiProcessCollector(None, folder)
        self._forget = untyped.mark_process_dead

    def collect(self) -> "Iterator[Metric]":
        """Read the workers' files."""
        pids = {int(found[1]) for path in self._folder.iterdir() if (found := _LIVE.fullmatch(path.name))}
        for pid in pids:
            if not _runs(pid):
                self._forget(pid, str(self._folder))
        yield from self._sum.collect()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _server(settings: Settings, registry: "CollectorRegistry") -> Iterator[None]:
    from prometheus_client import start_http_server  # noqa: PLC0415

    host, port = settings.metrics_host, settings.metrics_port or 0
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        problem = f"{host}:{port} cannot be bound ({error.strerror})"
        raise SettingsError("MCP_METRICS_PORT", problem, "a free port, and an address of this computer") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
