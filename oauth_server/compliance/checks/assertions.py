"""Clients that prove a private key (RFC 7523 sections 2.2 and 3, OpenID Connect Core 1.0 section 9)."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from oauth_server.compliance.checks.client_attempts import Attempt, judge_attempt, known, send
from oauth_server.compliance.checks.flows import members, right_flow
from oauth_server.compliance.checks.protected_resource import strings
from oauth_server.compliance.checks.signer import Signer
from oauth_server.compliance.checks.token_endpoint import error_of, patient
from oauth_server.compliance.model import Exchange, Missing, Verdict, judge, rule
from oauth_server.compliance.parties import Client
from oauth_server.compliance.sources import RFC7523BIS, rfc
from oauth_server.compliance.survey import Survey

METHOD: Final = "private_key_jwt"
FOREIGN: Final = "https://resource.invalid"
SOMEBODY: Final = "mcp-oauth-audit-somebody-else"
LIFE: Final = 240  # seconds
OTHER_KEY: Final = "mcp-oauth-audit-other"
Sign = Callable[[Signer, Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class _Proven:
    """A client with a key, and the audience by which it could authenticate: empty where neither was accepted."""

    client: Client
    signer: Signer
    audience: str
    exchanges: tuple[Exchange, ...]


async def _registered(survey: Survey) -> tuple[Client, Signer]:
    """Return a client that is registered with a key of the run; Missing when there is none to have."""
    offered = (await survey.metadata()).members
    if METHOD not in strings(offered.get("token_endpoint_auth_methods_supported")):
        raise Missing("private_key_jwt is not supported")
    signer = Signer.of(strings(offered.get("token_endpoint_auth_signing_alg_values_supported")))
    client = await survey.walk.clients.registered(
        METHOD,
        client_name="MCP OAuth audit: with a key",
        token_endpoint_auth_method=METHOD,
        application_type=None,
        jwks={"keys": [signer.jwk]},
    )
    stored = members(client.exchange) if client.exchange else {}
    if stored.get("token_endpoint_auth_method", METHOD) != METHOD or client.secret:
        raise Missing("no client is registered for private_key_jwt")
    return client, signer


def _claims(survey: Survey, client: Client, **claims: Any) -> dict[str, Any]:
    """Return the claims of an assertion; `claims` replace, None leaves out."""
    now = int(survey.now)
    right = {"iss": client.client_id, "sub": client.client_id, "iat": now, "exp": now + LIFE}
    right["jti"] = secrets.token_urlsafe(12)
    return {name: value for name, value in {**right, **claims}.items() if value is not None}


async def _proven(survey: Survey) -> _Proven:
    """Walk a flow with a right assertion, for one audience and then the other."""
    walk = survey.walk

    async def make() -> _Proven:
        await right_flow(survey)
        client, signer = await _registered(survey)
        exchanges: list[Exchange] = []

        def asserting(audience: str) -> Client:
            return replace(client, method=METHOD, assertion=lambda: signer.sign(_claims(survey, client, aud=audience)))

        # The issuer is what newer standards ask for, the token endpoint what RFC 7523 section 3 allows.
        for audience in (await survey.issuer(), await survey.stated("token_endpoint")):
            right = asserting(audience)
            exchanges.append(patient(await walk.redeem(await walk.code(right))))
            if walk.read(exchanges[-1], right):
                return _Proven(right, signer, audience, tuple(exchanges))
        return _Proven(client, signer, "", tuple(exchanges))

    walk.visitor  # noqa: B018 - Missing without one, before a client is registered
    found: _Proven = await walk.once("assertion", make)
    return found


async def _accepted(survey: Survey) -> _Proven:
    """Return the client; Missing when not even a right assertion is accepted."""
    proven = await _proven(survey)
    if not proven.audience:
        raise Missing("not even a right assertion is accepted")
    return proven


async def _refused(survey: Survey, sign: Sign = Signer.sign, **claims: Any) -> Verdict:
    """Judge an assertion in which nothing but `claims`, or how it is signed, is wrong."""
    proven = await _accepted(survey)
    made = {"aud": proven.audience, **claims}
    wrong = replace(proven.client, assertion=lambda: sign(proven.signer, _claims(survey, proven.client, **made)))
    return await judge_attempt(survey, proven.client, Attempt(wrong))


@rule(
    "A right client assertion is accepted",
    rfc(7523, "3"),
    rfc(8414, "2"),
    fix="Accept assertions whose aud is the issuer, signed by an advertised algorithm with a key of the client's jwks.",
)
async def works(survey: Survey) -> Verdict:
    """RFC 8414 section 2: private_key_jwt is advertised, so a client that registered a key may use it."""
    proven = await _proven(survey)
    errors = " and ".join(f"{item.answer.status} {error_of(item)}" for item in proven.exchanges)
    problem = "" if proven.audience else f"For the issuer and the token endpoint as aud, the answers are {errors}"
    return judge(problem, f"It is, for {proven.audience}", *proven.exchanges)


@rule(
    "An unsigned client assertion is refused",
    rfc(7523, "3"),
    rfc(8725, "3.2"),
    fix="Accept the algorithms that are advertised alone; none is none of them.",
)
async def unsigned(survey: Survey) -> Verdict:
    """RFC 7523 section 3: the JWT MUST be digitally signed or have a MAC."""
    return await _refused(survey, Signer.unsigned)


@rule(
    "A client assertion with the public key as a shared secret is refused",
    rfc(7523, "3"),
    rfc(8725, "2.1"),
    fix="Pin the algorithm to each key: a public key never verifies an HMAC.",
)
async def confused(survey: Survey) -> Verdict:
    """RFC 8725 section 2.1: the published key used as an HS256 secret."""
    return await _refused(survey, Signer.confused)


@rule(
    "A client assertion signed by another key is refused",
    rfc(7523, "3"),
    fix="Verify the signature with the keys that the client registered.",
)
async def wrong_key(survey: Survey) -> Verdict:
    """RFC 7523 section 3: the server MUST reject JWTs with an invalid signature."""
    other = Signer.of([(await _accepted(survey)).signer.algorithm])
    return await _refused(survey, lambda _, claims: other.sign(claims))


@rule(
    "A client assertion for another server is refused",
    rfc(7523, "3"),
    fix="Refuse assertions whose aud is neither the issuer nor the token endpoint: another server could present them.",
)
async def wrong_audience(survey: Survey) -> Verdict:
    """RFC 7523 section 3: MUST reject any JWT that does not contain its own identity as the audience."""
    return await _refused(survey, aud=FOREIGN)


@rule(
    "A client assertion for several servers is refused",
    RFC7523BIS,
    fix="Accept an aud that is one string alone: the other servers of a list could present the assertion here.",
)
async def audience_list(survey: Survey) -> Verdict:
    """draft-ietf-oauth-rfc7523bis: the issuer is to be the sole value; RFC 7523 itself allows a list."""
    return await _refused(survey, aud=[(await _accepted(survey)).audience, FOREIGN])


@rule(
    "A client assertion without kid is refused where several keys fit",
    rfc(7515, "4.1.4"),
    rfc(7523, "3"),
    fix="Require kid of clients with several keys: an assertion then costs one signature check, and not one for each.",
)
async def no_kid(survey: Survey) -> Verdict:
    """RFC 7515 section 4.1.4: kid says which key; a server that tries all does expensive work for anyone."""
    proven = await _accepted(survey)
    keys = [proven.signer, Signer.of([proven.signer.algorithm], OTHER_KEY)]
    client = await survey.walk.clients.registered(
        "several keys",
        client_name="MCP OAuth audit: with several keys",
        token_endpoint_auth_method=METHOD,
        application_type=None,
        jwks={"keys": [key.jwk for key in keys]},
    )

    def asserting(sign: Sign) -> Client:
        made = {"aud": proven.audience}
        return replace(client, method=METHOD, assertion=lambda: sign(keys[1], _claims(survey, client, **made)))

    await known(survey, asserting(Signer.sign))
    exchange = await send(survey, Attempt(asserting(Signer.without_kid)))
    problem = "Whichever key signed it was found by trying" if error_of(exchange) == "invalid_grant" else ""
    return judge(problem, f"It is refused: {exchange.answer.status} {error_of(exchange)}", exchange)


@rule(
    "An expired client assertion is refused",
    rfc(7523, "3"),
    fix="Refuse assertions whose exp has passed, but for some seconds of clock skew.",
)
async def expired(survey: Survey) -> Verdict:
    """RFC 7523 section 3: MUST reject any JWT with an expiration time that has passed."""
    now = int(survey.now)
    return await _refused(survey, iat=now - 3600 - LIFE, exp=now - 3600)


@rule(
    "A client assertion that never expires is refused",
    rfc(7523, "3"),
    fix="Refuse assertions without exp.",
)
async def no_expiry(survey: Survey) -> Verdict:
    """RFC 7523 section 3: the JWT MUST contain an exp claim."""
    return await _refused(survey, exp=None)


@rule(
    "A client assertion about somebody else is refused",
    rfc(7523, "3"),
    fix="Compare sub with the client_id.",
)
async def other_subject(survey: Survey) -> Verdict:
    """RFC 7523 section 3: for client authentication, the subject MUST be the client_id."""
    return await _refused(survey, sub=SOMEBODY)


@rule(
    "A client assertion issued by somebody else is refused",
    rfc(7523, "3"),
    rfc(7521, "5.2"),
    fix="Compare iss with the client_id.",
)
async def other_issuer(survey: Survey) -> Verdict:
    """RFC 7521 section 5.2: self-issued assertions have the client_id as issuer, which MUST be known."""
    return await _refused(survey, iss=SOMEBODY)


@rule(
    "A client assertion is used once",
    rfc(7523, "3"),
    fix="Remember the jti of every accepted assertion until its exp, for all processes together.",
)
async def replayed(survey: Survey) -> Verdict:
    """RFC 7523 section 3: the server MAY ensure that JWTs are not replayed."""
    proven = await _accepted(survey)
    assertion = proven.signer.sign(_claims(survey, proven.client, aud=proven.audience))
    used = replace(proven.client, assertion=lambda: assertion)
    first = await send(survey, Attempt(used))
    if error_of(first) != "invalid_grant":
        raise Missing("its first use was not accepted")
    return await judge_attempt(survey, proven.client, Attempt(used))
