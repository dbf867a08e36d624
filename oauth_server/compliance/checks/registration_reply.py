"""What a client is told when it registers (RFC 7591 section 3.2.1)."""

from typing import Any, Final

from oauth_server.compliance import urls
from oauth_server.compliance.checks.registration import asked, opened, reply
from oauth_server.compliance.checks.token_endpoint import error_of
from oauth_server.compliance.model import Exchange, Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.parties import Client
from oauth_server.compliance.registrar import REGISTERED
from oauth_server.compliance.sources import REGISTRATION, oauth, rfc
from oauth_server.compliance.survey import Survey

CREATED: Final = 201
METHODS: Final = ("client_secret_basic", "client_secret_post")
CURSOR: Final = "cursor://anysphere.cursor-mcp/oauth/callback"
PORTLESS: Final = "http://127.0.0.1/callback"
ECHOED: Final = ("redirect_uris", "grant_types", "token_endpoint_auth_method")


def registered(client: Client) -> tuple[Exchange, dict[str, Any]]:
    """Return the exchange that registered this client, and its members."""
    if client.exchange is None:
        raise Missing("the client was registered by its operator")
    return client.exchange, reply(client.exchange)


def stated(exchange: Exchange, members: dict[str, Any], name: str) -> Shown:
    """Show one member of the reply."""
    return exchange, f"{name}: {members.get(name)!r}"


async def with_secret(survey: Survey) -> Client:
    """Return a client with a secret, by whichever method the server registers; Missing when by none."""
    reason = Missing("no client with a secret is registered")
    for method in METHODS:
        try:
            client = await survey.walk.clients.confidential(method)
        except Missing as missing:
            reason = missing
        else:
            if client.exchange is not None and client.secret:
                return client
    raise reason


@rule(
    "A native client with a loopback redirect URI is registered",
    REGISTRATION,
    rfc(7591, "3.2.1"),
    fix="Register public clients (token_endpoint_auth_method none) with a redirect URI like http://127.0.0.1:8765/cb.",
)
async def works(survey: Survey) -> Verdict:
    """MCP: registration is how clients without a prior relationship come to be known."""
    exchange = opened(await survey.walk.clients.answered("public"))
    problem = "" if reply(exchange) else f"The answer is {exchange.answer.status} {error_of(exchange)}".rstrip()
    return judge(problem, "It is registered", exchange)


@rule(
    "A registration is answered 201 as JSON",
    rfc(7591, "3.2.1"),
    fix="Answer a successful registration with 201 and application/json.",
)
async def status_created(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.1: 201 Created and a body of type application/json."""
    exchange, _ = registered(await survey.walk.clients.registered("public"))
    media_type = (exchange.answer.header("Content-Type") or "").partition(";")[0].strip().lower()
    right = exchange.answer.status == CREATED and media_type == "application/json"
    problem = "" if right else f"The answer is {exchange.answer.status} {media_type}"
    return judge(problem, "It is 201 and JSON", (exchange, f"Content-Type: {media_type}"))


@rule(
    "The reply states what was registered",
    rfc(7591, "3.2.1"),
    fix="Return redirect_uris, grant_types, token_endpoint_auth_method and all else that was registered.",
)
async def echo(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.1: the server MUST return all registered metadata about this client."""
    exchange, members = registered(await survey.walk.clients.registered("public"))
    absent = [name for name in ECHOED if name not in members]
    problem = f"The reply does not state: {', '.join(absent)}" if absent else ""
    wanted = survey.walk.clients.redirect_uri
    if not absent and members["redirect_uris"] != [wanted]:
        problem = f"The reply states other redirect URIs than {wanted}"
    return judge(problem, "It is stated", *(stated(exchange, members, name) for name in ECHOED))


@rule(
    "A client_id is a string",
    rfc(7591, "3.2.1"),
    fix="Issue client_id as a JSON string of visible ASCII characters.",
)
async def client_id(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.1: REQUIRED, a string; OAuth 2.1 appendix A: of visible ASCII characters."""
    exchange = await survey.walk.clients.answered("public")
    members = reply(exchange)
    if not members:
        raise Missing(f"no client could be registered: the answer was {exchange.answer.status}")
    value = members.get("client_id")
    right = isinstance(value, str) and value and value.isascii() and value.isprintable()
    return judge("" if right else f"The client_id is {value!r}", "It is one", stated(exchange, members, "client_id"))


@rule(
    "A public client gets no secret",
    rfc(7591, "2"),
    fix="Issue no client_secret to clients with token_endpoint_auth_method none.",
)
async def public_no_secret(survey: Survey) -> Verdict:
    """RFC 7591 section 2: with the method none, the client is public and does not have a client secret."""
    exchange, members = registered(await survey.walk.clients.registered("public"))
    if members.get("token_endpoint_auth_method") != "none":
        raise Missing("the server did not register it as a public client")
    problem = "A client_secret was issued" if members.get("client_secret") is not None else ""
    return judge(problem, "None was issued", stated(exchange, members, "token_endpoint_auth_method"))


@rule(
    "A reply with a secret is not cached",
    rfc(7591, "3.2.1"),
    fix="Send Cache-Control: no-store with every registration.",
)
async def no_store(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.1 sends it in its example; a secret has no business in a cache."""
    exchange, _ = registered(await with_secret(survey))
    control = exchange.answer.header("Cache-Control") or ""
    problem = "" if "no-store" in control.lower() else "Cache-Control does not say no-store"
    return judge(problem, "It says no-store", (exchange, f"Cache-Control: {control}"))


@rule(
    "A secret comes with its expiry",
    rfc(7591, "3.2.1"),
    fix="State client_secret_expires_at beside client_secret: seconds since 1970, or 0 when it does not expire.",
)
async def secret_expiry(survey: Survey) -> Verdict:
    """RFC 7591 section 3.2.1: client_secret_expires_at is REQUIRED if client_secret is issued."""
    exchange, members = registered(await with_secret(survey))
    value = members.get("client_secret_expires_at")
    right = isinstance(value, (int, float)) and not isinstance(value, bool) and (value == 0 or value > survey.now)
    problem = "" if right else f"client_secret_expires_at is {value!r}, neither 0 nor a time to come"
    return judge(problem, "It does", stated(exchange, members, "client_secret_expires_at"))


@rule(
    "Registration token and configuration endpoint come together",
    rfc(7592, "3"),
    fix="Return both registration_access_token and registration_client_uri (an https URL), or neither.",
)
async def management_pair(survey: Survey) -> Verdict:
    """RFC 7592 section 3: both are REQUIRED."""
    for name in ("secret", "public"):
        try:
            client = await (with_secret(survey) if name == "secret" else survey.walk.clients.registered("public"))
            exchange, members = registered(client)
        except Missing:
            continue
        token, place = members.get("registration_access_token"), members.get("registration_client_uri")
        if token is None and place is None:
            continue
        problem = "" if isinstance(token, str) and token else "There is a registration_client_uri, but no token for it"
        if not urls.is_secure(place):
            problem = f"registration_client_uri is no https URL: {place!r}"
        return judge(problem, "Both are there", stated(exchange, members, "registration_client_uri"))
    raise Missing("no client got a way to manage its registration, which is optional")


@rule(
    "The redirect URI of a known client with its own scheme is registered",
    oauth("8.4.3"),
    rfc(8252, "7.1"),
    fix=f"Allow the private-use URIs of known clients, {CURSOR} for example, by an exact list.",
)
async def private_use(survey: Survey) -> Verdict:
    """RFC 8252 section 7.1; Cursor registers this one, and cannot connect where it is refused."""
    return await _accepted(survey, CURSOR)


@rule(
    "A loopback redirect URI without a port is registered",
    oauth("8.4.2"),
    rfc(8252, "7.3"),
    fix="Accept http://127.0.0.1/callback: the port is chosen when the client starts.",
)
async def portless(survey: Survey) -> Verdict:
    """OAuth 2.1 section 8.4.2: any port may be named at the time of the request, so none need be registered."""
    return await _accepted(survey, PORTLESS)


async def _accepted(survey: Survey, uri: str) -> Verdict:
    exchange = await asked(survey, redirect_uris=[uri])
    problem = "" if exchange.answer.status in REGISTERED else f"It is refused: {exchange.answer.status}"
    return judge(problem, "It is registered", exchange)
