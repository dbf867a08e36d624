"""PKCE at the authorization endpoint (OAuth 2.1 sections 4.1.1 and 7.5.2, RFC 7636)."""

from typing import Final

from oauth_server.compliance.checks.attempts import refused
from oauth_server.compliance.checks.authorization_request import unknown_method
from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.checks.registration_reply import with_secret
from oauth_server.compliance.model import Missing, Verdict, rule
from oauth_server.compliance.parties import Changes
from oauth_server.compliance.sources import mcp, oauth, rfc
from oauth_server.compliance.survey import Survey

SHORT: Final = "c2hvcnQ"
CHARACTERS: Final = "not/base64url+but*43~characters=of!anything"  # 43, as S256 has them


async def _refused(survey: Survey, changes: Changes, problem: str) -> Verdict:
    return refused(await survey.walk.attempt(changes), problem)


async def _unsupported(survey: Survey, changes: Changes, problem: str) -> Verdict:
    """Judge a request whose method is plain; Missing when the server says that it supports it."""
    if "plain" in strings((await survey.metadata()).members.get("code_challenge_methods_supported")):
        raise Missing("the metadata says that plain is supported")
    return await _refused(survey, changes, problem)


@rule(
    "A public client without a code challenge is refused",
    oauth("4.1.2.1"),
    mcp("Overview"),
    rfc(9700, "2.1.1"),
    fix="Refuse authorization requests without code_challenge: invalid_request.",
)
async def required(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: MUST reject requests without a code_challenge from public clients."""
    changes: Changes = {"code_challenge": None, "code_challenge_method": None}
    return await _refused(survey, changes, "A code was issued without a code challenge")


@rule(
    "An empty code challenge is refused",
    oauth("3.1"),
    oauth("4.1.2.1"),
    fix="Treat a parameter without a value as if it were left out.",
)
async def empty(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: parameters sent without a value MUST be treated as if they were omitted."""
    return await _refused(survey, {"code_challenge": ""}, "A code was issued for an empty code challenge")


@rule(
    "A confidential client without a code challenge is refused",
    oauth("4.1.2.1"),
    oauth("7.5.2"),
    fix="Require code_challenge of every client, with or without a secret.",
)
async def required_confidential(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: MUST reject, unless the client is known to use the nonce; none is sent here."""
    changes: Changes = {"code_challenge": None, "code_challenge_method": None}
    asked = await survey.walk.attempt(changes, await with_secret(survey))
    return refused(asked, "A code was issued without a code challenge")


@rule(
    "The challenge method plain is refused",
    oauth("4.1.2.1"),
    rfc(7636, "4.4.1"),
    fix="Accept code_challenge_method=S256 alone: invalid_request for any other.",
)
async def plain(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: MUST return invalid_request for a method that is not supported."""
    return await _unsupported(survey, {"code_challenge_method": "plain"}, "A code was issued for a plain challenge")


@rule(
    "A challenge without a method, which means plain, is refused",
    oauth("4.1.1"),
    oauth("4.1.2.1"),
    fix="Take a missing code_challenge_method for plain, and refuse it: invalid_request.",
)
async def method_missing(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: the method defaults to plain if it is not present in the request."""
    return await _unsupported(survey, {"code_challenge_method": None}, "A code was issued for a challenge without one")


@rule(
    "A challenge method that nobody knows is refused",
    oauth("4.1.2.1"),
    rfc(7636, "4.4.1"),
    fix="Accept code_challenge_method=S256 alone: invalid_request for any other.",
)
async def method_unknown(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: MUST return invalid_request for a method that is not supported."""
    return refused(await unknown_method(survey), "A code was issued for the method S999")


@rule(
    "A code challenge that is too short is refused",
    oauth("4.1.1"),
    rfc(7636, "4.2"),
    fix="Accept challenges of exactly 43 base64url characters: no other text is a SHA-256.",
)
async def short(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: code-challenge = 43*128unreserved; the server validates what is present."""
    return await _refused(survey, {"code_challenge": SHORT}, f"A code was issued for the challenge {SHORT}")


@rule(
    "A code challenge of other characters is refused",
    oauth("4.1.1"),
    rfc(7636, "4.2"),
    fix="Accept challenges of exactly 43 base64url characters: no other text is a SHA-256.",
)
async def characters(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: unreserved characters alone."""
    return await _refused(survey, {"code_challenge": CHARACTERS}, f"A code was issued for the challenge {CHARACTERS}")
