"""mcp_oauth_validate_token: judge an access token check by check (RFC 9068 section 4)."""

from typing import Annotated, Final, Literal

from fastmcp import FastMCP
from fastmcp.tools import ToolResult
from pydantic import Field

from oauth_server.core import scopes
from oauth_server.core.errors import InvalidScopeError, InvalidTokenError
from oauth_server.core.services import Runtime, Services
from oauth_server.core.tokens import CHECKS, AccessToken
from oauth_tools.common import Answer, admit, read_only, refusal, reply, schema

NAME = "mcp_oauth_validate_token"
_DESCRIPTION: Final = """\
Check whether an access token of this server is valid, and say exactly which check fails and why.

Use it when a request was refused with 401 or 403: the answer names the failed check (signature, expiry,
audience, revocation, scope …) and the scopes that are missing. The token is not stored or repeated."""


class TokenCheck(Answer):
    """One check: what was looked at and how it ended; "not run" after a failed one."""

    name: str
    outcome: Literal["passed", "failed", "not run"]
    detail: str = ""


class TokenClaims(Answer):
    """What a valid token says; times are Unix seconds."""

    sub: str
    client_id: str
    scope: str
    aud: list[str]
    iat: int
    exp: int
    expires_in: int


class TokenVerdict(Answer):
    """The verdict on a token."""

    valid: bool
    failed_check: str | None
    reason: str
    missing_scopes: list[str]
    checks: list[TokenCheck]
    claims: TokenClaims | None


def register(mcp: FastMCP, runtime: Runtime) -> None:
    """Add the tool."""

    @mcp.tool(
        name=NAME,
        title="Validate an access token",
        description=_DESCRIPTION,
        annotations=read_only("Validate an access token"),
        output_schema=schema(TokenVerdict),
    )
    async def validate_token(
        token: Annotated[str, Field(description="The access token, without the word Bearer.")],
        required_scopes: Annotated[
            str, Field(description="Scopes the token must hold, separated by blanks; empty: none.")
        ] = "",
        resource: Annotated[
            str, Field(description="The resource the token must be meant for; empty: this MCP server.")
        ] = "",
    ) -> ToolResult:
        services, _ = admit(runtime, NAME, {})
        try:
            wanted = scopes.parse(required_scopes)
        except InvalidScopeError as error:
            raise refusal(f"required_scopes: {error.description}") from None
        verdict = await _judge(services, token.strip(), wanted, resource.strip())
        return reply(verdict, _text(verdict))


async def _judge(services: Services, token: str, wanted: tuple[str, ...], resource: str) -> TokenVerdict:
    resources = services.deployment.resources
    audience: tuple[str, ...] = (resources.root, resources.mcp)
    if resource:
        name = resources.canonical(resource)
        if name is None:
            raise refusal(f"resource: not served here; this server's resources are {', '.join(resources.names)}.")
        audience = (name,)
    try:
        found = await services.tokens.verify(token, audience)
    except InvalidTokenError as error:
        return _verdict(error.check, error.reason, [], None)
    lacking = scopes.missing(wanted, found.scope)
    claims = _claims(found, services.clock())
    if lacking:
        return _verdict("scope", f"the token lacks {' '.join(lacking)}", list(lacking), claims)
    return _verdict(None, "the token is valid", [], claims)


def _claims(found: AccessToken, now: float) -> TokenClaims:
    return TokenClaims(
        sub=found.subject,
        client_id=found.client_id,
        scope=" ".join(found.scope),
        aud=[found.audience],
        iat=found.issued_at,
        exp=found.expires_at,
        expires_in=max(0, int(found.expires_at - now)),
    )


def _verdict(failed: str | None, reason: str, lacking: list[str], claims: TokenClaims | None) -> TokenVerdict:
    checks = []
    over = False
    for name in (*CHECKS, "scope"):
        if name == failed:
            checks.append(TokenCheck(name=name, outcome="failed", detail=reason))
            over = True
        else:
            checks.append(TokenCheck(name=name, outcome="not run" if over else "passed", detail=""))
    return TokenVerdict(
        valid=failed is None,
        failed_check=failed,
        reason=reason,
        missing_scopes=lacking,
        checks=checks,
        claims=claims if failed in (None, "scope") else None,
    )


def _text(verdict: TokenVerdict) -> str:
    if verdict.valid and verdict.claims is not None:
        claims = verdict.claims
        return (
            f"Valid for another {claims.expires_in} s: scope {claims.scope}, for {', '.join(claims.aud)}, "
            f"issued to client {claims.client_id}."
        )
    lacking = f" Missing scopes: {' '.join(verdict.missing_scopes)}." if verdict.missing_scopes else ""
    return f"Not valid: the check {verdict.failed_check} failed: {verdict.reason}.{lacking}"
