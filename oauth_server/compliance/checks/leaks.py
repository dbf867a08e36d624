"""What answers tell that nobody needs to know."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from oauth_server.compliance import urls, www_authenticate
from oauth_server.compliance.checks.bearer import GARBAGE, call_with
from oauth_server.compliance.checks.challenge import header
from oauth_server.compliance.checks.transport import EVIL
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

BANNERS: Final = ("Server", "X-Powered-By", "X-AspNet-Version")
TRACES: Final = re.compile(
    rb"Traceback \(most recent call last\)|\bFile \"/[^\"]{1,200}\", line \d"
    rb"|\bat [\w.$<>]{1,100} ?\((?:/|file:|node:)|\bat [\w.$]{1,100}\([\w$]{1,80}\.java:\d|goroutine \d+ \[running\]"
)
INJECTED: Final = "mcp-oauth-audit-injected"
SECRET_NAMES: Final = re.compile(r"secret(?!_)|password|private_?key\Z|_token\Z", re.IGNORECASE)


async def _seen(survey: Survey) -> list[Exchange]:
    """Return the answers that anyone gets: to a call without a token, and the documents."""
    gathered: list[Exchange] = [await survey.call(await survey.endpoint())]
    finders: tuple[Callable[[], Any], ...] = (survey.protected_resource, survey.metadata)
    for finder in finders:
        try:
            gathered.append((await finder()).shown)
        except Missing:
            continue
    return gathered


@rule(
    "No version of the software is told",
    rfc(9110, "10.2.4"),
    fix="Take version numbers out of Server and X-Powered-By.",
)
async def versions(survey: Survey) -> Verdict:
    """RFC 9110 section 10.2.4: overly detailed values make known holes easier to find."""
    telling = [
        (exchange, f"{name}: {value}")
        for exchange in await _seen(survey)
        for name in BANNERS
        for value in exchange.answer.headers_of(name)
        if re.search(r"\d", value)
    ]
    return judge(f"An answer says {telling[0][1]}" if telling else "", "No version is told", *telling)


@rule(
    "No stack trace is shown",
    oauth("5.3"),
    fix="Switch off debug mode, and answer errors with a sentence.",
)
async def traces(survey: Survey) -> Verdict:
    """Judged by the answers that anyone gets, an unreadable call among them."""
    endpoint = await survey.endpoint()
    broken = await survey.fetch("POST", endpoint, {"Content-Type": "application/json"}, b'{"jsonrpc": ')
    showing = [exchange for exchange in [*await _seen(survey), broken] if TRACES.search(exchange.answer.body)]
    return judge("A body holds a stack trace" if showing else "", "No body holds one", *(showing or [broken]))


@rule(
    "Public documents set no cookies",
    rfc(9728, "3.2"),
    fix="Take session middleware off the discovery documents.",
)
async def cookies(survey: Survey) -> Verdict:
    """A cookie makes an answer personal, and keeps caches from holding it."""
    documents = [document.shown for document in await survey.public_documents()]
    setting = [exchange for exchange in documents if exchange.answer.header("Set-Cookie")]
    return judge("A public document sets a cookie" if setting else "", "No cookie is set", *(setting or documents))


@rule(
    "Public documents hold no secret",
    oauth("7.1"),
    fix="Take the member that is named out, and replace the secret.",
)
async def secrets(survey: Survey) -> Verdict:
    """A member whose name is that of a secret, with a text in it."""
    documents = await survey.public_documents()
    named = [name for document in documents for name in _secret_members(document.members)]
    problem = f"Members named like secrets: {', '.join(named[:3])}" if named else ""
    return judge(problem, "No member is named like a secret", *(document.shown for document in documents))


def _secret_members(members: Mapping[str, Any]) -> list[str]:
    return [name for name, value in members.items() if SECRET_NAMES.search(name) and isinstance(value, str)]


@rule(
    "A refusal does not repeat the token",
    oauth("7.1.3"),
    fix="Leave the token out of error texts: they end up in logs, and in front of other people.",
)
async def token_in_errors(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.1.3: bearer tokens must not leak to unintended parties; judged with a token that is none."""
    exchange = await call_with(survey, f"Bearer {GARBAGE}")
    told = [f"{name}: {value}" for name, value in exchange.answer.headers if GARBAGE in value]
    found = GARBAGE.encode() in exchange.answer.body
    problem = "The token stands in the answer" if told or found else ""
    return judge(problem, "It is not repeated", (exchange, told[0] if told else "the body"))


@rule(
    "What a client sends cannot add to the challenge",
    rfc(9110, "5.6.4"),
    oauth("5.3.1"),
    fix="Escape quotes and backslashes in quoted strings, or repeat nothing that the client sent.",
)
async def challenge_injection(survey: Survey) -> Verdict:
    """RFC 9110 section 5.6.4: quotes within a quoted string are escaped; nobody else sends this parameter."""
    exchange = await call_with(survey, f'Bearer x", audit="{INJECTED}')
    found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
    added = any(challenge.parameters.get("audit") == INJECTED for challenge in found)
    problem = "A parameter that the client sent is part of the challenge" if added else ""
    return judge(problem, "Nothing was added", header(exchange))


@rule(
    "A stranger's X-Forwarded-Host changes no address",
    rfc(7239, "8.1"),
    fix="Build addresses from the configured base URL, and take forwarding headers from the proxy's address alone.",
)
async def forwarded_host(survey: Survey) -> Verdict:
    """RFC 7239 section 8.1: such headers can be set by anyone; what is built from them leads clients astray."""
    endpoint = await survey.endpoint()
    if urls.is_loopback(endpoint):
        raise Missing("the endpoint is on this machine, and may take it for its proxy")
    fields = {"X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "http", "Forwarded": f"host={EVIL};proto=http"}
    exchanges = [await survey.call(endpoint, fields)]
    for finder in (survey.protected_resource, survey.metadata):
        try:
            url = (await finder()).url
        except Missing:
            continue
        exchanges.append(await survey.fetch("GET", url, {"Accept": "application/json", **fields}))
    led = [exchange for exchange in exchanges if _names(exchange, EVIL)]
    problem = f"The answer of {led[0].answer.url} names {EVIL}" if led else ""
    return judge(problem, "No answer names it", *(led or exchanges))


def _names(exchange: Exchange, host: str) -> bool:
    values = [value for _, value in exchange.answer.headers]
    return host.encode() in exchange.answer.body or any(host in value for value in values)
