"""Rules about tokens and grants where a server may be right, odd, or hostile in more than one way."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from between import HTTPS, Answerer, Between, run, statuses, summary
from flawed_state import Client as Known
from jose import jwt

from oauth_server.compliance.checks.flows import audiences, claims, opens
from oauth_server.compliance.checks.signer import Signer
from oauth_server.compliance.jws import decode, public_pem
from oauth_server.compliance.model import Exchange, Missing
from oauth_server.compliance.parties import Client
from oauth_server.outbound import Answer

# What can only be judged where a right request is granted.
BY_FLOW = (
    "assertion-",
    "pkce-wrong",
    "pkce-missing-verifier",
    "pkce-empty-verifier",
    "pkce-short",
    "pkce-challenge-as-",
    "token-code-",
    "token-query",
    "token-wrong-redirect",
    "refresh-",
    "client-",
)
# What is judged without one: by the answer to an error, or where a client is registered.
WITHOUT = {"client-basic-malformed", "refresh-garbage", "assertion-large-keys"}


def answered(path: str, response: Callable[[], httpx2.Response]) -> Answerer:
    return lambda request: response() if request.url.path == path and request.method == "POST" else None


def error(status: int, name: str) -> Callable[[], httpx2.Response]:
    return lambda: httpx2.Response(status, json={"error": name})


UNIFORM: dict[str, Callable[[], httpx2.Response]] = {
    "invalid_request": error(400, "invalid_request"),
    "invalid_grant": error(400, "invalid_grant"),
    "invalid_client": error(401, "invalid_client"),
    "forbidden page": lambda: httpx2.Response(403, html="<p>no</p>"),
    "login page": lambda: httpx2.Response(302, headers={"Location": "/login"}),
    "too many": lambda: httpx2.Response(429),
    "failure": lambda: httpx2.Response(500),
    "page": lambda: httpx2.Response(200, html="<p>welcome</p>"),
}


@pytest.mark.parametrize("name", UNIFORM)
async def test_a_token_endpoint_that_answers_everything_alike_passes_nothing_that_needs_a_flow(name: str) -> None:
    found = statuses(await run(Between(answered("/token", UNIFORM[name]))))
    judged = {check for check in found if check.startswith(BY_FLOW)} - WITHOUT
    assert {found[check] for check in judged} == {"skip"}, {check for check in judged if found[check] != "skip"}
    assert "error" not in found.values()
    if name == "too many":
        assert not {"fail", "warn"} & set(found.values())


@pytest.mark.parametrize("name", UNIFORM)
async def test_a_registration_endpoint_that_answers_everything_alike_is_not_praised_for_the_keys_it_refuses(
    name: str,
) -> None:
    found = statuses(await run(Between(answered("/register", UNIFORM[name]))))
    assert found["assertion-large-keys"] == "skip"


@pytest.mark.parametrize("name", UNIFORM)
async def test_a_revocation_endpoint_that_does_nothing_protects_nobody(name: str) -> None:
    found = statuses(await run(Between(answered("/revoke", UNIFORM[name]))))
    for check in ("revoke-refresh", "revoke-access", "revoke-ends-grant", "revoke-other-client", "revoke-no-auth"):
        assert found[check] != "pass", check


@pytest.mark.parametrize("name", UNIFORM)
async def test_an_introspection_endpoint_that_tells_nothing_is_not_praised_for_what_it_tells(name: str) -> None:
    found = statuses(await run(Between(answered("/introspect", UNIFORM[name]))))
    for check in ("garbage", "bare", "active", "revoked", "other-client", "no-store"):
        assert found[f"introspect-{check}"] != "pass", check


ODD: list[Any] = [None, True, -1.5, "x", "é\x00\u202e", [], [[{}]], {"a": [1]}, 10**400, "a.b.c", "eyJhIjoxfQ.bm8.x"]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize("path", ["/token", "/introspect", "/register"])
async def test_members_of_any_type_upset_no_check(path: str, odd: Any) -> None:
    def made(request: httpx2.Request, status: int, members: Any) -> bytes | None:
        if request.url.path != path or not isinstance(members, dict):
            return None
        kept = {"access_token": "x"} if "access_token" in members and odd != "x" else {}
        kept |= {name: members[name] for name in ("client_id", "redirect_uris") if name in members}
        return json.dumps({**dict.fromkeys(members, odd), **kept}).encode()

    report = await run(Between(made=made))
    assert not [item.summary for item in report.checks if item.status == "error"]
    assert json.dumps(report.as_dict())


@pytest.mark.parametrize("body", [b"[" * 50_000, b'{"a":' * 50_000, b"\xff", b"null", b"NaN", b"9" * 10_000])
async def test_token_answers_that_are_no_object_upset_no_check(body: bytes) -> None:
    transport = Between(made=lambda request, *_: body if request.url.path in {"/token", "/introspect"} else None)
    report = await run(transport)
    assert not [item.summary for item in report.checks if item.status == "error"]


async def test_opaque_tokens_are_judged_by_what_is_stated() -> None:
    """Tokens that only the server can read: whoever states the scope passes, whoever does not is let be."""
    held: dict[str, str] = {}

    def opaque(request: httpx2.Request, status: int, members: Any) -> bytes | None:
        if request.url.path != "/token" or not isinstance(members, dict) or "access_token" not in members:
            return None
        handle = f"opaque-{len(held)}-of-a-length-that-is-redacted"
        held[handle] = members["access_token"]
        del members["scope"]
        return json.dumps({**members, "access_token": handle}).encode()

    class Handles(Between):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            given = request.headers.get("authorization", "").partition(" ")[2]
            if given in held:
                request.headers["authorization"] = f"Bearer {held[given]}"
            return await super().handle_async_request(request)

    found = statuses(await run(Handles(made=opaque, flaw="resource-ignored")))
    assert not {name for name, status in found.items() if status in {"fail", "error"}} - {"resource-authorize-foreign"}
    for check in ("token-scope-stated", "scope-granted-subset", "refresh-foreign-resource", "refresh-narrowing"):
        assert found[check] == "skip", check
    # Nothing says that the token is this endpoint's, so it was let in with a token for another resource.
    assert found["resource-authorize-foreign"] == "fail"


async def test_a_token_that_names_the_endpoint_is_no_other_resources() -> None:
    report = await run(Between(flaw="resource-ignored"))
    assert statuses(report)["resource-authorize-foreign"] == "skip"
    assert "names this endpoint" in summary(report, "resource-authorize-foreign")


async def test_a_server_that_judges_the_client_first_is_asked_by_one_that_it_knows() -> None:
    found = statuses(await run(Between(flaw="client-order")))
    for check in ("token-unsupported-grant", "token-missing-grant", "token-duplicate"):
        assert found[check] == "pass", check


async def test_without_a_visitor_no_flow_is_walked_and_nothing_stays() -> None:
    transport = Between()
    found = statuses(await run(transport, "active", visited=False))
    assert not {"fail", "warn", "error"} & set(found.values())
    assert transport.server.state.clients == {}
    assert found["token-response"] == found["refresh-works"] == found["revoke-unknown"] == "skip"


async def test_a_client_that_was_given_is_used_where_none_is_registered() -> None:
    transport = Between(flaw="register-closed")
    server = transport.server
    given = Client("given", "http://127.0.0.1:8765/callback", "a secret of its own", "client_secret_basic")
    metadata = {"redirect_uris": [given.redirect_uri], "token_endpoint_auth_method": given.method, "scope": "mcp:read"}
    server.state.clients["given"] = Known("given", metadata, given.secret)
    report = await run(transport, client=given)
    found = statuses(report)
    assert not {"fail", "error"} & set(found.values())
    for check in ("token-response", "pkce-wrong-verifier", "client-wrong-secret", "refresh-works", "revoke-refresh"):
        assert found[check] == "pass", check
    for check in ("refresh-rotates", "token-client-credentials", "token-code-other-client", "client-method-registered"):
        assert found[check] == "skip", check
    assert given.secret not in json.dumps(report.as_dict())


async def test_a_replaced_refresh_token_may_live_for_half_a_minute() -> None:
    report = await run(Between(flaw="refresh-overlap"))
    found = statuses(report)
    assert (found["refresh-old-ends"], found["refresh-reuse-revokes"]) == ("pass", "pass")
    assert "after less than 30 seconds" in summary(report, "refresh-old-ends")


async def test_a_refresh_token_that_comes_with_offline_access_alone_is_asked_for() -> None:
    found = statuses(await run(Between(flaw="refresh-offline")))
    assert not {"fail", "warn", "error"} & set(found.values())
    for check in ("refresh-issued", "refresh-works", "refresh-reuse-revokes", "revoke-refresh"):
        assert found[check] == "pass", check


async def test_a_server_that_ends_all_of_a_client_over_a_replayed_code_is_judged_like_any_other() -> None:
    found = statuses(await run(Between(flaw="replay-ends-all")))
    assert found == statuses(await run(Between()))


async def test_waiting_is_bounded_and_left_to_the_caller() -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    await run(Between(), sleep=sleep)
    assert sum(waited) < 20
    assert max(waited) <= 6


@pytest.mark.parametrize("flaw", ["", "token-query", "client-secret-in-query", "token-code-replay", "refresh-old-ends"])
async def test_everything_issued_is_taken_back_and_stands_in_no_report(flaw: str) -> None:
    transport = Between(flaw=flaw)
    state = transport.server.state
    issued: list[str] = []
    clients = dict(state.clients)

    class Watched(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            clients[key] = value
            super().__setitem__(key, value)

    state.clients = Watched()
    report = await run(transport)
    text = json.dumps(report.as_dict()) + report.text()
    issued += [client.secret for client in clients.values()] + list(state.codes)
    issued += [token for grant in state.grants.values() for token in {grant.live, *grant.old, *grant.twins}]
    assert len(issued) > 50
    assert not [secret for secret in filter(None, issued) if secret in text]
    assert (state.clients, report.left) == ({}, ())
    if not flaw:
        assert [grant for grant in state.grants.values() if not grant.revoked] == []


@pytest.mark.parametrize(
    ("algorithms", "expected"), [([], "ES256"), (["RS256"], "RS256"), (["RS256", "ES256"], "ES256")]
)
def test_the_run_signs_with_an_algorithm_that_is_supported(algorithms: list[str], expected: str) -> None:
    signer = Signer.of(algorithms)
    token = signer.sign({"sub": "me"})
    assert signer.algorithm == expected
    assert jwt.decode(token, public_pem(signer.jwk).decode(), algorithms=[expected]) == {"sub": "me"}
    assert json.loads(decode(signer.unsigned({}).split(".")[0]))["alg"] == "none"
    with pytest.raises(Missing, match="PS512"):
        Signer.of(["PS512"])


@pytest.mark.parametrize("token", ["", "opaque", "a.b", "a.é.c", "..", "a.W10.c", f"a.{'W1tb' * 9000}.c"])
def test_tokens_that_are_no_jwt_have_no_claims(token: str) -> None:
    assert claims(token) == {}
    assert audiences(token) == []


@pytest.mark.parametrize(
    ("status", "right", "taken"),
    [(200, 200, True), (401, 200, False), (403, 200, False), (400, 400, True), (400, 200, False), (202, 200, True)],
)
def test_a_token_is_taken_when_its_call_is_answered_like_that_of_a_good_one(
    status: int, right: int, taken: bool
) -> None:
    assert opens(exchange(status), exchange(right)) is taken


@pytest.mark.parametrize("status", [302, 429, 500, 503])
def test_an_answer_that_has_other_reasons_tells_nothing_of_a_token(status: int) -> None:
    with pytest.raises(Missing):
        opens(exchange(status))


def exchange(status: int) -> Exchange:
    return Exchange("POST", Answer(f"{HTTPS}/mcp", status, (), b"", False, 0.0))
