"""The command line (cyclopts). Its services are handed in, so that --help imports neither FastMCP nor SQLAlchemy."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from oauth_server.commands.audit import audit
from oauth_server.commands.backup import backup, restore
from oauth_server.commands.check import check
from oauth_server.commands.clients import clients
from oauth_server.commands.config import config
from oauth_server.commands.errors import MISTAKE, NOT_DONE, CommandError
from oauth_server.commands.initial_access_tokens import initial_access_tokens
from oauth_server.commands.keys import keys
from oauth_server.commands.local import GetLocal
from oauth_server.commands.moving import copy, migrate
from oauth_server.commands.output import remark
from oauth_server.commands.users import users
from oauth_server.core.settings_rules import SettingsError
from oauth_server.store.errors import StoreUnavailableError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
CLOSED_PIPE = 141  # 128 + SIGPIPE

_EPILOGUE = """\
Settings come from environment variables (MCP_OAUTH_…); `config` shows them. All commands but `serve`, `copy` and \
`check URL` work on the database of MCP_OAUTH_DATABASE_URL; a server beside them takes changes in within half a second.

Exit status: 0 done; 1 not done (nothing of that name, declined, a check failed, the database does not answer); \
2 a mistake in options, values or settings; 3 a mark of the audit log proves nothing any more."""


def command_line(local: GetLocal) -> App:
    """The commands. Without one, the server is started."""
    app = App(
        name="server.py",
        help="MCP Docker Server with OAuth 2.1: authorization server, protected resource server and OAuth tools.",
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        version="0.2.0",
        default_parameter=Parameter(negative=""),
        suppress_keyboard_interrupt=False,
    )

    @app.default
    @app.command(name="serve", help_epilogue="Example:\n  server.py serve --port 9000")
    def start(
        *,
        transport: Annotated[Literal["http", "stdio"] | None, Parameter(help="How clients connect.")] = None,
        host: Annotated[str | None, Parameter(help="Address to listen on.")] = None,
        port: Annotated[int | None, Parameter(help="Port to listen on.")] = None,
        workers: Annotated[int | None, Parameter(help="Number of processes.")] = None,
    ) -> None:
        """Start the server: streamable HTTP on 127.0.0.1:8000, MCP endpoint /mcp. This is the default command."""
        local().serve(transport=transport, host=host, port=port, workers=workers)

    for part in (check, users, clients, initial_access_tokens, keys, audit, config, migrate, copy, backup, restore):
        app.command(part(local))
    return app


def run(local: GetLocal) -> None:
    """Run what the command line asks for and end the process; what is not done is told in one line on stderr."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 ends no command half-way
    app = command_line(local)
    try:
        status: Any = app(exit_on_error=False, print_error=False, result_action="return_value") or 0
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has what it wanted; nothing is left to write at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = CLOSED_PIPE
    except KeyboardInterrupt:
        status = _say("\nInterrupted.", INTERRUPTED)
    except CycloptsError as error:
        status = _say(f"{_explained(error)} (see --help)", MISTAKE)
    except CommandError as error:
        status = _say(str(error), error.status)
    except SettingsError as error:
        status = _say(str(error), MISTAKE)
    except StoreUnavailableError as error:
        status = _say(f"The database does not answer: {error}", NOT_DONE)
    raise SystemExit(status)


def _explained(error: CycloptsError) -> str:
    """What is wrong with the command line; a word where none belongs is told in our words."""
    unused = error.unused_tokens if isinstance(error, UnusedCliTokensError) else None
    return f"Unknown command or argument: {unused[0]}." if unused else str(error)


def _say(line: str, status: int) -> int:
    remark(line)
    return status
