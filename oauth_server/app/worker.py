"""What one of several worker processes runs: the server, on the socket that their parent listens on."""

import multiprocessing
import os
import signal
import threading

from oauth_server.app import serving
from oauth_server.app.log import configure_logging
from oauth_server.app.mcp_server import McpServer
from oauth_server.app.metrics_port import start_in_worker
from oauth_server.core.settings import Settings


def work(settings: Settings, bound: serving.Socket) -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    configure_logging(settings)
    start_in_worker(settings)
    server = McpServer(settings)
    # The parent has shown the banner.
    serving.run(lambda: server.run_http_async(sockets=[bound], started=lambda: None))


def _end_with_the_parent() -> None:
    """Drain when the parent was killed: nobody would ever end this process, and it holds the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
