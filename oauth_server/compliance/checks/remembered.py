"""What an earlier consent allows, and to whom (OAuth 2.1 section 7.3, RFC 9700 section 4.11.2)."""

from oauth_server.compliance.checks.before_login import HOST, HOSTED
from oauth_server.compliance.model import Missing, Verdict, judge, rule
from oauth_server.compliance.registrar import NAME
from oauth_server.compliance.sources import oauth, rfc, security
from oauth_server.compliance.survey import Survey


@rule(
    "A link on another site brings no code by an earlier consent",
    oauth("7.3"),
    security("Confused Deputy Problem"),
    rfc(9700, "4.11.2"),
    fix="Let an earlier consent count only for requests with Sec-Fetch-Site: none or same-origin; else ask again.",
)
async def cross_site(survey: Survey) -> Verdict:
    """OAuth 2.1 section 7.3: SHOULD NOT answer repeated requests unasked unless they are the original client's.

    The one who sends the link chooses the code challenge, so the code that the client gets is the attacker's.
    """
    walk = survey.walk
    walk.follower  # noqa: B018 - Missing without one, before a person is sent to an address without a server
    client = await walk.clients.registered(
        "remembered", client_name=f"{NAME}: remembered", redirect_uris=[HOSTED], application_type=None
    )
    asked = await walk.ask(client)
    if not asked.sent.get("code"):
        raise Missing(f"no code came for a client at {HOST}")
    if not any(exchange.method == "POST" for exchange in asked.visit.trail):
        raise Missing("nobody is asked at all, so there is no consent to remember")
    if not (await walk.followed(client, foreign=False)).sent.get("code"):
        raise Missing("the server asks again each time, so no consent is remembered")
    linked = await walk.followed(client, foreign=True)
    problem = "A code is issued unasked" if linked.sent.get("code") else ""
    return judge(problem, "Somebody is asked again", *linked.shown)
