"""Authorization server metadata: where it is, and that it can be trusted (RFC 8414)."""

import re
from collections.abc import Mapping
from typing import Any

from oauth_server.compliance import urls
from oauth_server.compliance.checks.protected_resource import member, misplaced, strings
from oauth_server.compliance.document import reason
from oauth_server.compliance.model import Verdict, judge, rule
from oauth_server.compliance.sources import discovery, mcp, oauth, rfc, security
from oauth_server.compliance.survey import Survey

PAGES = ("service_documentation", "op_policy_uri", "op_tos_uri")
LANGUAGES = "ui_locales_supported"
SIGNED = {"private_key_jwt", "client_secret_jwt"}
_TAG = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
REQUIRED = ("authorization_endpoint", "token_endpoint")
ENDPOINTS = (
    *REQUIRED,
    "registration_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "jwks_uri",
)


@rule(
    "The authorization server publishes its metadata",
    discovery("Authorization Server Metadata Discovery"),
    rfc(8414, "3"),
    fix="Serve the metadata at /.well-known/oauth-authorization-server, before the issuer's path if it has one.",
)
async def found(survey: Survey) -> Verdict:
    """Versions before 2025-11-25 know RFC 8414 alone, later ones OpenID discovery too."""
    issuer = await survey.issuer()
    places = urls.metadata_urls(issuer) if survey.since("2025-11-25") else urls.metadata_urls(issuer)[:1]
    documents = [await survey.document(place) for place in places]
    shown = [document.exchange for document in documents if document.exchange]
    problem = reason(documents)
    if problem:
        problem = await misplaced(survey, issuer, urls.AUTHORIZATION_SERVER) + problem
    return judge(problem, "The metadata was found", *shown)


@rule(
    "The metadata is sent as application/json",
    rfc(8414, "3.2"),
    fix="Send the metadata with Content-Type: application/json.",
)
async def media_type(survey: Survey) -> Verdict:
    """RFC 8414 section 3.2: a JSON object using the application/json content type."""
    exchange = (await survey.metadata()).shown
    content_type = exchange.answer.header("Content-Type") or ""
    right = content_type.partition(";")[0].strip().lower() == "application/json"
    shown = (exchange, f"Content-Type: {content_type}")
    return judge("" if right else f"It is sent as {content_type or 'nothing in particular'}", "It is JSON", shown)


@rule(
    "`issuer` is byte for byte the identifier the metadata was found by",
    rfc(8414, "3.3"),
    discovery("Authorization Server Metadata Discovery"),
    fix="Spell the issuer the same in the resource's metadata and here, the slash at its end included.",
)
async def issuer_exact(survey: Survey) -> Verdict:
    """RFC 8414 section 3.3: the value MUST be identical, else the metadata MUST NOT be used."""
    document, named = await survey.metadata(), await survey.issuer()
    stated = document.members.get("issuer")
    problem = "" if stated == named else f"The issuer is {stated!r}, but it was found by {named!r}"
    return judge(problem, "The issuer is the identifier it was found by", member(document, "issuer"))


@rule(
    "The metadata is where RFC 8414 has it, too",
    rfc(8414, "3.1"),
    discovery("Authorization Server Metadata Discovery"),
    fix="Serve the metadata at /.well-known/oauth-authorization-server, followed by the issuer's path if it has one.",
)
async def at_inserted_path(survey: Survey) -> Verdict:
    """Since 2025-11-25 OpenID discovery is enough; clients of earlier versions look here alone."""
    await survey.metadata()
    issuer = await survey.issuer()
    document = await survey.document(urls.metadata_urls(issuer)[0])
    problem = f"{document.url}: {document.problem}" if document.problem else ""
    if problem:
        problem = await misplaced(survey, issuer, urls.AUTHORIZATION_SERVER) + problem
    return judge(problem, "It is there", document.shown)


@rule(
    "`issuer` does not end in a slash",
    rfc(8414, "2"),
    mcp("Canonical Server URI"),
    fix="Spell the issuer without a slash at its end, everywhere: clients differ in whether they add or drop one.",
)
async def issuer_slash(survey: Survey) -> Verdict:
    """Allowed, but the most frequent reason why issuers do not match."""
    document = await survey.metadata()
    problem = "The issuer ends in a slash" if str(document.members.get("issuer")).endswith("/") else ""
    return judge(problem, "It does not", member(document, "issuer"))


@rule(
    "`issuer` is an https URL without query and fragment",
    rfc(8414, "2"),
    fix="Use an https URL that is scheme, host and at most a path as the issuer.",
)
async def issuer_form(survey: Survey) -> Verdict:
    """RFC 8414 section 2; http is for loopback alone."""
    document = await survey.metadata()
    stated = document.members.get("issuer")
    problem = "" if urls.is_secure(stated) else f"The issuer {stated!r} is not an absolute https URL"
    if "?" in str(stated) or "#" in str(stated):
        problem = f"The issuer {stated!r} has a query or a fragment"
    return judge(problem, "The issuer has the form of one", member(document, "issuer"))


@rule(
    "The authorization and the token endpoint are stated",
    rfc(8414, "2"),
    fix="State authorization_endpoint and token_endpoint as absolute URLs.",
)
async def endpoints_stated(survey: Survey) -> Verdict:
    """RFC 8414 section 2: both are REQUIRED for the authorization code grant."""
    document = await survey.metadata()
    absent = [name for name in REQUIRED if urls.read(document.members.get(name)) is None]
    problem = f"Not stated as an absolute URL: {', '.join(absent)}" if absent else ""
    return judge(problem, "Both are stated", *(member(document, name) for name in REQUIRED))


@rule(
    "Every endpoint is an https URL",
    security("Communication Security"),
    oauth("1.5"),
    fix="Serve all endpoints over TLS and state them with https; behind a proxy, build them from the public base URL.",
)
async def endpoints_secure(survey: Survey) -> Verdict:
    """OAuth 2.1 section 1.5: all OAuth URLs use https; http is for loopback alone."""
    document = await survey.metadata()
    stated = [name for name in ENDPOINTS if document.members.get(name) is not None]
    wrong = [name for name in stated if not urls.is_secure(document.members[name])]
    problem = f"Not an absolute https URL: {', '.join(wrong)}" if wrong else ""
    return judge(problem, "Every endpoint is https", *(member(document, name) for name in wrong or stated[:2]))


@rule(
    "Members have the types that the standard gives them",
    rfc(8414, "2"),
    fix="Write every …_supported list as a JSON array of strings, yes and no as true and false, and nothing as null.",
)
async def types(survey: Survey) -> Verdict:
    """RFC 8414 section 2: JSON arrays of strings, booleans, and URLs; what there is none of is left out."""
    document = await survey.metadata()
    wrong = []
    for name, value in document.members.items():
        if value is None or (name.endswith(("_endpoint", "_uri")) and not isinstance(value, str)):
            wrong.append(name)
        elif name.endswith(("_parameter_supported", "document_supported", "_logout_supported")):
            wrong += [] if isinstance(value, bool) else [name]
        elif name.endswith(("s_supported", "values_supported")) and not isinstance(value, bool):
            sound = isinstance(value, list) and all(isinstance(item, str) for item in value)
            wrong += [] if sound else [name]
    problem = f"Of another type: {', '.join(wrong)}" if wrong else ""
    return judge(problem, "All types are right", *(member(document, name) for name in wrong), document.shown)


@rule(
    "No member is an empty list",
    rfc(8414, "3.2"),
    fix="Leave out what has no elements.",
)
async def no_empty_lists(survey: Survey) -> Verdict:
    """RFC 8414 section 3.2: claims with zero elements MUST be omitted."""
    document = await survey.metadata()
    empty = [name for name, value in document.members.items() if value == []]
    problem = f"Empty: {', '.join(empty)}" if empty else ""
    return judge(problem, "No list is empty", *(member(document, name) for name in empty), document.shown)


@rule(
    "Pages, languages and algorithms have the form that the standard gives them",
    rfc(8414, "2"),
    fix="State pages as absolute URLs, languages as language tags, and the algorithms of signed client authentication "
    "without none.",
)
async def second_opinion(survey: Survey) -> Verdict:
    """RFC 8414 section 2: what no check of one member looks at."""
    document = await survey.metadata()
    wrong = [*_no_urls(document.members), *_no_languages(document.members), *_no_algorithms(document.members)]
    problem = f"Not as RFC 8414 has it: {', '.join(wrong)}" if wrong else ""
    return judge(problem, "All have it", *(member(document, name) for name in wrong), document.shown)


def _no_urls(members: Mapping[str, Any]) -> list[str]:
    return [name for name in PAGES if members.get(name) is not None and urls.read(members[name]) is None]


def _no_languages(members: Mapping[str, Any]) -> list[str]:
    """RFC 5646 section 2.1, in the form that all language tags have."""
    tags = members.get(LANGUAGES)
    sound = isinstance(tags, list) and all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in tags)
    return [] if tags is None or sound else [LANGUAGES]


def _no_algorithms(members: Mapping[str, Any]) -> list[str]:
    """They must be listed where clients authenticate by a signature, and `none` must not be."""
    wrong = []
    for endpoint in ("token", "revocation", "introspection"):
        name = f"{endpoint}_endpoint_auth_signing_alg_values_supported"
        listed = strings(members.get(name))
        signs = set(strings(members.get(f"{endpoint}_endpoint_auth_methods_supported"))) & SIGNED
        wrong += [name] if "none" in listed or (signs and not listed) else []
    return wrong
