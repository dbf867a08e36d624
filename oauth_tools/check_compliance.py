"""mcp_oauth_check_compliance: judge a server's OAuth by its answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastmcp import FastMCP
from fastmcp.tools import ToolResult
from pydantic import Field

from oauth_server.core.services import Runtime
from oauth_tools.common import Answer, admit, read_only, refusal, reply, schema

NAME = "mcp_oauth_check_compliance"
SPEC_VERSIONS = ("2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")


@dataclass(frozen=True)
class Inspection:
    """What to judge. `local` says that the operator of this computer asks; `own` that it is this very server."""

    server_url: str
    spec_version: str
    depth: Literal["passive", "active"]
    access_token: str
    own: bool
    local: bool


# (structured report, text); handed in by the app, since no face imports another
Inspect = Callable[[Inspection], Awaitable[tuple[dict[str, Any], str]]]


class CheckResult(Answer):
    """One check of the report."""

    id: str
    title: str
    role: str
    level: str
    status: Literal["pass", "fail", "warn", "skip", "error"]


class ComplianceReport(Answer):
    """The report; `summary` counts the checks by status and level."""

    schema_version: int | str
    target: str
    spec_version: str
    depth: str
    summary: dict[str, Any]
    checks: list[CheckResult]


def register(mcp: FastMCP, runtime: Runtime, inspect: Inspect) -> None:
    """Add the tool."""

    @mcp.tool(
        name=NAME,
        title="Check OAuth compliance",
        annotations=read_only("Check OAuth compliance", open_world=True),
        output_schema=schema(ComplianceReport),
    )
    async def check_compliance(
        server_url: Annotated[str, Field(description="The MCP endpoint to judge; empty: this server.")] = "",
        spec_version: Annotated[
            str, Field(description=f"The MCP specification to judge by: {', '.join(SPEC_VERSIONS)}; empty: the newest.")
        ] = "",
        depth: Annotated[
            Literal["passive", "active"],
            Field(description="passive reads public documents; active also sends requests that must be refused."),
        ] = "passive",
        access_token: Annotated[str, Field(description="A token for the server, for checks that need one.")] = "",
    ) -> ToolResult:
        """Check a server's OAuth against the MCP authorization specification, with evidence and fixes.

        Every check really asks the server and reports what it saw. Use it to audit this server (the default) or,
        with the scope mcp:write, another MCP server by its URL. Failures come first, each with a fix.
        """
        services, principal = admit(runtime, NAME, {"server_url": server_url})
        version = spec_version or SPEC_VERSIONS[-1]
        if version not in SPEC_VERSIONS:
            raise refusal(f"spec_version must be one of {', '.join(SPEC_VERSIONS)}.")
        own = not server_url or services.deployment.is_own(server_url)
        if depth == "active" and not (own or principal.local):
            raise refusal("Only the local operator (stdio) may check another server actively; use depth passive.")
        target = services.deployment.endpoint if own else server_url
        inspection = Inspection(target, version, depth, access_token, own, principal.local)
        try:
            report, text = await inspect(inspection)
        except ValueError as error:
            raise refusal(f"server_url: {error}") from None
        return reply(report, text)
