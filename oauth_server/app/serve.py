"""`serve`: run the server on the transport the operator chose."""

import os
import sys
import time
from functools import partial
from typing import Any

import anyio

from oauth_server.app.mistakes import one_line_errors
from oauth_server.core.settings import Settings, load


def serve(*, transport: str | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Run until stopped. Options that are None come from the environment; mistakes end the process with status 2."""
    with one_line_errors():
        settings = load(transport=transport, host=host, port=port, workers=workers)
    # Only now: a mistake in the settings is told at once, not after FastMCP was imported.
    from oauth_server.app.log import configure_logging  # noqa: PLC0415
    from oauth_server.app.mcp_server import McpServer  # noqa: PLC0415

    configure_logging(settings)
    server = McpServer(settings)
    if settings.transport == "stdio":
        run: Any = server.run_stdio_async
    elif settings.workers > 1:
        _serve_workers(settings)
        return
    else:
        run = partial(server.run_http_async, show_banner=False)
    anyio.run(run, backend_options={"use_uvloop": sys.platform != "win32"})


def _serve_workers(settings: Settings) -> None:
    """Run several processes on one socket; each opens the same store."""
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415 - one process is the rule

    from oauth_server.app import serving  # noqa: PLC0415
    from oauth_server.app.banner import banner  # noqa: PLC0415
    from oauth_server.app.compose import open_store  # noqa: PLC0415
    from oauth_server.app.log import announce  # noqa: PLC0415
    from oauth_server.app.metrics_port import serving_metrics_of_workers  # noqa: PLC0415
    from oauth_server.core.deployment import deploy  # noqa: PLC0415
    from oauth_server.core.key_rotation import KeyRotation  # noqa: PLC0415

    with (
        one_line_errors(),
        serving.bind(settings.host, settings.port) as bound,
        serving_metrics_of_workers(settings),
    ):
        deployment = deploy(settings, settings.host, settings.port)
        store = anyio.run(open_store, settings)  # mistakes show here, once, and not in every worker
        anyio.run(KeyRotation(store, settings, time.time).check)
        announce(settings, banner(deployment, store.location))
        store.close()
        os.environ |= {"MCP_HOST": settings.host, "MCP_PORT": str(settings.port), "MCP_WORKERS": str(settings.workers)}
        config = serving.uvicorn_config("oauth_server.app.worker:application", settings, None, {"factory": True})
        config.workers = settings.workers
        Multiprocess(config, sockets=[bound]).run()
