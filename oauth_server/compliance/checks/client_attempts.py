"""Requests of a client that authenticates rightly or wrongly, judged by what they are refused for.

A code that never was is enough where the server looks at the client first: a right request is then `invalid_grant`, one
that is not authenticated `invalid_client`. Only where that says nothing, a code is asked for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from oauth_server.compliance import urls
from oauth_server.compliance.checks.flows import judge_refusal
from oauth_server.compliance.checks.token_endpoint import CODE, GRANT, error_of
from oauth_server.compliance.model import Exchange, Missing, Verdict
from oauth_server.compliance.parties import Asked, Changes, Client
from oauth_server.compliance.survey import Survey

UNAUTHENTICATED: Final = ("invalid_client", "invalid_request", "unauthorized_client")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A token request as this client, with changes to the form, more headers, and pairs in the query."""

    client: Client
    changes: Changes = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Sequence[tuple[str, str]] = ()


async def send(survey: Survey, attempt: Attempt, asked: Asked | None = None) -> Exchange:
    """Redeem a code, by default one that never was."""
    fields: dict[str, str | list[str] | None] = {name: value for name, value in (GRANT, *CODE) if name != "client_id"}
    fields["redirect_uri"] = attempt.client.redirect_uri
    if asked is not None:
        fields |= {
            "code": asked.first("code"),
            "code_verifier": asked.verifier,
            "resource": asked.requested("resource") or None,
        }
    url = await survey.stated("token_endpoint")
    url = urls.with_query(url, *attempt.query) if attempt.query else url
    exchange = await survey.walk.post(url, attempt.client, {**fields, **attempt.changes}, attempt.headers)
    return survey.walk.noted(exchange, attempt.client, asked)


async def known(survey: Survey, client: Client) -> Exchange:
    """Send what the client sends rightly; Missing unless it gets as far as its code."""

    async def make() -> Exchange:
        return await send(survey, Attempt(client))

    exchange: Exchange = await survey.walk.once(f"known: {client.method} {client.client_id}", make)
    if error_of(exchange) != "invalid_grant":
        status = f"{exchange.answer.status} {error_of(exchange)}"
        raise Missing(f"a request that is authenticated rightly is not judged by its code: {status}")
    return exchange


async def confidential_client(survey: Survey) -> Client:
    """Return a client with a secret, by whichever method it can authenticate; Missing when there is none to have."""
    reasons: list[str] = []
    for method in ("client_secret_basic", "client_secret_post"):
        try:
            client = await survey.walk.clients.confidential(method)
            await known(survey, client)
        except Missing as missing:
            reasons.append(str(missing))
        else:
            return client
    raise Missing(reasons[0])


async def outcome(survey: Survey, right: Client, attempt: Attempt) -> Exchange:
    """Return the answer that tells whether an attempt is authenticated; `right`: the client as it authenticates."""
    await known(survey, right)
    exchange = await send(survey, attempt)
    if error_of(exchange) != "invalid_grant":
        return exchange
    # The code may have been judged first; what a real one brings tells, where a right request brings tokens.
    await survey.walk.tokens(f"known: {right.method} {right.client_id}", right)
    return await send(survey, attempt, await survey.walk.code(right))


async def judge_attempt(
    survey: Survey, right: Client, attempt: Attempt, errors: Collection[str] = UNAUTHENTICATED
) -> Verdict:
    """Judge an attempt that must be refused for its authentication, as a right one is not."""
    return judge_refusal(await outcome(survey, right, attempt), errors)
