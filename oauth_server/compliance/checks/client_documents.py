"""Clients that are known by the URL of a document (draft-ietf-oauth-client-id-metadata-document-00)."""

from typing import Final

from oauth_server.compliance.checks.attempts import broke, issued, outcome, shown
from oauth_server.compliance.checks.protected_resource import member, strings
from oauth_server.compliance.model import Missing, Shown, Source, Verdict, judge, rule
from oauth_server.compliance.sources import REGISTRATION, oauth, rfc
from oauth_server.compliance.survey import Survey

FLAG: Final = "client_id_metadata_document_supported"
METHODS: Final = "token_endpoint_auth_methods_supported"
ALGORITHMS: Final = "token_endpoint_auth_signing_alg_values_supported"
SIGNED: Final = {"private_key_jwt", "client_secret_jwt"}
PRIVATE: Final = (
    "https://127.0.0.1/client.json",
    "https://169.254.169.254/client.json",
    "https://localhost/client.json",
)
FIX: Final = "Refuse the client_id on an error page before anything is fetched, by the form of the URL."


def draft(section: str) -> Source:
    """Cite a section of the draft that MCP pins."""
    name = "draft-ietf-oauth-client-id-metadata-document-00"
    return Source(name, section, f"https://www.ietf.org/archive/id/{name}.html#section-{section}")


async def _supported(survey: Survey) -> None:
    if (await survey.metadata()).members.get(FLAG) is not True:
        raise Missing("client ID metadata documents are not supported")


async def _refused(survey: Survey, *urls: str) -> Verdict:
    """Judge requests of clients with these identifiers, none of which has a document that may be used."""
    await _supported(survey)
    pages: list[Shown] = []
    said = ""
    for url in urls:
        asked = await survey.walk.attempt({"client_id": url})
        problem = broke(asked)
        if issued(asked):
            problem = f"A code was issued to {url}"
        elif asked.sent:
            problem = f"The browser is sent to the redirect URI of {url}, for which nothing vouches"
        if problem:
            return judge(problem, "", *shown(asked))
        said = outcome(asked)
        pages += shown(asked)
    return judge("", said, *pages)


@rule(
    "Clients of metadata documents find a way to authenticate",
    draft("6.2"),
    REGISTRATION,
    fix='Add "none", "private_key_jwt" or both to token_endpoint_auth_methods_supported.',
)
async def none_advertised(survey: Survey) -> Verdict:
    """Draft section 4.1: methods around a shared secret MUST NOT be used, so that one of these two is left."""
    await _supported(survey)
    document = await survey.metadata()
    listed = {"none", "private_key_jwt"} & set(strings(document.members.get(METHODS)))
    problem = "" if listed else "Neither none nor private_key_jwt is among the client authentication methods"
    return judge(problem, f"Listed: {', '.join(sorted(listed))}", member(document, METHODS))


@rule(
    "The algorithms of client assertions are stated",
    rfc(8414, "2"),
    fix=f"State {ALGORITHMS} beside private_key_jwt, without none: RS256 or ES256, for example.",
)
async def assertion_algorithms(survey: Survey) -> Verdict:
    """RFC 8414 section 2: MUST be present if private_key_jwt is specified; none MUST NOT be used."""
    document = await survey.metadata()
    methods = SIGNED & set(strings(document.members.get(METHODS)))
    if not methods:
        raise Missing("no client authenticates by an assertion")
    listed = strings(document.members.get(ALGORITHMS))
    problem = "" if listed else f"{ALGORITHMS} is missing or empty"
    symmetric = [name for name in listed if name.startswith("HS")]
    if symmetric and "client_secret_jwt" not in methods:
        problem = f"{symmetric[0]} needs a shared secret, which private_key_jwt has not"
    if "none" in listed:
        problem = "Unsigned assertions are offered"
    return judge(problem, "They are stated", member(document, ALGORITHMS))


@rule("A client_id that is a plain http URL is refused", draft("3"), REGISTRATION, fix=FIX)
async def http(survey: Survey) -> Verdict:
    """Draft section 3: client identifier URLs MUST have an https scheme."""
    return await _refused(survey, "http://client.invalid/client.json")


@rule("A client_id that is a URL without a path is refused", draft("3"), REGISTRATION, fix=FIX)
async def no_path(survey: Survey) -> Verdict:
    """Draft section 3: MUST contain a path component."""
    return await _refused(survey, "https://client.invalid")


@rule("A client_id with a fragment is refused", draft("3"), REGISTRATION, fix=FIX)
async def fragment(survey: Survey) -> Verdict:
    """Draft section 3: MUST NOT contain a fragment component."""
    return await _refused(survey, "https://client.invalid/client.json#fragment")


@rule("A client_id with dot segments is refused", draft("3"), REGISTRATION, fix=FIX)
async def dot_segment(survey: Survey) -> Verdict:
    """Draft section 3: MUST NOT contain single-dot or double-dot path segments."""
    return await _refused(survey, "https://client.invalid/a/../client.json")


@rule("A client_id with user information is refused", draft("3"), REGISTRATION, fix=FIX)
async def userinfo(survey: Survey) -> Verdict:
    """Draft section 3: MUST NOT contain a username or password component."""
    return await _refused(survey, "https://user:word@client.invalid/client.json")


@rule(
    "A client_id inside the server's own network is refused",
    draft("6.5"),
    REGISTRATION,
    fix="Resolve the host of a client_id once, fetch from that address alone, and from no private or loopback one.",
)
async def private(survey: Survey) -> Verdict:
    """Draft section 6.5: SHOULD avoid fetching URLs with private or loopback addresses; judged by the answer alone."""
    return await _refused(survey, *PRIVATE)


@rule(
    "A client_id whose document cannot be fetched is refused on a page",
    draft("4.3"),
    oauth("4.1.2.1"),
    fix="Show an error page with status 400 when the document cannot be fetched; no redirect, no 5xx.",
)
async def unreachable(survey: Survey) -> Verdict:
    """Draft section 4.3: if fetching fails, SHOULD abort the request; its redirect URI is verified by nothing."""
    return await _refused(survey, "https://client.invalid/client.json")
