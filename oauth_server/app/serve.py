"""`serve`: run the server on the transport the operator chose."""

import gc
from functools import partial

from oauth_server.app.mistakes import one_line_errors
from oauth_server.core.settings import Settings, load


def serve(*, transport: str | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Run until stopped. Options that are None come from the environment; mistakes end the process with status 2."""
    gc.disable()  # what is imported stays; looking through it again and again is an eighth of a start
    with one_line_errors():
        settings = load(transport=transport, host=host, port=port, workers=workers)
    # Only now: a mistake in the settings is told at once, not after FastMCP was imported.
    from oauth_server.app import serving  # noqa: PLC0415
    from oauth_server.app.log import configure_logging  # noqa: PLC0415
    from oauth_server.app.mcp_server import McpServer  # noqa: PLC0415

    configure_logging(settings)
    if settings.transport == "stdio":
        serving.run(McpServer(settings).run_stdio_async)
    elif settings.workers == 1:
        serving.run(McpServer(settings).run_http_async)
    else:
        _serve_workers(settings)


def _serve_workers(settings: Settings) -> None:
    """Run several processes on one socket; each opens the same store."""
    from oauth_server.app import serving  # noqa: PLC0415
    from oauth_server.app.log import announce  # noqa: PLC0415
    from oauth_server.app.metrics_port import serving_metrics_of_workers  # noqa: PLC0415
    from oauth_server.app.supervisor import Supervisor  # noqa: PLC0415 - one process is the rule

    with (
        one_line_errors(),
        serving.bind(settings.host, settings.port) as bound,
        serving_metrics_of_workers(settings),
    ):
        # Mistakes show here, once, and not in every worker; so does the owner's first password.
        announce(settings, serving.run(partial(_prepared, settings, bound.getsockname()[1])))
        bound.listen(serving.BACKLOG)  # whoever connects before a worker is there is answered by the first
        status = Supervisor(settings, bound).run()
    raise SystemExit(status)


async def _prepared(settings: Settings, port: int) -> str:
    """Make the store ready for the workers as the first of them would; the banner."""
    from oauth_server.app.banner import banner  # noqa: PLC0415
    from oauth_server.app.compose import open_services  # noqa: PLC0415
    from oauth_server.core.deployment import deploy  # noqa: PLC0415

    deployment = deploy(settings, settings.host, port)
    async with open_services(settings, lambda _: deployment, serves_http=True) as opened:
        return banner(deployment, opened.services.store.location, opened.owner_password)
