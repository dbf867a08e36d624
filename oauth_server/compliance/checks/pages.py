"""The pages a person signs in and consents on (OAuth 2.1 sections 7.3 and 7.10, MCP security best practices)."""

from typing import Final

from oauth_server.compliance.checks.attempts import is_page, shown
from oauth_server.compliance.checks.authorization_response import withheld
from oauth_server.compliance.checks.cookies import session_cookies
from oauth_server.compliance.checks.redirect_uris import HOME, web
from oauth_server.compliance.checks.registration import ERRORS, opened
from oauth_server.compliance.checks.registration_reply import registered
from oauth_server.compliance.forms import PAGE, forms_of
from oauth_server.compliance.model import Exchange, Missing, Source, Verdict, judge, rule
from oauth_server.compliance.page import page_of
from oauth_server.compliance.parties import Asked, Client
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey

_GUIDE: Final = "https://modelcontextprotocol.io/docs/2026-07-28/tutorials/security/security_best_practices"
GUIDE: Final = Source("MCP security best practices", "Required Protections", f"{_GUIDE}#required-protections")
HOST: Final = "client.invalid"
ELEMENT: Final = "mcp-audit"
MARKUP: Final = f"audit'\"><{ELEMENT}>"
ANYONE: Final = {"*", "http:", "https:"}


def framing(exchange: Exchange) -> Verdict:
    """Judge whether a page keeps other sites from framing it."""
    policy = ", ".join(exchange.answer.headers_of("Content-Security-Policy"))
    options = exchange.answer.header("X-Frame-Options") or ""
    directives = [part.split() for part in policy.replace(",", ";").lower().split(";")]
    ancestors = [words[1:] for words in directives if words[:1] == ["frame-ancestors"]]
    # Where frame-ancestors is there, X-Frame-Options counts for nothing (CSP level 3 section 6.4.2.2).
    right = any(not ANYONE & set(words) for words in ancestors)
    right = right or (not ancestors and options.strip().upper() in {"DENY", "SAMEORIGIN"})
    seen = exchange, f"Content-Security-Policy: {policy}, X-Frame-Options: {options}"
    return judge("" if right else "The page may be framed by anyone", "The page cannot be framed", seen)


async def login_page(survey: Survey) -> Exchange:
    """Return the page on which somebody signed in during this run; Missing when nobody did."""
    await survey.walk.sample()
    visit = survey.walk.signing_in
    place = visit.signed_in if visit is not None else None
    if visit is None or not place:
        raise Missing("nobody signed in with a password during this run")
    return visit.trail[place - 1]


def consent_pages(asked: Asked) -> list[Exchange]:
    """Return the pages of a visit that ask for consent."""
    return [exchange for exchange in asked.visit.trail if is_page(exchange) and _asks(exchange)]


def _asks(exchange: Exchange) -> bool:
    forms = forms_of(exchange.answer.body[:PAGE].decode(errors="replace"))
    return any(not form.passwords and any(button.approves for button in form.buttons) for form in forms)


async def _consent(survey: Survey) -> tuple[Client, Exchange]:
    """Return a client, and the page that asked for consent when it made its first request."""
    if not survey.walk.watching:
        raise Missing("nobody signs in whose pages can be seen")
    client = await web(survey)
    pages = consent_pages(await survey.walk.sample(client))
    if not pages:
        raise Missing("no consent form was seen")
    return client, pages[-1]


@rule(
    "The login page cannot be framed",
    oauth("7.10"),
    rfc(9700, "4.16"),
    fix="Send Content-Security-Policy: frame-ancestors 'none' and X-Frame-Options: DENY with every page.",
)
async def login_not_framed(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.10: SHOULD use Content Security Policy, on login pages too."""
    return framing(await login_page(survey))


@rule(
    "The consent page cannot be framed",
    oauth("7.10"),
    rfc(9700, "4.16"),
    GUIDE,
    fix="Send Content-Security-Policy: frame-ancestors 'none' and X-Frame-Options: DENY with every page.",
)
async def consent_not_framed(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.10: a click on a framed consent page is no consent."""
    return framing((await _consent(survey))[1])


@rule(
    "The login page is not cached",
    rfc(9111, "5.2.2.5"),
    fix="Send Cache-Control: no-store with the pages of the authorization endpoint.",
)
async def login_no_store(survey: Survey) -> Verdict:
    """RFC 9111 section 5.2.2.5; the page holds what belongs to one request of one browser."""
    exchange = await login_page(survey)
    control = exchange.answer.header("Cache-Control") or ""
    problem = "" if "no-store" in control.lower() else "Cache-Control does not say no-store"
    return judge(problem, "It says no-store", (exchange, f"Cache-Control: {control}"))


@rule(
    "The login page keeps its address from other sites",
    rfc(9700, "4.2.4"),
    fix="Send Referrer-Policy: no-referrer or same-origin with the pages of the authorization endpoint.",
)
async def login_referrer(survey: Survey) -> Verdict:
    """RFC 9700 section 4.2.4: suppress the Referer header by a referrer policy; state stands in the address."""
    return withheld(await login_page(survey))


@rule(
    "The consent page shows where the answer goes",
    security("Client ID Metadata Document Security"),
    GUIDE,
    fix="Show the host of the redirect URI on the consent page, in plain text.",
)
async def shows_host(survey: Survey) -> Verdict:
    """MCP: servers of client ID metadata documents MUST clearly display the redirect URI hostname."""
    if survey.since("2025-11-25"):
        flag = (await survey.metadata()).members.get("client_id_metadata_document_supported")
        if flag is not True:
            raise Missing("client ID metadata documents are not supported, and only for them it is asked for")
    client, exchange = await _consent(survey)
    if client.redirect_uri != HOME:
        raise Missing("no client can be registered whose host is not the one of many")
    return _shows(exchange, HOST, f"The page does not show {HOST}, to which the code goes")


@rule(
    "The consent page names the client",
    oauth("7.3"),
    rfc(7591, "2"),
    GUIDE,
    fix="Show client_name on the consent page, or client_id where there is none.",
)
async def shows_name(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.3: SHOULD provide the resource owner with information about the client."""
    client, exchange = await _consent(survey)
    name = registered(client)[1].get("client_name")
    if not isinstance(name, str) or not name:
        raise Missing("the client was registered without a name")
    if client.client_id in page_of(exchange).text:
        return judge("", "It shows the client_id", exchange)
    return _shows(exchange, " ".join(name.split()), f"The page shows neither the client_id nor the name {name}")


def _shows(exchange: Exchange, text: str, problem: str) -> Verdict:
    page = page_of(exchange)
    if text in page.text:
        return judge("", "It does", exchange)
    if page.scripted:
        raise Missing("scripts draw the page, so it cannot be seen what it shows")
    return judge(problem, "", exchange)


@rule(
    "Names and parameters are escaped on every page",
    oauth("7.11"),
    GUIDE,
    fix="Let the template engine escape client_name, state and whatever else a client or a request says.",
)
async def escaped(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.11: MUST sanitize any value received; a client of that name was registered for it."""
    clients = survey.walk.clients
    await clients.registered("public")
    exchange = opened(await clients.answered("markup", client_name=MARKUP))
    if exchange.answer.status in ERRORS:
        return judge("", "No client of such a name is registered", exchange)
    client = await clients.registered("markup", client_name=MARKUP)
    asked = await survey.walk.attempt({"state": MARKUP}, client)
    seen = [page for page in asked.visit.trail if is_page(page)]
    if not seen:
        raise Missing("no page was shown")
    wrong = [page for page in seen if ELEMENT in page_of(page).elements]
    problem = "A page holds an element that is part of a client's name or of the state" if wrong else ""
    return judge(problem, f"{len(seen)} page(s) hold no such element", *(wrong or seen))


@rule(
    "A consent that another site sends counts for nothing",
    rfc(6749, "10.12"),
    GUIDE,
    fix="Bind the consent form to the browser's session by a hidden token, and compare it and Origin on submission.",
)
async def consent_csrf(survey: Survey) -> Verdict:
    """RFC 6749 section 10.12 asks for CSRF protection; OAuth 2.1, which MCP pins, leaves it to the best practices."""
    await survey.walk.arrived()
    asked = await survey.walk.forged()
    if asked.status in range(500, 600):
        return judge(f"The answer is {asked.status}", "", *shown(asked))
    if not asked.first("code"):
        return judge("", f"It brings no code: {asked.status}", *shown(asked))
    cookies = session_cookies(survey.walk.signing_in)
    if cookies and all(cookie.same_site in {"lax", "strict"} for cookie in cookies):
        raise Missing("the session's cookies are SameSite, so that no browser sends them with such a form")
    return judge("A form from a foreign Origin, without the right token, brought a code", "", *shown(asked))
