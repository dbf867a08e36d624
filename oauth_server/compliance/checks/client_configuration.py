"""The client configuration endpoint: read, delete, and to nobody else (RFC 7592)."""

from dataclasses import dataclass
from typing import Final

from oauth_server.compliance.checks.registration_reply import METHODS, with_secret
from oauth_server.compliance.document import OK
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Client
from oauth_server.compliance.registrar import NAME
from oauth_server.compliance.sources import rfc
from oauth_server.compliance.survey import Survey

NO_CONTENT: Final = 204
UNAUTHORIZED: Final = 401
REFUSED: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class Managed:
    """A client's life: its registration read, deleted, and read again."""

    client_id: str
    read: Exchange
    deleted: Exchange
    after: Exchange


async def _get(survey: Survey, client: Client, token: str) -> Exchange:
    place = _management(client)[0]
    fields = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    return await survey.send("GET", place, fields)


def _management(client: Client) -> tuple[str, str]:
    if client.manage is None:
        raise Missing("clients get no way to manage their registration, which is optional")
    return client.manage


async def _managed(survey: Survey) -> Managed:
    """Register a client of its own, and end it by its own token."""

    async def live() -> Managed:
        method = (await with_secret(survey)).method
        client = await survey.walk.clients.registered(
            "managed", client_name=f"{NAME}: managed", token_endpoint_auth_method=method, application_type=None
        )
        place, token = _management(client)
        read = await _get(survey, client, token)
        token = _replaced(survey, read) or token  # RFC 7592 section 2.1: it may be rotated when it is used
        deleted = await survey.send("DELETE", place, {"Authorization": f"Bearer {token}"})
        return Managed(client.client_id, read, deleted, await _get(survey, client, token))

    found: Managed = await survey.walk.shared("managed", live)
    return found


def _replaced(survey: Survey, read: Exchange) -> str:
    try:
        members = read.answer.json()
    except ValueError:
        return ""
    values = (
        [members.get(name) for name in ("registration_access_token", "client_secret")]
        if isinstance(members, dict)
        else []
    )
    survey.hide(*(value for value in values if isinstance(value, str)))
    return values[0] if values and isinstance(values[0], str) else ""


@rule(
    "A client reads its own registration",
    rfc(7592, "2.1"),
    fix="Answer GET on registration_client_uri, with the client's registration token, with 200 and its metadata.",
)
async def read(survey: Survey) -> Verdict:
    """RFC 7592 section 2.1: 200 and the client information response."""
    managed = await _managed(survey)
    try:
        members = managed.read.answer.json()
    except ValueError:
        members = None
    named = members.get("client_id") if isinstance(members, dict) else None
    right = managed.read.answer.status == OK and named == managed.client_id
    problem = "" if right else f"The answer is {managed.read.answer.status} with the client_id {named!r}"
    return judge(problem, "It does", (managed.read, f"client_id: {named!r}"))


@rule(
    "A client ends its own registration",
    rfc(7592, "2.3"),
    rfc(7592, "2.1"),
    fix="Answer DELETE on registration_client_uri with 204, and 401 to whatever comes for that client afterwards.",
)
async def delete(survey: Survey) -> Verdict:
    """RFC 7592 section 2.3: MUST respond 204; section 2.1: MUST respond 401 for a client that does not exist."""
    managed = await _managed(survey)
    status, after = managed.deleted.answer.status, managed.after.answer.status
    problem = "" if status == NO_CONTENT else f"DELETE is answered {status}, not 204"
    if not problem and after != UNAUTHORIZED:
        problem = f"Afterwards the registration is answered {after}, not 401"
    return judge(problem, "It does", managed.deleted, managed.after)


async def _others(survey: Survey) -> tuple[Client, str]:
    """Return a living client, and the registration token of another living one; Missing when reading never works."""
    if (await _managed(survey)).read.answer.status != OK:
        raise Missing("a client's own token is refused, too")
    first = await with_secret(survey)
    second = next(iter(set(METHODS) - {first.method}))
    try:
        other = await survey.walk.clients.confidential(second)
    except Missing:
        other = await survey.walk.clients.registered(
            "another", client_name=f"{NAME}: another", token_endpoint_auth_method=first.method, application_type=None
        )
    return first, _management(other)[1]


def _kept(exchange: Exchange) -> Verdict:
    status = exchange.answer.status
    problem = "" if status in REFUSED else f"The answer is {status}"
    return judge(problem, f"It is refused: {status}", exchange)


@rule(
    "A registration is not told without a token",
    rfc(7592, "2"),
    rfc(6750, "3"),
    fix="Answer 401 on registration_client_uri when no registration token comes.",
)
async def anonymous(survey: Survey) -> Verdict:
    """RFC 7592 section 2: the endpoint takes the registration token as a bearer token (RFC 6750)."""
    client, _ = await _others(survey)
    return _kept(await _get(survey, client, ""))


@rule(
    "A registration is not told to another client",
    rfc(7592, "2"),
    rfc(7592, "2.1"),
    fix="Compare the registration token with the one of the client that is named in the URL.",
)
async def foreign(survey: Survey) -> Verdict:
    """RFC 7592 section 2: the registration token is the client's own."""
    client, token = await _others(survey)
    return _kept(await _get(survey, client, token))
