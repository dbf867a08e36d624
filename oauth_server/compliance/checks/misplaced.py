"""Tokens that the authorization server issued, and not for the resource (OAuth 2.1 section 1.3.2, RFC 8725)."""

from oauth_server.compliance.checks.bearer import call_with, opens, refused
from oauth_server.compliance.checks.identity import signed_in
from oauth_server.compliance.model import Missing, Verdict, rule
from oauth_server.compliance.sources import mcp, oauth, rfc
from oauth_server.compliance.survey import Survey


@rule(
    "A refresh token opens nothing",
    mcp("Token Handling"),
    oauth("1.3.2"),
    fix="Tell refresh tokens from access tokens, and answer 401 to them at the resource.",
)
async def refresh_token(survey: Survey) -> Verdict:
    """OAuth 2.1 section 1.3.2: refresh tokens are for authorization servers alone; MCP: no other tokens."""
    await opens(survey)
    token = (await survey.walk.tokens()).refresh_token()
    return refused(await call_with(survey, f"Bearer {token}"))


@rule(
    "An ID token opens nothing",
    mcp("Token Handling"),
    rfc(8725, "3.12"),
    fix="Check typ and aud of every JWT: an ID token's audience is the client.",
)
async def id_token(survey: Survey) -> Verdict:
    """RFC 8725 section 3.12: rules that tell kinds of JWTs apart; RFC 9068 section 4: typ, iss and aud."""
    await opens(survey)
    token = (await signed_in(survey)).text("id_token")
    if not token:
        raise Missing("no ID token was issued")
    return refused(await call_with(survey, f"Bearer {token}"))
