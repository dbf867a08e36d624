"""Redirect URIs in authorization requests: the registered ones, exactly (OAuth 2.1 sections 2.3.1 and 4.1.1)."""

from typing import Any, Final
from urllib.parse import SplitResult, urldefrag, urlsplit

from oauth_server.compliance.checks.attempts import broke, issued, outcome, shown
from oauth_server.compliance.checks.registration import opened, reply
from oauth_server.compliance.checks.registration import refused as not_registered
from oauth_server.compliance.model import Missing, Shown, Source, Verdict, judge, rule
from oauth_server.compliance.parties import Asked, Client
from oauth_server.compliance.registrar import NAME
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey

HOME: Final = "https://client.invalid/callback"
SECOND: Final = "https://client.invalid/second"
EVIL: Final = "https://evil.invalid/callback"
PATTERN: Final = "https://*.client.invalid/callback"
MATCHING: Final = "https://evil.client.invalid/callback"
OTHER_PORT: Final = 59173
EXACT: Final[tuple[Source, ...]] = (oauth("2.3.1"), oauth("4.1.1"), security("Open Redirection"))
FIX: Final = "Compare redirect_uri with the registered URIs byte for byte, and show an error page when none is equal."


async def web(survey: Survey) -> Client:
    """Return a client with an https redirect URI, where none can be registered the one that flows are walked with."""
    try:
        return await survey.walk.clients.registered(
            "web", client_name=f"{NAME}: web", redirect_uris=[HOME], application_type="web"
        )
    except Missing:
        return await survey.walk.clients.public()


def _leads_to(asked: Asked, wrong: str, right: str) -> bool:
    """Say whether the browser was sent to a client's place that is not the registered one."""
    target = urldefrag(asked.target).url
    if not target:
        return False
    try:
        parts, home = urlsplit(target), urlsplit(right)
        host = parts.hostname or ""
    except ValueError:
        return target.startswith(urldefrag(wrong).url)
    if not (host.endswith(".invalid") or parts.netloc == home.netloc):
        return target.startswith(urldefrag(wrong).url) and urldefrag(wrong).url != right
    return target.partition("?")[0] != right or "mcp_oauth_audit=" in parts.query


async def _refused(survey: Survey, client: Client, wrong: str) -> Verdict:
    """Judge a request of this client that names a redirect URI it did not register."""
    asked = await survey.walk.attempt({"redirect_uri": wrong}, client)
    problem = broke(asked)
    if issued(asked):
        problem = f"A code was issued for {wrong}"
    elif _leads_to(asked, wrong, client.redirect_uri):
        problem = f"The browser is sent to {asked.target}"
    return judge(problem, outcome(asked), *shown(asked))


async def _changed(survey: Survey) -> tuple[Client, SplitResult]:
    client = await web(survey)
    return client, urlsplit(client.redirect_uri)


@rule("A redirect URI that is not registered is refused", *EXACT, fix=FIX)
async def unregistered(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.3.1: MUST reject requests whose redirect URI does not exactly match a registered one."""
    return await _refused(survey, await web(survey), EVIL)


@rule("A redirect URI with more path than the registered one is refused", *EXACT, fix=FIX)
async def path_suffix(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: equal by simple string comparison, so not by its beginning."""
    client = await web(survey)
    return await _refused(survey, client, f"{client.redirect_uri}/evil")


@rule("A redirect URI with a query that is not registered is refused", *EXACT, fix=FIX)
async def query_added(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: equal by simple string comparison, the query included."""
    client = await web(survey)
    return await _refused(survey, client, f"{client.redirect_uri}?mcp_oauth_audit=1")


@rule("A redirect URI whose host is hidden behind user information is refused", *EXACT, fix=FIX)
async def userinfo(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1; the registered host stands before an @ here, and is none."""
    client, parts = await _changed(survey)
    return await _refused(survey, client, f"{parts.scheme}://{parts.netloc}@evil.invalid{parts.path}")


@rule("A redirect URI whose host goes on after the registered one is refused", *EXACT, fix=FIX)
async def host_suffix(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1; https://client.example.evil.example begins like https://client.example."""
    client, parts = await _changed(survey)
    return await _refused(survey, client, f"{parts.scheme}://{parts.hostname}.evil.invalid{parts.path}")


@rule("A redirect URI on a subdomain of the registered host is refused", *EXACT, fix=FIX)
async def subdomain(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1; a subdomain may belong to somebody else."""
    client, parts = await _changed(survey)
    return await _refused(survey, client, f"{parts.scheme}://evil.{parts.netloc}{parts.path}")


@rule("A redirect URI with another scheme is refused", *EXACT, fix=FIX)
async def scheme(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1; http instead of https shows the code to everyone on the way."""
    client, parts = await _changed(survey)
    other = "http" if parts.scheme == "https" else "https"
    return await _refused(survey, client, f"{other}://{parts.netloc}{parts.path}")


@rule("A redirect URI with a fragment is refused", *EXACT, rfc(6749, "3.1.2"), fix=FIX)
async def fragment(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.3: the redirect URI MUST NOT include a fragment component."""
    client = await web(survey)
    return await _refused(survey, client, f"{client.redirect_uri}#evil")


@rule("A redirect URI whose path differs in case is refused", *EXACT, fix=FIX)
async def case(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: simple string comparison knows no case; paths have one (RFC 3986 section 6.2.2.1)."""
    client, parts = await _changed(survey)
    if parts.path.upper() == parts.path:
        raise Missing("the redirect URI has no path that could be written otherwise")
    return await _refused(survey, client, f"{parts.scheme}://{parts.netloc}{parts.path.upper()}")


@rule("A redirect URI that climbs out of the registered path is refused", *EXACT, fix=FIX)
async def traversal(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1; a browser resolves %2e%2e, a comparison by the beginning does not."""
    client = await web(survey)
    return await _refused(survey, client, f"{client.redirect_uri}/%2e%2e/evil")


@rule("A redirect URI with a backslash is refused", *EXACT, fix=FIX)
async def backslash(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1; a browser takes the backslash for a slash, so that evil.invalid is the host."""
    client, parts = await _changed(survey)
    return await _refused(survey, client, f"{parts.scheme}://evil.invalid\\@{parts.netloc}{parts.path}")


@rule("A redirect URI with another port is refused, but for loopback", *EXACT, fix=FIX)
async def port(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.3.1: the port may vary in loopback redirect URIs alone."""
    client, parts = await _changed(survey)
    if parts.scheme != "https":
        raise Missing("no client with an https redirect URI can be registered")
    return await _refused(survey, client, f"https://{parts.hostname}:8443{parts.path}")


@rule(
    "Any port of a loopback redirect URI is accepted",
    oauth("4.1.1"),
    oauth("8.4.2"),
    rfc(8252, "7.3"),
    fix="Leave the port out of the comparison when the registered redirect URI is http to a loopback address.",
)
async def loopback_port(survey: Survey) -> Verdict:
    """OAuth 2.1 section 8.4.2: MUST allow any port to be specified at the time of the request."""
    client = await survey.walk.clients.public()
    parts = urlsplit(client.redirect_uri)
    if parts.scheme != "http" or parts.hostname not in {"127.0.0.1", "::1"}:
        raise Missing("the client has no redirect URI at a loopback address")
    host = f"[{parts.hostname}]" if parts.hostname == "::1" else parts.hostname
    other = f"http://{host}:{OTHER_PORT}{parts.path}"
    asked = await survey.walk.attempt({"redirect_uri": other}, client)
    there = asked.target.startswith(other) and not asked.refused
    problem = "" if there else f"{other} is refused, though {client.redirect_uri} is accepted"
    return judge(problem, f"The code is sent to {other}", *shown(asked))


@rule(
    "Without a redirect URI, a client that registered several is refused",
    oauth("2.3.2"),
    oauth("4.1.1"),
    fix="Require redirect_uri of clients with more than one, and show an error page when it is missing.",
)
async def omitted(survey: Survey) -> Verdict:
    """OAuth 2.1 section 4.1.1: REQUIRED if multiple redirect URIs are registered for this client."""
    client = await survey.walk.clients.registered(
        "several", client_name=f"{NAME}: two", redirect_uris=[HOME, SECOND], application_type="web"
    )
    asked = await survey.walk.attempt({"redirect_uri": None}, client)
    problem = "A code was issued, to the one the server chose" if issued(asked) else broke(asked)
    return judge(problem, outcome(asked), *shown(asked))


@rule(
    "Of two redirect URIs, one that is not registered is never followed",
    oauth("3.1"),
    *EXACT,
    fix="Refuse a request in which redirect_uri comes twice, on a page.",
)
async def duplicate(survey: Survey) -> Verdict:
    """OAuth 2.1 section 3.1: MUST NOT be included more than once; what is checked must be what is followed."""
    client = await web(survey)
    pages: list[Shown] = []
    for pair in ([client.redirect_uri, EVIL], [EVIL, client.redirect_uri]):
        asked = await survey.walk.attempt({"redirect_uri": pair}, client)
        pages += shown(asked)
        away = _leads_to(asked, EVIL, client.redirect_uri)
        problem = f"The browser is sent to {asked.target}" if away else broke(asked)
        if problem:
            return judge(problem, "", *shown(asked))
    return judge("", "It is not followed", *pages)


@rule(
    "A redirect URI with a wildcard opens no other",
    *EXACT,
    fix="Refuse redirect URIs with a wildcard at registration, and compare byte for byte.",
)
async def wildcard(survey: Survey) -> Verdict:
    """OAuth 2.1 section 2.3.1: complete redirect URIs are registered, and matched exactly."""
    clients = survey.walk.clients
    await clients.registered("public")
    members: dict[str, Any] = {"client_name": f"{NAME}: any host", "redirect_uris": [PATTERN]}
    exchange = opened(await clients.answered("wildcard", **members))
    if not reply(exchange):
        return not_registered(exchange, "")
    asked = await survey.walk.attempt({"redirect_uri": MATCHING}, await clients.registered("wildcard", **members))
    return judge(f"A code was issued for {MATCHING}" if issued(asked) else broke(asked), outcome(asked), *shown(asked))
