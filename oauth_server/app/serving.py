"""Running uvicorn: a socket bound before anything is promised, and an orderly end."""

import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from oauth_server.core.settings import Settings, SettingsError

DRAIN_SECONDS = 5
Socket = socket.socket


def bind(host: str, port: int) -> Socket:
    """A listening socket; raises SettingsError when the address cannot be used."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise SettingsError(
            "MCP_HOST", f"{host} cannot be resolved ({error.strerror})", "an address of this computer"
        ) from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        problem = f"{host}:{port} cannot be bound ({error.strerror})"
        raise SettingsError("MCP_PORT", problem, "a free port, for example --port 8001") from None
    return bound


def uvicorn_config(
    app: ASGIApp | str, settings: Settings, log_level: str | None, extra: dict[str, Any] | None
) -> uvicorn.Config:
    """Uvicorn with uvloop and httptools. No access log: a request's query may hold what must not be logged."""
    trusted = list(settings.trusted_proxies)
    values: dict[str, Any] = {
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "log_config": None,  # as app/log.py has it
        "access_log": False,
        "server_header": False,
        "log_level": (log_level or "warning").lower(),
        "proxy_headers": bool(trusted),
        "forwarded_allow_ips": trusted,
        "timeout_graceful_shutdown": DRAIN_SECONDS,
    }
    return uvicorn.Config(app, **(values | (extra or {})))


class Server(uvicorn.Server):
    """uvicorn's server, which says when it is up and exits 0 after SIGTERM."""

    def __init__(self, config: uvicorn.Config, greet: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._greet = greet

    async def startup(self, sockets: list[Socket] | None = None) -> None:
        """Start to serve, then greet."""
        await super().startup(sockets=sockets)
        if self.started and self._greet is not None:
            self._greet()

    async def serve(self, sockets: list[Socket] | None = None) -> None:
        """Serve until a signal. uvicorn would raise it again, which is not how a drained server ends."""
        with self.capture_signals():
            await self._serve(sockets)
            self._captured_signals.clear()
