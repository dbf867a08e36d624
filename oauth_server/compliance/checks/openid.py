"""OpenID Connect Discovery 1.0, for the servers that publish it."""

from oauth_server.compliance.checks.protected_resource import member, strings
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.sources import openid, rfc, security
from oauth_server.compliance.survey import Survey

METADATA = openid("3", "ProviderMetadata")
REQUIRED = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
)


@rule(
    "`issuer` of the OpenID configuration is the issuer it was found by",
    openid("4.3", "ProviderConfigurationValidation"),
    fix="Spell the issuer in the OpenID configuration exactly as everywhere else.",
)
async def issuer(survey: Survey) -> Verdict:
    """Section 4.3: the value MUST be identical to the URL that was used."""
    document, named = await survey.openid(), await survey.issuer()
    stated = document.members.get("issuer")
    problem = "" if stated == named else f"The issuer is {stated!r}, but it was found by {named!r}"
    return judge(problem, "The issuer is the one it was found by", member(document, "issuer"))


@rule(
    "The required members are there",
    METADATA,
    fix="Add the members that are named, or do not publish an OpenID configuration.",
)
async def required(survey: Survey) -> Verdict:
    """Section 3: REQUIRED members."""
    document = await survey.openid()
    absent = [name for name in REQUIRED if not document.members.get(name)]
    problem = f"Missing: {', '.join(absent)}" if absent else ""
    return judge(problem, "All are there", document.shown)


@rule(
    "The OpenID configuration advertises PKCE with S256",
    security("Authorization Code Protection"),
    fix='Add code_challenge_methods_supported: ["S256"] to the OpenID configuration, too.',
)
async def pkce(survey: Survey) -> Verdict:
    """MCP: servers with OpenID discovery MUST include code_challenge_methods_supported."""
    document = await survey.openid()
    listed = strings(document.members.get("code_challenge_methods_supported"))
    problem = "" if "S256" in listed else "code_challenge_methods_supported does not list S256"
    return judge(problem, "S256 is listed", member(document, "code_challenge_methods_supported"))


@rule(
    "ID tokens are signed, RS256 among the algorithms",
    METADATA,
    fix="List RS256 in id_token_signing_alg_values_supported, and not none.",
)
async def id_token_algorithms(survey: Survey) -> Verdict:
    """Section 3: RS256 MUST be included; none only where no ID token comes from the authorization endpoint."""
    document = await survey.openid()
    listed = strings(document.members.get("id_token_signing_alg_values_supported"))
    problem = "" if "RS256" in listed else "id_token_signing_alg_values_supported does not list RS256"
    if "none" in listed:
        problem = "Unsigned ID tokens are offered"
    return judge(problem, "ID tokens are signed", member(document, "id_token_signing_alg_values_supported"))


@rule(
    "Whether request_uri is supported is stated",
    METADATA,
    fix="Set request_uri_parameter_supported to false unless request objects are fetched: left out, it means true.",
)
async def request_uri(survey: Survey) -> Verdict:
    """Section 3: omitted, the default is true."""
    document = await survey.openid()
    name = "request_uri_parameter_supported"
    stated = isinstance(document.members.get(name), bool)
    problem = "" if stated else f"{name} is not stated, which promises that it is supported"
    return judge(problem, "It is stated", member(document, name))


@rule(
    "The scope openid is listed",
    METADATA,
    fix="List openid in scopes_supported.",
)
async def openid_scope(survey: Survey) -> Verdict:
    """Section 3: the server MUST support openid; scopes_supported is RECOMMENDED."""
    document = await survey.openid()
    if "scopes_supported" not in document.members:
        raise Missing("the OpenID configuration does not state scopes_supported")
    problem = "" if "openid" in strings(document.members["scopes_supported"]) else "openid is not listed"
    return judge(problem, "openid is listed", member(document, "scopes_supported"))


@rule(
    "OpenID configuration and authorization server metadata agree",
    rfc(8414, "5"),
    fix="Build both documents from one source.",
)
async def agrees(survey: Survey) -> Verdict:
    """Clients read the one or the other, and must find the same server."""
    first, second = await survey.metadata(), await survey.openid()
    if first.url == second.url:
        raise Missing("there is only the OpenID configuration")
    both = first.members.keys() & second.members.keys()
    differing = sorted(name for name in both if first.members[name] != second.members[name])
    problem = f"They differ in: {', '.join(differing)}" if differing else ""
    shown = [member(document, name) for name in differing[:3] for document in (first, second)]
    return judge(problem, f"They agree in {len(both)} members", *shown, second.shown)
