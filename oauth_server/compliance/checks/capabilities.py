"""What the authorization server says it can do, and what an MCP client needs of it (RFC 8414 section 2)."""

from oauth_server.compliance.checks.protected_resource import member, strings
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.sources import REGISTRATION, mcp, oauth, rfc, security
from oauth_server.compliance.survey import Survey

AUTH_METHODS = {  # IANA, OAuth Token Endpoint Authentication Methods
    "none",
    "client_secret_post",
    "client_secret_basic",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
}


@rule(
    "The response type `code` is supported",
    rfc(8414, "2"),
    fix='Set response_types_supported to ["code"].',
)
async def response_types(survey: Survey) -> Verdict:
    """RFC 8414 section 2: REQUIRED; the authorization code grant needs code."""
    document = await survey.metadata()
    listed = strings(document.members.get("response_types_supported"))
    problem = "" if "code" in listed else "response_types_supported does not list code"
    return judge(problem, "code is listed", member(document, "response_types_supported"))


@rule(
    "PKCE with S256 is advertised",
    security("Authorization Code Protection"),
    rfc(8414, "2"),
    fix='Set code_challenge_methods_supported to ["S256"]: clients refuse to go on without it.',
)
async def pkce_s256(survey: Survey) -> Verdict:
    """MCP: clients MUST refuse to proceed when the member is absent."""
    document = await survey.metadata()
    listed = strings(document.members.get("code_challenge_methods_supported"))
    problem = "" if "S256" in listed else "code_challenge_methods_supported does not list S256"
    return judge(problem, "S256 is listed", member(document, "code_challenge_methods_supported"))


@rule(
    "PKCE with plain is not advertised",
    rfc(9700, "2.1.1"),
    fix="Take plain out of code_challenge_methods_supported, and refuse it.",
)
async def pkce_no_plain(survey: Survey) -> Verdict:
    """RFC 9700 section 2.1.1: methods that do not expose the verifier; that is S256."""
    document = await survey.metadata()
    listed = "plain" in strings(document.members.get("code_challenge_methods_supported"))
    problem = "code_challenge_methods_supported lists plain" if listed else ""
    return judge(problem, "plain is not listed", member(document, "code_challenge_methods_supported"))


@rule(
    "The authorization code grant is advertised",
    rfc(8414, "2"),
    fix='State grant_types_supported, for example ["authorization_code", "refresh_token"].',
)
async def grant_types(survey: Survey) -> Verdict:
    """RFC 8414 section 2: omitted, it means authorization_code and implicit, which OAuth 2.1 no longer has."""
    document = await survey.metadata()
    listed = strings(document.members.get("grant_types_supported"))
    problem = "" if "authorization_code" in listed else "grant_types_supported does not list authorization_code"
    return judge(problem, "authorization_code is listed", member(document, "grant_types_supported"))


@rule(
    "The password grant is not offered",
    rfc(9700, "2.4"),
    oauth("10.1"),
    fix="Switch off the password grant.",
)
async def no_password_grant(survey: Survey) -> Verdict:
    """RFC 9700 section 2.4: the resource owner password credentials grant MUST NOT be used; OAuth 2.1 omits it."""
    document = await survey.metadata()
    offered = "password" in strings(document.members.get("grant_types_supported"))
    problem = "Offered: password" if offered else ""
    return judge(problem, "It is not offered", member(document, "grant_types_supported"))


@rule(
    "No token comes from the authorization endpoint",
    rfc(9700, "2.1.2"),
    oauth("10.1"),
    fix="Switch off the implicit grant, and every response type that holds a token.",
)
async def no_implicit_grant(survey: Survey) -> Verdict:
    """RFC 9700 section 2.1.2: the implicit grant SHOULD NOT be used; OAuth 2.1 omits it.

    OpenID Connect calls it implicit, too, when an ID token and no access token comes that way: that is not meant.
    """
    document = await survey.metadata()
    listed = strings(document.members.get("response_types_supported"))
    offered = [item for item in listed if "token" in item.split()]
    if "implicit" in strings(document.members.get("grant_types_supported")):
        identity = any("id_token" in item.split() for item in listed)
        offered += [] if identity and not offered else ["implicit"]
    shown = member(document, "grant_types_supported"), member(document, "response_types_supported")
    return judge(f"Offered: {', '.join(offered)}" if offered else "", "None is offered", *shown)


@rule(
    "The client authentication methods are known ones",
    rfc(8414, "2"),
    fix="List registered methods in token_endpoint_auth_methods_supported.",
)
async def auth_methods(survey: Survey) -> Verdict:
    """RFC 8414 section 2: values of the IANA registry, to which RFC 7591 adds none."""
    document = await survey.metadata()
    listed = strings(document.members.get("token_endpoint_auth_methods_supported"))
    problem = "" if AUTH_METHODS & set(listed) else "No registered method is listed"
    return judge(problem, "Known methods are listed", member(document, "token_endpoint_auth_methods_supported"))


@rule(
    "Public clients find a way in",
    rfc(8414, "2"),
    mcp("Overview"),
    fix='Add "none" to token_endpoint_auth_methods_supported; desktop and command line clients keep no secret.',
)
async def public_clients(survey: Survey) -> Verdict:
    """MCP: suitable for confidential and public clients; omitted, the list means client_secret_basic."""
    document = await survey.metadata()
    listed = strings(document.members.get("token_endpoint_auth_methods_supported"))
    problem = "" if "none" in listed else "none is not among the client authentication methods"
    return judge(problem, "none is listed", member(document, "token_endpoint_auth_methods_supported"))


@rule(
    "Authorization responses carry `iss`",
    mcp("Authorization Response Validation"),
    rfc(9207, "3"),
    fix="Add iss to every redirect, errors included, and advertise authorization_response_iss_parameter_supported.",
)
async def iss_parameter(survey: Survey) -> Verdict:
    """MCP: SHOULD include iss, and MUST advertise it then."""
    document = await survey.metadata()
    name = "authorization_response_iss_parameter_supported"
    problem = "" if document.members.get(name) is True else f"{name} is not true"
    return judge(problem, "iss is advertised", member(document, name))


@rule(
    "`scopes_supported` is stated",
    rfc(8414, "2"),
    fix="List the scopes that clients may ask for, offline_access among them if it is honoured.",
)
async def scopes_supported(survey: Survey) -> Verdict:
    """RFC 8414 section 2: RECOMMENDED."""
    document = await survey.metadata()
    problem = "" if strings(document.members.get("scopes_supported")) else "scopes_supported is missing or empty"
    return judge(problem, "The scopes are stated", member(document, "scopes_supported"))


@rule(
    "The scopes of the resource are scopes of the authorization server",
    rfc(9728, "2"),
    rfc(8414, "2"),
    fix="List in the authorization server's scopes_supported what the resource lists in its own.",
)
async def scopes_agree(survey: Survey) -> Verdict:
    """A client asks the one for what the other named."""
    resource, server = await survey.protected_resource(), await survey.metadata()
    known = strings(server.members.get("scopes_supported"))
    if not known:
        raise Missing("the authorization server states no scopes")
    unknown = [scope for scope in strings(resource.members.get("scopes_supported")) if scope not in known]
    problem = f"The authorization server does not list: {', '.join(unknown)}" if unknown else ""
    return judge(problem, "It lists them all", member(resource, "scopes_supported"), member(server, "scopes_supported"))


@rule(
    "Client ID Metadata Documents are supported",
    REGISTRATION,
    fix="Accept https URLs as client_id and advertise client_id_metadata_document_supported: true.",
)
async def client_metadata_documents(survey: Survey) -> Verdict:
    """MCP: SHOULD support them."""
    document = await survey.metadata()
    name = "client_id_metadata_document_supported"
    problem = "" if document.members.get(name) is True else f"{name} is not true"
    return judge(problem, "They are supported", member(document, name))


@rule(
    "A client can get a client_id without a person",
    REGISTRATION,
    rfc(7591, "3"),
    fix="Support Client ID Metadata Documents, or state a registration_endpoint.",
)
async def client_identifiers(survey: Survey) -> Verdict:
    """Registration SHOULD be supported until 2025-06-18; later either way serves."""
    document = await survey.metadata()
    by_document = document.members.get("client_id_metadata_document_supported") is True and survey.since("2025-11-25")
    ways = by_document or "registration_endpoint" in document.members
    problem = "" if ways else "Clients must be registered by hand"
    return judge(problem, "Clients can get one", member(document, "registration_endpoint"))


@rule(
    "offline_access and the refresh token grant go together",
    mcp("Refresh Tokens"),
    rfc(8414, "2"),
    fix="Advertise refresh_token in grant_types_supported when scopes_supported lists offline_access.",
)
async def refresh_consistent(survey: Survey) -> Verdict:
    """A scope for refresh tokens promises the grant that uses them."""
    document = await survey.metadata()
    if "offline_access" not in strings(document.members.get("scopes_supported")):
        raise Missing("offline_access is not advertised")
    grants = strings(document.members.get("grant_types_supported"))
    problem = "" if "refresh_token" in grants else "offline_access is listed, but not the grant refresh_token"
    return judge(problem, "Both are listed", member(document, "grant_types_supported"))
