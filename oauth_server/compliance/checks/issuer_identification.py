"""Which server an authorization response comes from (RFC 9207)."""

from typing import Final

from oauth_server.compliance.checks.attempts import shown
from oauth_server.compliance.checks.authorization_request import told
from oauth_server.compliance.checks.protected_resource import member
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Asked
from oauth_server.compliance.sources import mcp, rfc
from oauth_server.compliance.survey import Survey

FLAG: Final = "authorization_response_iss_parameter_supported"
RESPONSES: Final = mcp("Authorization Response Validation")


def _carries(asked: Asked) -> Verdict:
    return judge("" if asked.first("iss") else "There is no iss", "There is an iss", *shown(asked))


async def _responses(survey: Survey) -> list[Asked]:
    """Return an authorization response, and an error response where the client was told one."""
    found = [await survey.walk.arrived()]
    try:
        found.append(await told(survey))
    except Missing:
        return found
    return found


async def _naming(survey: Survey) -> list[Asked]:
    """Return the responses with an iss; Missing when there is none."""
    found = [asked for asked in await _responses(survey) if "iss" in asked.answer]
    if not found:
        raise Missing("no authorization response carries iss")
    return found


@rule(
    "The response with the code carries `iss`",
    RESPONSES,
    rfc(9207, "2"),
    fix="Add iss, the issuer identifier, to the redirect that carries a code.",
)
async def success(survey: Survey) -> Verdict:
    """MCP: SHOULD include the iss parameter in authorization responses."""
    return _carries(await survey.walk.arrived())


@rule(
    "The response with an error carries `iss`",
    RESPONSES,
    rfc(9207, "2"),
    fix="Add iss, the issuer identifier, to the redirect that carries an error.",
)
async def on_error(survey: Survey) -> Verdict:
    """MCP: SHOULD include it, error responses included."""
    return _carries(await told(survey))


@rule(
    "`iss` is the issuer of the metadata, byte for byte",
    rfc(9207, "2.3"),
    RESPONSES,
    fix="Send as iss exactly what the metadata states as issuer, a slash at the end included.",
)
async def exact(survey: Survey) -> Verdict:
    """RFC 9207 section 2.3: MUST be identical; MCP: clients MUST NOT normalise before they compare."""
    responses, document = await _naming(survey), await survey.metadata()
    issuer = document.members.get("issuer")
    wrong = [asked for asked in responses if asked.first("iss") != issuer]
    problem = f"iss is {wrong[0].first('iss')!r}, the issuer {issuer!r}" if wrong else ""
    pages = [page for asked in wrong or responses for page in shown(asked)]
    return judge(problem, "They are equal", *pages, member(document, "issuer"))


@rule(
    "`iss` comes once",
    rfc(9207, "2.4"),
    rfc(6749, "3.1"),
    fix="Send iss once in each authorization response.",
)
async def once(survey: Survey) -> Verdict:
    """RFC 6749 section 3.1: response parameters MUST NOT be included more than once."""
    responses = await _naming(survey)
    wrong = [asked for asked in responses if len(asked.answer["iss"]) > 1]
    pages = [page for asked in wrong or responses for page in shown(asked)]
    return judge("iss comes more than once" if wrong else "", "It does", *pages)


@rule(
    "`iss` is advertised if and only if it is sent",
    rfc(9207, "2.3"),
    rfc(9207, "3"),
    RESPONSES,
    fix=f"Set {FLAG} to true when iss is in every response, errors included, and leave it out otherwise.",
)
async def advertised(survey: Survey) -> Verdict:
    """RFC 9207 section 2.3: MUST set it; clients refuse a response without iss where it is promised."""
    responses, document = await _responses(survey), await survey.metadata()
    promised = document.members.get(FLAG) is True
    lacking = [asked for asked in responses if "iss" not in asked.answer]
    problem = "iss is promised, and missing" if promised and lacking else ""
    if not promised and len(lacking) < len(responses):
        problem = "iss is sent, but not advertised"
    pages = [page for asked in lacking or responses for page in shown(asked)]
    return judge(problem, "What is advertised is sent", *pages, member(document, FLAG))
