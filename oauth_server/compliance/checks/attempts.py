"""What became of an authorization request that should be refused, or answered at least."""

from collections.abc import Collection
from typing import Final

from oauth_server.compliance.model import Exchange, Missing, Shown, Verdict, judge
from oauth_server.compliance.parties import Asked

BROKEN: Final = range(500, 600)
MARKUP: Final = ("text/html", "application/xhtml+xml")


def is_page(exchange: Exchange) -> bool:
    """Say whether a browser would show this answer as a page."""
    return (exchange.answer.header("Content-Type") or "").lower().startswith(MARKUP)


def shown(asked: Asked, seen: str = "") -> tuple[Shown, ...]:
    """Return where the request ended, and what of it decided: by default where the browser was sent."""
    seen = seen or (f"Location: {asked.target}" if asked.target else "")
    return tuple((exchange, seen) for exchange in asked.shown)


def broke(asked: Asked) -> str:
    """Return how the server broke down over the request, empty when it did not."""
    if asked.status in BROKEN:
        return f"The answer is {asked.status}"
    return "The client is told server_error" if "server_error" in asked.sent.get("error", []) else ""


def issued(asked: Asked) -> bool:
    """Say whether any client was sent a code or a token."""
    return bool(asked.sent.keys() & {"code", "access_token", "id_token"})


def outcome(asked: Asked) -> str:
    """Return what was said of the request."""
    if asked.sent.get("error"):
        return f"It is refused: {asked.sent['error'][0]}"
    return f"It is refused on a page: {asked.status}" if asked.shown else "It is refused"


def refused(asked: Asked, problem: str) -> Verdict:
    """Judge a request that must be refused, on a page or to the client; `problem` says what a code means."""
    found = problem if issued(asked) else broke(asked)
    return judge(found, outcome(asked), *shown(asked))


def answered(asked: Asked, errors: Collection[str] = ()) -> Verdict:
    """Judge a request of which a part may be ignored, or all refused; `errors`: what the client may be told."""
    told = asked.sent.get("error", [""])[0]
    if told == "access_denied":
        raise Missing("access was denied, which is a person's decision, or one about a person")
    found = broke(asked)
    if not found and told and errors and told not in errors:
        found = f"The client is told {told}, not {' or '.join(errors)}"
    return judge(found, "That part is ignored" if issued(asked) else outcome(asked), *shown(asked))
