"""What the rules about flows share: whether a request was refused, a token opens the endpoint, a grant lives."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from oauth_server.compliance import messages
from oauth_server.compliance.checks.token_endpoint import TOO_MANY, error_of, patient
from oauth_server.compliance.jws import decode
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge
from oauth_server.compliance.parties import Client, Tokens
from oauth_server.compliance.survey import UNAUTHORIZED, Survey

FORBIDDEN: Final = 403
LONGEST_TOKEN: Final = 65536
_SUCCESS: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = range(400, 500)


def succeeded(exchange: Exchange) -> bool:
    """Say whether a request was granted."""
    return exchange.answer.status in _SUCCESS


def not_refused(exchange: Exchange, errors: Collection[str] = ()) -> str:
    """Say how a request that should be refused was answered instead, empty when it was; `errors`: one of these alone.

    The status may be any 4xx, since one that is not the prescribed one has checks of its own.
    """
    status, error = patient(exchange).answer.status, error_of(exchange)
    if status in _REDIRECTS:
        raise Missing(f"the request is redirected ({status}), which tells nothing")
    if status not in _REFUSALS:
        return f"The answer is {status}"
    if errors and error not in errors:
        return f"The answer is {status} with the error {error!r}, not {' or '.join(errors)}"
    return ""


def judge_refusal(exchange: Exchange, errors: Collection[str] = ()) -> Verdict:
    """Judge a request that must be refused; `errors`: with one of these."""
    said = f"It is refused: {exchange.answer.status} {error_of(exchange)}"
    return judge(not_refused(exchange, errors), said, (exchange, f"error: {error_of(exchange)!r}"))


def members(exchange: Exchange) -> Mapping[str, Any]:
    """Return the JSON object of an answer, empty when it has none."""
    try:
        value = exchange.answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a token that is a JWT, empty for an opaque one; nothing of it is verified."""
    try:
        value = json.loads(decode(token[:LONGEST_TOKEN].split(".")[1]))
    except (ValueError, IndexError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def audiences(token: str) -> list[str]:
    """Return the audience of a token that is a JWT; nothing for an opaque one, or one without."""
    value = claims(token).get("aud")
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, str)]


def scope_of(tokens: Tokens) -> set[str] | None:
    """Return the scope that tokens have: what the answer states, else what a JWT says; None when neither does."""
    for holder in (tokens.members, claims(tokens.access_token)):
        if isinstance(holder.get("scope"), str):
            return set(holder["scope"].split())
    return None


async def endpoint_with(survey: Survey, token: str) -> Exchange:
    """Call the endpoint with a token, as often as it is asked for; Missing when it needs none."""
    await survey.refusal()
    fields, body = messages.first(survey.version)
    return await survey.send("POST", await survey.endpoint(), {**fields, "Authorization": f"Bearer {token}"}, body)


def opens(exchange: Exchange, right: Exchange | None = None) -> bool:
    """Say whether the token of such a call was taken; Missing when the answer says nothing about it.

    `right`: the answer to a token that is good. What is no refusal of the token but answers the message, as 400 does
    where a server does not speak the version, counts as taken when a good token is answered alike.
    """
    status = exchange.answer.status
    if status in {UNAUTHORIZED, FORBIDDEN}:
        return False
    if status not in _SUCCESS and (status not in _REFUSALS or status == TOO_MANY):
        raise Missing(f"the endpoint answered {status} to a token, which tells nothing")
    return status in _SUCCESS or right is None or status == right.answer.status


async def right_flow(survey: Survey) -> Tokens:
    """Return the tokens of the flow that shows that right requests are granted; Missing when they are not."""
    return await survey.walk.tokens()


async def public_client(survey: Survey) -> Client:
    """Return the client that flows are walked with; Missing when it is a confidential one."""
    client = await survey.walk.clients.public()
    if client.method != "none":
        raise Missing("the client that was given is a confidential one")
    return client
