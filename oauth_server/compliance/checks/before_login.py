"""What happens before anyone has signed in: redirects for unknown registrants, and what other sites' pages load."""

import secrets
from typing import Final

from oauth_server.compliance import urls
from oauth_server.compliance.glance import PAGE
from oauth_server.compliance.model import Exchange, Missing, Source, Verdict, judge, rule
from oauth_server.compliance.page import sent_at_once
from oauth_server.compliance.parties import Changes, Client
from oauth_server.compliance.registrar import NAME
from oauth_server.compliance.sources import FETCH, oauth, rfc
from oauth_server.compliance.survey import Survey

HOST: Final = "client.invalid"
HOSTED: Final = f"https://{HOST}/callback"
SIGNED_OUT: Final = f"https://{HOST}/signed-out"
LOGOUT: Final = Source(
    "OpenID Connect RP-Initiated Logout 1.0",
    "3",
    "https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RedirectionAfterLogout",
)
LOADED: Final = {
    "Accept": "image/*",
    "Sec-Fetch-Dest": "image",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Site": "cross-site",
}
CLIENT_ERRORS: Final = range(400, 500)
REDIRECTS: Final = range(300, 400)


async def _request(survey: Survey, client: Client, changes: Changes) -> str:
    """Return an authorization request of this client."""
    return await survey.walk.authorization_url(client, secrets.token_urlsafe(32), secrets.token_urlsafe(12), changes)


def _target(exchange: Exchange) -> str:
    """Return where the browser goes from an answer unasked, by a redirect or by a form that a script sends."""
    if exchange.answer.status in REDIRECTS:
        location = exchange.answer.header("Location") or ""
    else:
        form = sent_at_once(exchange)
        location = form.action if form is not None else ""
    return urls.joined(exchange.answer.url, location)


async def _followed(survey: Survey, exchange: Exchange) -> Exchange:
    """Return the answer to the form that a script of the page sends within its origin; else the page's own answer."""
    form, target = sent_at_once(exchange), _target(exchange)
    redirected = exchange.answer.status in REDIRECTS
    if redirected or form is None or urls.ascii_origin(target) != urls.ascii_origin(exchange.answer.url):
        return exchange
    cookies = (value.partition(";")[0].strip() for value in exchange.answer.headers_of("Set-Cookie"))
    headers = {**PAGE, "Sec-Fetch-Site": "same-origin", "Cookie": "; ".join(filter(str.isascii, cookies))}
    pairs = form.sent(None, {}, tick=False)
    if form.method == "get":
        return await survey.send("GET", urls.with_query(target, *pairs), headers)
    return await survey.send_form(target, pairs, {**headers, "Origin": urls.ascii_origin(target)})


def _judge_staying(exchange: Exchange) -> Verdict:
    """Judge that the browser is not sent to the registrant; where else it is sent, nobody signed in either."""
    location = exchange.answer.header("Location") or ""
    away = urls.read(_target(exchange))
    sent = away is not None and away.hostname == HOST
    problem = f"The browser is sent to {HOST}, which anyone could register" if sent else ""
    return judge(
        problem, f"The browser stays: {exchange.answer.status}", (exchange, f"Location: {location or '(absent)'}")
    )


@rule(
    "Before anyone has signed in, an error sends nobody to a registered address",
    rfc(9700, "4.11.2"),
    oauth("7.12.2"),
    fix="Show errors on a page until somebody has signed in, for clients that registered themselves; not for loopback.",
)
async def error_redirect(survey: Survey) -> Verdict:
    """RFC 9700 section 4.11.2: MUST authenticate the user before redirecting; judged by an unknown response type."""
    client = await survey.walk.clients.registered(
        "hosted", client_name=f"{NAME}: hosted", redirect_uris=[HOSTED], application_type=None
    )
    url = await _request(survey, client, {"response_type": "mcp-oauth-audit", "redirect_uri": HOSTED})
    return _judge_staying(await survey.send("GET", url, PAGE))


@rule(
    "Signing out sends nobody to a registered address unasked",
    LOGOUT,
    rfc(9700, "4.11.2"),
    fix="Redirect after a logout only with a valid id_token_hint, or after the person confirmed it on a page.",
)
async def logout(survey: Survey) -> Verdict:
    """RP-Initiated Logout section 3: without id_token_hint MUST NOT redirect unless sure that it is legitimate."""
    endpoint = await _end_session_endpoint(survey)
    client = await survey.walk.clients.registered(
        "logout",
        client_name=f"{NAME}: logout",
        redirect_uris=[HOSTED],
        post_logout_redirect_uris=[SIGNED_OUT],
        application_type=None,
    )
    pairs = (("client_id", client.client_id), ("post_logout_redirect_uri", SIGNED_OUT), ("state", "mcp-oauth-audit"))
    shown = await survey.send("GET", urls.with_query(endpoint, *pairs), PAGE)
    return _judge_staying(await _followed(survey, shown))


async def _end_session_endpoint(survey: Survey) -> str:
    """Return the endpoint of whichever document states it: it belongs to OpenID Connect."""
    found = (await survey.metadata()).members.get("end_session_endpoint")
    if found is None:
        found = (await survey.openid()).members.get("end_session_endpoint")
    if not isinstance(found, str) or urls.read(found) is None:
        raise Missing("the metadata states no usable end_session_endpoint")
    return found


@rule(
    "What another site's page loads is refused at the authorization endpoint",
    FETCH,
    rfc(9700, "4.16"),
    fix="Refuse requests with Sec-Fetch-Site: cross-site that are no navigation before they count for a rate limit.",
)
async def subresource(survey: Survey) -> Verdict:
    """Fetch metadata: any page can load this address a thousand times, and use up the limits of its visitor."""
    url = await _request(survey, await survey.walk.clients.public(), {})
    opened = await survey.send("GET", url, PAGE)
    if opened.answer.status in CLIENT_ERRORS:
        raise Missing(f"the browser that opens the address is refused, too: {opened.answer.status}")
    exchange = await survey.send("GET", url, LOADED)
    status = exchange.answer.status
    problem = "" if status in CLIENT_ERRORS else f"An image of another site at this address is answered {status}"
    return judge(problem, f"It is refused: {status}", exchange)
