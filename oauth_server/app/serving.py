"""Running uvicorn: a socket bound before anything is promised, and an orderly end."""

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import uvicorn
from starlette.types import ASGIApp

from oauth_server.app.connections import Connection
from oauth_server.app.waiting import raise_file_limit
from oauth_server.core.settings import Settings, SettingsError

DRAIN_SECONDS: Final = 5  # what is being answered at the end may take as long
NOTICE_SECONDS: Final = 3.0  # in which a proxy learns from /routez that it is to send nothing more
LAST_LOOK: Final = 0.1  # seconds for what was sent before the listener closed to be read
BACKLOG: Final = 2048  # connections that wait to be accepted
Socket = socket.socket
T = TypeVar("T")


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
    """Uvicorn with uvloop and our connections. No access log: a request's query may hold what must not be logged."""
    raise_file_limit()
    trusted = list(settings.trusted_proxies)
    values: dict[str, Any] = {
        "http": Connection,
        "ws": "none",
        "lifespan": "on",
        "log_config": None,  # as app/log.py has it
        "access_log": False,
        "server_header": False,
        "log_level": (log_level or "warning").lower(),
        "proxy_headers": bool(trusted),
        "forwarded_allow_ips": trusted,
        "timeout_keep_alive": settings.keep_alive,
        "timeout_graceful_shutdown": DRAIN_SECONDS,
        "backlog": BACKLOG,
    }
    return uvicorn.Config(app, **(values | (extra or {})))


class Server(uvicorn.Server):
    """uvicorn's server, which says when it is up, gives notice of its end, and exits 0 after SIGTERM.

    `draining` is called first when it ends; `notice`: seconds for which it serves on after SIGTERM.
    """

    def __init__(
        self, config: uvicorn.Config, greet: Callable[[], None], draining: Callable[[], None], notice: float
    ) -> None:
        super().__init__(config)
        self._greet = greet
        self._draining = draining
        self._notice = notice

    async def startup(self, sockets: list[Socket] | None = None) -> None:
        """Start to serve, then greet."""
        await super().startup(sockets=sockets)
        if self.started:
            self._greet()

    async def shutdown(self, sockets: list[Socket] | None = None) -> None:
        """Give notice, then close the socket and idle connections, and finish what is being answered.

        A proxy that finds a connection closed while it sends a POST cannot know whether to send it again.
        """
        self._draining()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        if self._captured_signals[:1] == [signal.SIGTERM]:  # who pressed Ctrl-C does not wait
            end = time.monotonic() + self._notice
            while time.monotonic() < end and not self.force_exit:  # noqa: ASYNC110 - set by a signal handler
                await anyio.sleep(0.1)
        await self._take_in(sockets or ())
        await super().shutdown(sockets)

    async def _take_in(self, sockets: Sequence[Socket]) -> None:
        """Close the listeners, and read what was sent before: closing a socket resets connections that wait in it."""
        waiting: list[Socket] = []
        listeners = [listener.dup() for listener in sockets]
        for server in self.servers:
            server.close()
        for listener in listeners:
            with listener, suppress(OSError):  # none waits, or no file may be opened
                while len(waiting) < BACKLOG:
                    waiting.append(listener.accept()[0])
        loop = asyncio.get_running_loop()
        protocol = partial(Connection, self.config, self.server_state, self.lifespan.state)
        for accepted in waiting:
            accepted.setblocking(False)
            with suppress(OSError):  # its client is gone
                await loop.connect_accepted_socket(protocol, accepted)
        await anyio.sleep(LAST_LOOK)

    async def serve(self, sockets: list[Socket] | None = None) -> None:
        """Serve until a signal. uvicorn would raise it again, which is not how a drained server ends."""
        with self.capture_signals():
            await self._serve(sockets)
            self._captured_signals.clear()


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run an event loop for `main`, the one of this process."""
    # What was imported stays: looking through it for garbage again and again would halt every request for 0.1 s.
    gc.freeze()
    gc.enable()  # as it is where nobody turned it off
    # A request makes some hundred objects and leaves none: to look after every 700 finds nothing, again and again.
    gc.set_threshold(10_000, 20, 20)
    # The thread that commits needs the interpreter twice for each commit, and a busy loop lets go of it only then.
    sys.setswitchinterval(0.001)
    return anyio.run(main, backend_options={"use_uvloop": sys.platform != "win32"})
