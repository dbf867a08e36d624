"""`check`: judge a server's OAuth by its answers, as the tool mcp_oauth_check_compliance does."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from oauth_server.commands.errors import NOT_DONE, CommandError, MistakeError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json
from oauth_server.commands.output import json_line

TOKEN = "MCP_ACCESS_TOKEN"  # noqa: S105 - the name of an environment variable; no setting, so not MCP_OAUTH_…
_MAX_TOKEN = 65_536

_EXAMPLES = f"""\
Examples:
  server.py check
  server.py check https://mcp.example.com/mcp --spec 2025-11-25
  {TOKEN}=eyJ… server.py check https://mcp.example.com/mcp --depth active"""


def check(local: GetLocal) -> App:
    """The command that audits a server."""
    app = App(name="check", help_epilogue=_EXAMPLES)

    @app.default
    async def run(
        url: Annotated[
            str | None, Parameter(help="An MCP endpoint; omitted: this server, which must be running.")
        ] = None,
        /,
        *,
        spec: Annotated[
            Literal["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"],
            Parameter(help="The MCP specification to judge by."),
        ] = "2026-07-28",
        depth: Annotated[
            Literal["passive", "active"], Parameter(help="active: also send requests that must be refused.")
        ] = "passive",
        access_token_file: Annotated[
            str | None, Parameter(help=f"A file with an access token for active checks. Else ${TOKEN} is taken.")
        ] = None,
        json: Json = False,
    ) -> int:
        """Check a server against the MCP authorization specification; failures come first, each with its fix.

        Exit status 1 when a MUST is not kept or could not be judged, 2 when the server cannot be reached.
        """
        token = _token(access_token_file)
        target = url or await _own(local)
        from oauth_server.compliance.runner import audit  # noqa: PLC0415
        from oauth_server.outbound import Outbound, OutboundError  # noqa: PLC0415

        try:
            await Outbound(local=True).request("GET", target)  # any answer will do
            report = await audit(
                target, outbound=Outbound(local=True), spec_version=spec, depth=depth, access_token=token
            )
        except OutboundError as error:
            hint = "" if url else " Start the server, or give the URL of another one."
            raise MistakeError(f"{target} cannot be reached: {error.reason}.{hint}") from None
        if json:
            json_line(report.as_dict())
        else:
            sys.stdout.write(report.text())
        return NOT_DONE if report.summary["fail"] + report.summary["error"] else 0

    return app


async def _own(local: GetLocal) -> str:
    """The endpoint of the server that keeps its store here."""
    from oauth_server.core.deployment import deploy  # noqa: PLC0415

    async with local().administration() as admin:
        if admin.issuer is None:
            raise CommandError(f"No server has served HTTP with {admin.location} yet: start it, or give a URL.")
        settings = admin.settings
        return deploy(settings, settings.host, settings.port, admin.issuer).endpoint


def _token(path: str | None) -> str:
    if path is None:
        return os.environ.get(TOKEN, "").strip()
    try:
        with Path(path).open(encoding="utf-8") as file:
            token = file.read(_MAX_TOKEN).strip()
    except (OSError, ValueError) as error:
        raise MistakeError(f"--access-token-file: {path} cannot be read ({_why(error)}).") from None
    if not token:
        raise MistakeError(f"--access-token-file: {path} is empty.")
    return token


def _why(error: OSError | ValueError) -> str:
    return (error.strerror or "unreadable") if isinstance(error, OSError) else "not text"
