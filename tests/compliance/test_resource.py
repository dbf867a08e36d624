"""Tokens and scopes at the endpoint, where a server may be right in more than one way, or answers what none should."""

import json
from typing import Any

import flawed_claims
import pytest
from auditing import families, ids, result, run
from flawed_documents import TOKEN
from flawed_server import FlawedServer

ODD: list[Any] = [None, True, 7, -1.5, "", "x", [], {}, [[]], {"a": 1}, ["a", 1, None], 10**400, "http://["]
FORGERIES = [
    "bearer-tampered",
    "bearer-self-signed",
    "bearer-unknown-kid",
    "bearer-jwk-header",
    "bearer-jku-header",
    "bearer-kid-injection",
    "bearer-confused-algorithm",
    "bearer-unsigned",
]


@pytest.mark.parametrize("flaw", FORGERIES)
async def test_a_forgery_is_made_after_the_token_of_a_flow_as_after_a_given_one(flaw: str) -> None:
    assert ids(await run(flaw), "fail", "warn", "error") == {flaw}


async def test_opaque_tokens_are_not_judged_as_jwts() -> None:
    report = await run("at-opaque")
    assert ids(report, "fail", "warn", "error") == set()
    assert families(report, "at-") == {"skip"}
    assert result(report, "bearer-tampered").summary == "the token is no signed JWT"
    assert result(report, "bearer-self-signed").status == "pass"


async def test_a_jwt_of_another_profile_need_not_have_what_rfc_9068_requires() -> None:
    report = await run("at-typ")
    assert ids(report, "warn", "fail", "error") == {"at-typ"}
    assert {result(report, name).status for name in ("at-iss", "at-aud", "at-client-id", "at-jti")} == {"skip"}


async def test_without_anybody_who_signs_in_what_needs_a_flow_is_skipped_with_the_reason() -> None:
    report = await run(signs_in=False)
    assert ids(report, "fail", "warn", "error") == set()
    assert families(report, "at-", "stepup-", "id-token-") == {"skip"}
    assert result(report, "bearer-accepted").status == "skip"
    assert "nobody was named who may sign in" in result(report, "bearer-accepted").summary
    assert result(report, "bearer-garbage").status == "pass"


async def test_with_a_given_token_alone_the_endpoint_is_judged_and_the_flows_are_not() -> None:
    report = await run(signs_in=False, access_token=TOKEN)
    assert ids(report, "fail", "warn", "error") == set()
    assert {result(report, name).status for name in ("bearer-accepted", "transport-discover")} == {"pass"}
    assert families(report, "at-", "stepup-") == {"skip"}


async def test_where_nobody_is_registered_nothing_is_judged_that_needs_a_client() -> None:
    report = await run("register-closed")
    assert ids(report, "fail", "error") == set()
    assert "no client could be registered" in result(report, "bearer-lowercase-scheme").summary


async def test_when_the_right_token_is_refused_the_refusal_of_wrong_ones_is_no_pass() -> None:
    report = await run("bearer-accepted")
    assert ids(report, "fail", "warn", "error") == {"bearer-accepted"}
    names = ("bearer-refresh-token", "bearer-id-token", "bearer-wrong-scheme", "bearer-duplicate-header", "bearer-body")
    assert {result(report, name).status for name in names} == {"skip"}
    assert families(report, "stepup-", "transport-meta", "transport-header") == {"skip"}


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:12])
@pytest.mark.parametrize("names", ["access", "id"])
async def test_claims_of_any_type_upset_no_check(monkeypatch: pytest.MonkeyPatch, names: str, odd: Any) -> None:
    claims = ("iss", "aud", "sub", "client_id", "scope", "jti", "iat", "exp", "nonce")
    table = "ACCESS_CLAIMS" if names == "access" else "ID_CLAIMS"

    def sign(right: Any, flaw: str) -> str:
        members = {**right, **dict.fromkeys(claims, odd)}
        return flawed_claims.signing_input({"alg": odd, "typ": odd, "kid": odd}, members) + ".AAAA"

    monkeypatch.setattr(flawed_claims, "access_token" if table == "ACCESS_CLAIMS" else "id_token", sign)
    report = await run()
    assert ids(report, "error") == set()
    assert not [item.summary for item in report.checks if "check itself failed" in item.summary]


async def test_no_token_and_no_session_id_of_a_flow_stands_in_a_report() -> None:
    for version in ("2025-11-25", "2026-07-28"):
        server = FlawedServer()
        text = json.dumps((await run(server=server, version=version)).as_dict())  # type: ignore[arg-type]
        for token in server.state.issued:
            assert token.partition(".")[2][:40] not in text
        sent = {headers.get("mcp-session-id") for _, _, headers in server.requests} - {None, "mcp-oauth-audit"}
        assert not [session for session in sent if session and session in text]


# Scopes


async def test_without_openid_a_part_of_the_challenged_scopes_shows_the_way_up() -> None:
    report = await run("no-openid")
    assert ids(report, "fail", "warn", "error") == set()
    assert families(report, "stepup-") == {"pass"}
    assert 'scope="mcp:read mcp:write"' in result(report, "stepup-scope").evidence[0].seen
    assert families(report, "id-token-") == {"skip"}


async def test_a_refusal_inside_a_200_is_one_finding_and_not_six() -> None:
    report = await run("stepup-not-tool-result")
    assert ids(report, "fail", "warn", "error") == {"stepup-not-tool-result"}
    assert "status 200" in result(report, "stepup-403").summary


async def test_a_server_that_lists_for_everybody_leaves_step_up_unseen() -> None:
    server = FlawedServer()
    server.resource.suffices = lambda scopes: True  # type: ignore[method-assign]
    report = await run(server=server)
    assert ids(report, "fail", "warn", "error") == set()
    assert families(report, "stepup-") == {"skip"}
    assert "without calling a tool" in result(report, "stepup-403").summary
    methods = {headers.get("mcp-method") for _, _, headers in server.requests}
    assert {"tools/list", "resources/list", "tools/call"} <= methods  # a call of a tool that is none
    assert {headers.get("mcp-name") for _, _, headers in server.requests} - {None} == {
        "mcp-oauth-audit-no-such-tool",
        "mcp-oauth-audit-no-such-tool-2",
    }
