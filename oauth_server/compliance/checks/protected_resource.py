"""Protected resource metadata (RFC 9728), and what MCP asks of it."""

from oauth_server.compliance import urls
from oauth_server.compliance.document import Document, reason
from oauth_server.compliance.model import Missing, Shown, Verdict, judge, rule
from oauth_server.compliance.sources import discovery, mcp, rfc
from oauth_server.compliance.survey import Survey


def strings(value: object) -> list[str]:
    """Return the strings of a JSON array; nothing for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def member(document: Document, name: str) -> Shown:
    """Show one member of a document as evidence."""
    return document.shown, f"{name}: {document.members.get(name)!r}"


async def _readable(survey: Survey) -> list[Document]:
    """Return every metadata document that can be read, each address once; Missing when there is none."""
    found = {document.url: document for document in (await survey.protected_resources()).values()}
    readable = [document for document in found.values() if not document.problem]
    if not readable:
        raise Missing("no protected resource metadata was found")
    return readable


async def misplaced(survey: Survey, identifier: str, well_known: str) -> str:
    """Say that a document is where the well-known path is appended, in a sentence with a blank; empty without one."""
    place = urls.appended(identifier, well_known)
    if not place or (await survey.document(place)).problem:
        return ""
    return f"There is one at {place}, where no client looks: the well-known path comes before the other. "


@rule(
    "The endpoint publishes protected resource metadata",
    discovery("Protected Resource Metadata Discovery Requirements"),
    rfc(9728, "3"),
    fix="Serve the metadata as JSON at /.well-known/oauth-protected-resource followed by the endpoint's path.",
)
async def found(survey: Survey) -> Verdict:
    """Ask at every place where a client looks."""
    documents = (await survey.protected_resources()).values()
    shown = [document.exchange for document in documents if document.exchange]
    problem = reason(documents)
    if problem:
        problem = await misplaced(survey, await survey.endpoint(), urls.PRM) + problem
    return judge(problem, "The metadata was found", *shown)


async def _at(survey: Survey, place: str) -> Verdict:
    document = (await survey.protected_resources())[place]
    problem = f"{document.url}: {document.problem}" if document.problem else ""
    return judge(problem, f"{document.url} is the metadata", document.shown)


@rule(
    "The metadata is at the well-known path with the endpoint's path inserted",
    rfc(9728, "3.1"),
    fix="Answer /.well-known/oauth-protected-resource followed by the endpoint's path with the metadata.",
)
async def at_inserted_path(survey: Survey) -> Verdict:
    """RFC 9728 section 3.1: the well-known string is inserted between host and path."""
    return await _at(survey, "inserted")


@rule(
    "The metadata is at the well-known path of the root, too",
    discovery("Protected Resource Metadata Discovery Requirements"),
    fix="Serve the same metadata at /.well-known/oauth-protected-resource: it is the second place clients look.",
)
async def at_root(survey: Survey) -> Verdict:
    """Clients that drop the path ask here."""
    return await _at(survey, "root")


@rule(
    "The metadata is sent as application/json",
    rfc(9728, "3.2"),
    fix="Send the metadata with Content-Type: application/json.",
)
async def media_type(survey: Survey) -> Verdict:
    """RFC 9728 section 3.2: the answer is a JSON object using the application/json content type."""
    shown, wrong = [], ""
    for document in await _readable(survey):
        content_type = document.shown.answer.header("Content-Type") or ""
        shown.append((document.shown, f"Content-Type: {content_type}"))
        if content_type.partition(";")[0].strip().lower() != "application/json":
            wrong = f"{document.url} is sent as {content_type or 'nothing in particular'}"
    return judge(wrong, "Every document is application/json", *shown)


@rule(
    "`resource` is the URL that was asked for",
    rfc(9728, "3.3"),
    discovery("Protected Resource Metadata Discovery Requirements"),
    fix="Set `resource` to exactly the URL that users enter in their client, path included.",
)
async def resource_matches(survey: Survey) -> Verdict:
    """RFC 9728 section 3.3: metadata with another resource value MUST NOT be used; MCP lets the root name either."""
    endpoint = await survey.endpoint()
    own, base = urls.canonical(endpoint), urls.canonical(urls.origin(endpoint))
    problems, shown = [], []
    for document in await _readable(survey):
        value = document.members.get("resource")
        accepted = {own, base} if urls.path(document.url) == urls.PRM else {own}
        shown.append(member(document, "resource"))
        if not isinstance(value, str) or urls.read(value) is None or urls.canonical(value) not in accepted:
            problems.append(f"{document.url} names the resource {value!r}, not {own!r}")
    return judge("; ".join(problems), "Every document names the endpoint as its resource", *shown)


@rule(
    "`resource` is an https URL without a fragment",
    rfc(9728, "1.2"),
    mcp("Canonical Server URI"),
    fix="Write the resource identifier as an absolute https URL, without fragment.",
)
async def resource_form(survey: Survey) -> Verdict:
    """RFC 9728 section 1.2: an https URL that has no fragment; http is for loopback alone."""
    document = await survey.protected_resource()
    value = document.members.get("resource")
    problem = ""
    if not urls.is_secure(value):
        problem = f"The resource {value!r} is not an absolute https URL"
    elif "#" in str(value):
        problem = f"The resource {value!r} has a fragment"
    return judge(problem, "The resource is an https URL without fragment", member(document, "resource"))


@rule(
    "`authorization_servers` names at least one issuer",
    discovery("Authorization Server Location"),
    rfc(9728, "2"),
    fix="List the issuer identifier of each authorization server, as its own metadata spells it.",
)
async def authorization_servers(survey: Survey) -> Verdict:
    """MCP: the metadata MUST include authorization_servers with at least one entry."""
    document = await survey.protected_resource()
    value = document.members.get("authorization_servers")
    listed = strings(value)
    problem = ""
    if not listed or not isinstance(value, list) or len(listed) != len(value):
        problem = "authorization_servers is not an array of at least one issuer"
    elif insecure := [issuer for issuer in listed if not urls.is_secure(issuer)]:
        problem = f"{insecure[0]!r} is not an https URL"
    return judge(problem, f"It names {len(listed)} issuer(s)", member(document, "authorization_servers"))


@rule(
    "`bearer_methods_supported` lists the header, and not the query",
    mcp("Token Requirements"),
    rfc(9728, "2"),
    fix='Set `bearer_methods_supported` to ["header"].',
)
async def bearer_methods(survey: Survey) -> Verdict:
    """MCP: the token is sent in the Authorization header, and MUST NOT be in the query string."""
    document = await survey.protected_resource()
    if "bearer_methods_supported" not in document.members:
        raise Missing("the metadata does not state bearer_methods_supported, which is optional")
    methods = strings(document.members["bearer_methods_supported"])
    problem = "" if "header" in methods else "bearer_methods_supported does not list header"
    if "query" in methods:
        problem = "bearer_methods_supported invites tokens into the query string"
    return judge(problem, "Tokens travel in the header", member(document, "bearer_methods_supported"))


@rule(
    "`scopes_supported` is stated",
    rfc(9728, "2"),
    mcp("Scope Selection Strategy"),
    fix="List the scopes for basic use in `scopes_supported`: clients ask for them when a challenge names none.",
)
async def scopes_supported(survey: Survey) -> Verdict:
    """RFC 9728 section 2: RECOMMENDED."""
    document = await survey.protected_resource()
    problem = "" if strings(document.members.get("scopes_supported")) else "scopes_supported is missing or empty"
    return judge(problem, "The scopes are stated", member(document, "scopes_supported"))


@rule(
    "`scopes_supported` does not list offline_access",
    mcp("Refresh Tokens"),
    fix="Take `offline_access` out of the protected resource metadata; it belongs into the authorization server's.",
)
async def no_offline_access(survey: Survey) -> Verdict:
    """MCP: refresh tokens are not a matter of the resource."""
    document = await survey.protected_resource()
    listed = "offline_access" in strings(document.members.get("scopes_supported"))
    problem = "scopes_supported lists offline_access" if listed else ""
    return judge(problem, "offline_access is not listed", member(document, "scopes_supported"))


@rule(
    "The metadata says how long it may be cached",
    rfc(9728, "3.2"),
    fix="Send Cache-Control: max-age=300 or an ETag with the metadata, and no no-store.",
)
async def cacheable(survey: Survey) -> Verdict:
    """A document that every client asks for at every start is worth a minute of cache."""
    document = await survey.protected_resource()
    control = (document.shown.answer.header("Cache-Control") or "").lower()
    fresh = "max-age" in control or document.shown.answer.header("ETag") or document.shown.answer.header("Expires")
    problem = "" if fresh else "The answer states no freshness"
    if "no-store" in control:
        problem = "The answer forbids caching"
    return judge(problem, "The answer may be cached", (document.shown, f"Cache-Control: {control}"))


@rule(
    "All metadata documents name the same authorization servers",
    rfc(9728, "3.3"),
    fix="Build every protected resource metadata document from one source.",
)
async def agree(survey: Survey) -> Verdict:
    """Clients come by different ways, and must arrive at the same authorization server."""
    documents = await _readable(survey)
    if len(documents) == 1:
        raise Missing("there is only one metadata document")
    named = {tuple(strings(document.members.get("authorization_servers"))) for document in documents}
    problem = "The documents name different authorization servers" if len(named) > 1 else ""
    shown = [member(document, "authorization_servers") for document in documents]
    return judge(problem, "They name the same authorization servers", *shown)
