"""The code verifier, without which a stolen code is worth something (OAuth 2.1 section 4.1.3, RFC 7636 section 4)."""

import base64
import hashlib
import secrets
from collections.abc import Collection
from typing import Final

from oauth_server.compliance.checks.flows import judge_refusal, right_flow, succeeded
from oauth_server.compliance.model import Verdict, judge, rule
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey

EITHER: Final = ("invalid_grant", "invalid_request")
SHORT: Final = "short-verifier"


async def _with(survey: Survey, verifier: str | None, errors: Collection[str] = EITHER) -> Verdict:
    """Judge a redemption in which nothing but the verifier is wrong; None leaves it out."""
    await right_flow(survey)
    asked = await survey.walk.code()
    return judge_refusal(await survey.walk.redeem(asked, {"code_verifier": verifier}), errors)


@rule(
    "A code is not redeemed with a wrong verifier",
    oauth("4.1.3"),
    rfc(7636, "4.6"),
    security("Authorization Code Protection"),
    fix="Hash the code_verifier and compare it with the code_challenge: 400 invalid_grant if it differs.",
)
async def wrong(survey: Survey) -> Verdict:
    """RFC 7636 section 4.6: if the values are not equal, an error of invalid_grant MUST be returned."""
    return await _with(survey, secrets.token_urlsafe(32), ["invalid_grant"])


@rule(
    "A code is not redeemed without its verifier",
    oauth("4.1.3"),
    oauth("7.5.2"),
    fix="Refuse the redemption of a code whose request had a code_challenge when code_verifier is missing.",
)
async def absent(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.3: MUST verify that the verifier is present if a challenge was."""
    return await _with(survey, None)


@rule(
    "A code is not redeemed with an empty verifier",
    oauth("3.2"),
    oauth("4.1.3"),
    fix="Treat an empty code_verifier like a missing one, and refuse it.",
)
async def empty(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.2: parameters without a value MUST be treated as omitted."""
    return await _with(survey, "")


@rule(
    "The challenge is no verifier",
    oauth("4.1.3"),
    rfc(7636, "4.6"),
    fix="Compare the challenge with the hash of the verifier alone, never with the verifier itself.",
)
async def challenge(survey: Survey) -> Verdict:
    """RFC 7636 section 4.6: under S256 the verifier is hashed first; the challenge went through the browser."""
    await right_flow(survey)
    asked = await survey.walk.code()
    changes = {"code_verifier": asked.requested("code_challenge")}
    return judge_refusal(await survey.walk.redeem(asked, changes), EITHER)


@rule(
    "A verifier that is too short is refused",
    rfc(7636, "4.1"),
    fix="Accept verifiers of 43 to 128 unreserved characters alone; shorter ones can be guessed.",
)
async def short(survey: Survey) -> Verdict:
    """RFC 7636 section 4.1: 43 to 128 characters; what to do about a client's shorter one is not said."""
    await right_flow(survey)
    digest = hashlib.sha256(SHORT.encode()).digest()
    changes = {"code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
    exchange = await survey.walk.redeem(await survey.walk.code(changes=changes), {"code_verifier": SHORT})
    if succeeded(exchange):
        return judge(f"A verifier of {len(SHORT)} characters is good enough", "", exchange)
    return judge_refusal(exchange, EITHER)
