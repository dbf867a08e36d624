"""Types of the members that clients read: their SDKs stop at null, and at a list where a string belongs."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from oauth_server.compliance.checks.flows import members
from oauth_server.compliance.checks.registration_reply import registered, with_secret
from oauth_server.compliance.checks.token_response import redeemed
from oauth_server.compliance.model import Exchange, Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.sources import mcp, oauth, rfc
from oauth_server.compliance.survey import Survey

_STRINGS: Final = frozenset({
    "client_id", "client_secret", "client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri", "scope",
    "token_endpoint_auth_method", "software_id", "software_version", "application_type", "registration_access_token",
    "registration_client_uri",
})  # fmt: skip
_LISTS: Final = frozenset({"redirect_uris", "grant_types", "response_types", "contacts"})
_NUMBERS: Final = frozenset({"client_id_issued_at", "client_secret_expires_at"})
_RESOURCE: Final = frozenset({
    "resource", "jwks_uri", "resource_name", "resource_documentation", "resource_policy_uri", "resource_tos_uri",
})  # fmt: skip
_TOKENS: Final = frozenset({"access_token", "token_type", "refresh_token", "scope", "id_token"})


def mistyped(
    found: Mapping[str, Any], strings: Collection[str], lists: Collection[str] = (), numbers: Collection[str] = ()
) -> list[str]:
    """Return the members that are null, or not of their type."""
    return [
        name
        for name, value in found.items()
        if value is None
        or (name in strings and not isinstance(value, str))
        or (name in lists and not (isinstance(value, list) and all(isinstance(item, str) for item in value)))
        or (name in numbers and (isinstance(value, bool) or not isinstance(value, (int, float))))
    ]


def judge_types(exchange: Exchange, found: Mapping[str, Any], wrong: Collection[str]) -> Verdict:
    """Judge by the members that are wrong, and show them."""
    told = ", ".join(f"{name} is {'null' if found[name] is None else type(found[name]).__name__}" for name in wrong)
    shown: list[Shown] = [(exchange, f"{name}: {found[name]!r}") for name in wrong] or [(exchange, "")]
    return judge(f"Of another type: {told}" if wrong else "", "All types are right", *shown)


@rule(
    "Members of a registration reply have their types, and none is null",
    rfc(7591, "2"),
    rfc(7591, "3.2.1"),
    fix="Leave out what a client has not, in place of null; scope is one string, redirect_uris an array of strings.",
)
async def registration(survey: Survey) -> Verdict:
    """RFC 7591 sections 2 and 3.2.1: strings, arrays of strings and numbers; clients read the reply strictly."""
    replies = [registered(await survey.walk.clients.registered("public"))]
    with suppress(Missing):  # a server need not register any
        replies.append(registered(await with_secret(survey)))
    for exchange, found in replies:
        wrong = mistyped(found, _STRINGS, _LISTS, _NUMBERS)
        if wrong:
            return judge_types(exchange, found, wrong)
    return judge_types(*replies[0], ())


@rule(
    "Members of a token response have their types, and none is null",
    oauth("3.2.3"),
    rfc(6749, "5.1"),
    fix="Leave out refresh_token and scope where there are none, in place of null; scope is one string, not an array.",
)
async def token_response(survey: Survey) -> Verdict:
    """RFC 6749 section 5.1: parameter names and string values are included as JSON strings."""
    _, exchange = await redeemed(survey)
    found = members(exchange)
    if not found:
        raise Missing("the answer is no JSON object")
    return judge_types(exchange, found, mistyped(found, _TOKENS))


@rule(
    "Members of the protected resource metadata have their types, and none is null",
    rfc(9728, "2"),
    mcp("Authorization Server Location"),
    fix="Leave out what there is none of, in place of null; scopes_supported is an array of strings.",
)
async def protected_resource(survey: Survey) -> Verdict:
    """RFC 9728 section 2: resource and the documentation URLs are strings, what ends in _supported are arrays."""
    document = await survey.protected_resource()
    lists = [name for name in document.members if name.endswith(("s_supported", "values_supported"))]
    wrong = mistyped(document.members, _RESOURCE, (*lists, "authorization_servers"))
    return judge_types(document.shown, document.members, wrong)
