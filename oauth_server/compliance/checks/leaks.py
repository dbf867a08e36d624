"""What answers tell that nobody needs to know."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.sources import oauth, rfc
from oauth_server.compliance.survey import Survey

BANNERS: Final = ("Server", "X-Powered-By", "X-AspNet-Version")
TRACES: Final = re.compile(
    rb"Traceback \(most recent call last\)|\bFile \"/[^\"]{1,200}\", line \d"
    rb"|\bat [\w.$<>]{1,100} ?\((?:/|file:|node:)|\bat [\w.$]{1,100}\([\w$]{1,80}\.java:\d|goroutine \d+ \[running\]"
)
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
    documents = [(await survey.protected_resource()).shown, (await survey.metadata()).shown]
    setting = [exchange for exchange in documents if exchange.answer.header("Set-Cookie")]
    return judge("A public document sets a cookie" if setting else "", "No cookie is set", *(setting or documents))


@rule(
    "Public documents hold no secret",
    oauth("7.1"),
    fix="Take the member that is named out, and replace the secret.",
)
async def secrets(survey: Survey) -> Verdict:
    """A member whose name is that of a secret, with a text in it."""
    documents = [await survey.protected_resource(), await survey.metadata()]
    named = [name for document in documents for name in _secret_members(document.members)]
    problem = f"Members named like secrets: {', '.join(named[:3])}" if named else ""
    return judge(problem, "No member is named like a secret", *(document.shown for document in documents))


def _secret_members(members: Mapping[str, Any]) -> list[str]:
    return [name for name, value in members.items() if SECRET_NAMES.search(name) and isinstance(value, str)]
