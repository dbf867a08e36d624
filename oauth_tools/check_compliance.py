"""mcp_oauth_check_compliance: judge a server's OAuth by its answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastmcp import Context, FastMCP
from fastmcp.apps.config import AppConfig
from fastmcp.tools import ToolResult
from mcp_types import ToolAnnotations
from pydantic import Field

from oauth_server.core.services import Runtime
from oauth_tools.common import admit, refusal, reply, schema
from oauth_tools.compliance_report import ComplianceReport, Depth, bounded
from oauth_tools.newest_reports import NewestReports
from oauth_tools.view import VIEW_URI

NAME = "mcp_oauth_check_compliance"
_DESCRIPTION: Final = """\
Check a server's OAuth against the MCP authorization specification, with evidence and fixes.

Every check really asks the server and reports what it saw; failures come first, each with a fix. Use it to
audit this server (the default; beyond depth passive with the scope mcp:admin) or another MCP server by its
URL (with mcp:write; beyond depth passive only for the local operator, over stdio). The newest report stays
readable as the resource oauth://compliance."""
SPEC_VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
# Beyond depth passive it registers clients and walks flows, here or at another server, and says so to hosts that
# run read-only tools unasked.
_ANNOTATIONS = ToolAnnotations(
    title="Check OAuth compliance",
    read_only_hint=False,
    destructive_hint=False,
    idempotent_hint=True,
    open_world_hint=True,
)


@dataclass(frozen=True)
class Inspection:
    """What to judge. `local` says that the operator of this computer asks; `own` that it is this very server."""

    server_url: str
    spec_version: str
    depth: Depth
    access_token: str
    own: bool
    local: bool


# Told after each check: how many are judged, of how many, and the title of the last one.
Progress = Callable[[int, int, str], Awaitable[None]]
# (structured report, text); handed in by the app, since no face imports another
Inspect = Callable[[Inspection, Progress], Awaitable[tuple[dict[str, Any], str]]]


def register(mcp: FastMCP, runtime: Runtime, inspect: Inspect, newest: NewestReports) -> None:
    """Add the tool."""

    @mcp.tool(
        name=NAME,
        title="Check OAuth compliance",
        description=_DESCRIPTION,
        annotations=_ANNOTATIONS,
        output_schema=schema(ComplianceReport),
        app=AppConfig(resource_uri=VIEW_URI),
    )
    async def check_compliance(
        ctx: Context,
        server_url: Annotated[str, Field(description="The MCP endpoint to judge; empty: this server.")] = "",
        spec_version: Annotated[
            str, Field(description=f"The MCP specification to judge by: {', '.join(SPEC_VERSIONS)}; empty: the newest.")
        ] = "",
        depth: Annotated[
            Depth,
            Field(
                description="passive reads public documents; active also registers a client and walks the flow; "
                "adversarial also sends what an attacker would."
            ),
        ] = "passive",
        access_token: Annotated[str, Field(description="A token for the server, for checks that need one.")] = "",
    ) -> ToolResult:
        services, principal = admit(runtime, NAME, {"server_url": server_url, "depth": depth})
        version = spec_version or SPEC_VERSIONS[-1]
        if version not in SPEC_VERSIONS:
            raise refusal(f"spec_version must be one of {', '.join(SPEC_VERSIONS)}.")
        own = not server_url or services.deployment.is_own(server_url)
        if depth != "passive" and not (own or principal.local):
            raise refusal(f"Only the local operator (stdio) may check another server at depth {depth}; use passive.")
        target = services.deployment.endpoint if own else server_url
        inspection = Inspection(target, version, depth, access_token, own, principal.local)
        try:
            report, text = await inspect(inspection, ctx.report_progress)
        except ValueError as error:
            raise refusal(f"server_url: {error}") from None
        newest.keep(principal, report)
        return reply(report, bounded(text, report))
