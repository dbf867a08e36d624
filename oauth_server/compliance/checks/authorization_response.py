"""What comes back to the client: the code, the state, errors (OAuth 2.1 section 4.1.2)."""

import re
from typing import Final

from oauth_server.compliance.checks.attempts import broke, shown
from oauth_server.compliance.checks.authorization_request import told, unknown_method
from oauth_server.compliance.glance import Glance
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Asked
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

STATE: Final = "mcp-oauth-audit a+b/c=d&e%20f?~"
REDIRECTS: Final = (301, 302, 303, 307, 308)
# What no person decided. Scope and resource come from the resource server's documents, which may be what is wrong.
MISJUDGED: Final = {"invalid_request", "server_error", "unauthorized_client", "unsupported_response_type"}
RESENDING: Final = {307, 308}
SEE_OTHER: Final = 303
SPOKEN: Final = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]*")


@rule(
    "Nobody gets a code without signing in",
    oauth("3.1"),
    fix="Authenticate a person, and ask for consent, before a code is issued.",
)
async def authenticates(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: the authorization server MUST first authenticate the resource owner."""
    client = await survey.walk.clients.public()
    url = await survey.walk.authorization_url(client, "mcp-oauth-audit" * 3, "mcp-oauth-audit", {})
    visit = await Glance(survey, client.redirect_uri).visit(url)
    asked = Asked(client, "", "mcp-oauth-audit", url, visit, {})
    survey.hide(*asked.sent.get("code", []))
    if asked.refused:
        raise Missing("a right authorization request is refused")
    problem = "A browser without a session is given a code" if "code" in asked.sent else ""
    return judge(problem, "Somebody has to sign in", *shown(asked))


@rule(
    "A right request brings a code, once, in the query of the redirect URI",
    oauth("4.1.2"),
    oauth("4.1.2.1"),
    fix="Serve what the metadata offers, and add code to the query of the redirect URI.",
)
async def code(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2: adding parameters to the query component; section 3.1: none more than once."""
    asked = await survey.walk.sample()
    error = asked.first("error")
    if error in MISJUDGED:
        return judge(f"A right request is refused: {error} {asked.first('error_description')}", "", *shown(asked))
    if not asked.sent.get("code"):
        await survey.walk.arrived()
    count = len(asked.answer.get("code", []))
    problem = f"code is in the query {count} times" if count > 1 else ""
    if not count:
        problem = "code is in the fragment"
    return judge(problem, "It does", *shown(asked))


@rule(
    "The state comes back as it was sent",
    oauth("4.1.2"),
    fix="Return state byte for byte, encoded once as application/x-www-form-urlencoded.",
)
async def state(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2: the exact value received from the client; judged with reserved characters in it."""
    asked = await survey.walk.arrived()
    if survey.walk.watching:  # a person is not asked to sign in once more for it
        asked = await survey.walk.ask(changes={"state": STATE})
        if asked.refused and not asked.sent:
            return judge(f"With the state {STATE!r}, the request ends on a page: {asked.status}", "", *shown(asked))
    return _returned(survey.walk.brought(asked))


@rule(
    "The state comes back with an error, too",
    oauth("4.1.2.1"),
    fix="Add state to error responses.",
)
async def state_on_error(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: REQUIRED if it was present in the request."""
    return _returned(await told(survey))


def _returned(asked: Asked) -> Verdict:
    values = asked.answer.get("state", [])
    problem = "" if values == [asked.state] else f"The state is {values!r}, not {asked.state!r}"
    return judge(problem, "It does", *shown(asked))


@rule(
    "Errors go back to the client, once its redirect URI is verified",
    oauth("4.1.2.1"),
    fix="Send errors other than those of client_id and redirect_uri to the redirect URI: a page strands the client.",
)
async def error_to_client(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: the server informs the client; judged by an unknown challenge method."""
    asked = await unknown_method(survey)
    if not asked.refused:
        raise Missing("the request was not refused")
    problem = broke(asked) or ("" if "error" in asked.answer else f"The error stays on a page: {asked.status}")
    return judge(problem, "They do", *shown(asked))


@rule(
    "Errors are told in ASCII",
    oauth("4.1.2.1"),
    fix="Leave line breaks, quotes, backslashes and what is not ASCII out of error and error_description.",
)
async def error_characters(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.2.1: MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E."""
    asked = await told(survey)
    texts = [value for name in ("error", "error_description") for value in asked.answer.get(name, [])]
    odd = [text for text in texts if not SPOKEN.fullmatch(text)]
    return judge(f"It is told {odd[0]!r}" if odd else "", "They are", *shown(asked))


async def _resent(survey: Survey) -> list[Exchange]:
    """Return the redirects that answered a form of the person's; Missing when none did."""
    asked = await survey.walk.arrived()
    visits = [survey.walk.signing_in, asked.visit]
    found = {
        id(exchange): exchange
        for visit in visits
        if visit is not None
        for exchange in visit.trail
        if exchange.method == "POST" and exchange.answer.status in REDIRECTS
    }
    if not found:
        raise Missing("no form was answered with a redirect")
    return list(found.values())


@rule(
    "A form with credentials is never answered with 307 or 308",
    oauth("7.5.4"),
    rfc(9700, "4.12"),
    fix="Redirect with 303 after a form: 307 and 308 send the password on.",
)
async def not_resent(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.5.4: MUST NOT use 307; section 3.1: MUST avoid forwarding credentials, as 308 would."""
    redirects = await _resent(survey)
    wrong = [exchange for exchange in redirects if exchange.answer.status in RESENDING]
    problem = f"A form is answered {wrong[0].answer.status}" if wrong else ""
    return judge(problem, "None is", *(wrong or redirects))


@rule(
    "Forms are answered with 303",
    oauth("7.5.4"),
    rfc(9700, "4.12"),
    fix="Redirect with 303 See Other after a form, which alone makes every browser go on with GET.",
)
async def see_other(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.5.4: SHOULD use the status code 303."""
    redirects = await _resent(survey)
    wrong = [exchange for exchange in redirects if exchange.answer.status != SEE_OTHER]
    problem = f"A form is answered {wrong[0].answer.status}" if wrong else ""
    return judge(problem, "They are", *(wrong or redirects))


async def _carrying(survey: Survey) -> Exchange:
    """Return the redirect that carried the code; Missing when a person's own browser got it."""
    asked = await survey.walk.arrived()
    if not asked.shown:
        raise Missing("a person's browser does not tell the headers it was sent")
    return asked.shown[0]


@rule(
    "The redirect with the code is not cached",
    rfc(9111, "5.2.2.5"),
    oauth("7.5"),
    fix="Send Cache-Control: no-store with the redirect that carries a code.",
)
async def no_store(survey: Survey) -> Verdict:
    """RFC 9111 section 5.2.2.5: no-store keeps an answer out of every cache."""
    exchange = await _carrying(survey)
    control = exchange.answer.header("Cache-Control") or ""
    problem = "" if "no-store" in control.lower() else "Cache-Control does not say no-store"
    return judge(problem, "It says no-store", (exchange, f"Cache-Control: {control}"))


@rule(
    "The redirect with the code keeps the page before it secret",
    rfc(9700, "4.2.4"),
    fix="Send Referrer-Policy: no-referrer with the redirect that carries a code.",
)
async def referrer(survey: Survey) -> Verdict:
    """RFC 9700 section 4.2.4: suppress the Referer header by a referrer policy."""
    exchange = await _carrying(survey)
    return withheld(exchange)


def withheld(exchange: Exchange) -> Verdict:
    """Judge whether an answer tells the browser to keep its address, with all parameters, from other sites."""
    policy = exchange.answer.header("Referrer-Policy") or ""
    right = {"no-referrer", "same-origin", "origin", "strict-origin"}
    last = policy.rpartition(",")[2].strip().lower()
    problem = "" if last in right else "No Referrer-Policy keeps the address from other sites"
    return judge(problem, "Its address is kept from other sites", (exchange, f"Referrer-Policy: {policy}"))
