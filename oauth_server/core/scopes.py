"""Scopes: their syntax, their hierarchy and what they mean to a person (RFC 6749 section 3.3)."""

import re
from collections.abc import Collection, Iterable, Mapping

from oauth_server.core.errors import InvalidScopeError

READ = "mcp:read"
WRITE = "mcp:write"
ADMIN = "mcp:admin"

# Identity scopes carry no right to a resource, so no ceiling and no configuration limits them.
IDENTITY = ("openid", "profile", "email", "offline_access")

HIERARCHY: Mapping[str, frozenset[str]] = {ADMIN: frozenset((WRITE, READ)), WRITE: frozenset((READ,))}

# Starts unticked on the consent page, and needs a sign-in that is no older than this.
SENSITIVE = frozenset((ADMIN,))
SENSITIVE_AFTER_SIGN_IN = 5 * 60  # seconds

# scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
MAX_LENGTH = 2048

TITLES = {
    READ: ("Read", "See this server's metadata and configuration, check tokens, read its resources."),
    WRITE: ("Change", "Register OAuth clients and check other servers on your behalf."),
    ADMIN: ("Administer", "See every client, grant and audit event, and the operator's configuration."),
    "openid": ("Know who you are", "Learn your stable identifier at this server."),
    "profile": ("Your name", "See your user name and display name."),
    "email": ("Your e-mail address", "See your e-mail address."),
    "offline_access": ("Stay connected", "Keep access while you are away, until you revoke it."),
}


def parse(text: str) -> tuple[str, ...]:
    """Split a scope parameter into its distinct tokens, in order; raises InvalidScopeError when malformed."""
    if len(text) > MAX_LENGTH:
        raise InvalidScopeError(f"The scope parameter is longer than {MAX_LENGTH} characters.")
    words = [word for word in text.split(" ") if word]
    if not all(_TOKEN.fullmatch(word) for word in words):
        raise InvalidScopeError("The scope parameter has a character that no scope may have (RFC 6749 section 3.3).")
    return tuple(dict.fromkeys(words))


def implied(scopes: Iterable[str]) -> frozenset[str]:
    """The scopes with all that they include: mcp:admin includes mcp:write, which includes mcp:read."""
    held = set(scopes)
    for scope in tuple(held):
        held |= HIERARCHY.get(scope, frozenset())
    return frozenset(held)


def closed(scopes: Iterable[str]) -> tuple[str, ...]:
    """A ceiling as it is stored: with all that its scopes include, so that two of them can be compared word by word."""
    asked = tuple(dict.fromkeys(scopes))
    return (*asked, *sorted(implied(asked) - set(asked)))


def missing(required: Iterable[str], held: Collection[str]) -> tuple[str, ...]:
    """What of `required` the holder of `held` lacks, the hierarchy taken into account."""
    lacking = [scope for scope in required if scope not in held]
    if not lacking:
        return ()
    have = implied(held)
    return tuple(scope for scope in lacking if scope not in have)
