"""mcp_oauth_validate_token names the check that failed and the scopes that are missing."""

from typing import Any

import anyio
import pytest
from fastmcp import Client

from oauth_server.store.records import Revocation
from oauth_server.store.verbs import revocations
from tests.support.forging import compact, es256, good_claims, hs256, private_key, unsigned
from tests.support.mcp_http import token_for, user_id
from tests.support.server import Running

TOOL = "mcp_oauth_validate_token"


async def _ask(admin: Client[Any], token: str, **arguments: str) -> dict[str, Any]:
    found = await admin.call_tool(TOOL, {"token": token, **arguments})
    assert token not in str(found)
    verdict: dict[str, Any] = found.structured_content
    return verdict


async def _signed(server: Running, header: dict[str, Any] | None = None, **claims: Any) -> str:
    kid, key = await private_key(server, "access")
    made = {"alg": "ES256", "typ": "at+jwt", "kid": kid, **(header or {})}
    return compact(made, good_claims(server, await user_id(server), **claims), es256(key))


@pytest.mark.requirement("RS-09", "attack-77")
async def test_a_good_token_passes_every_check_and_its_claims_are_told(shared: Running, admin: Client[Any]) -> None:
    token = await token_for(shared, "mcp:write")
    for required in ("", "mcp:read", "mcp:write mcp:read"):
        verdict = await _ask(admin, token, required_scopes=required)
        assert (verdict["valid"], verdict["failed_check"], verdict["missing_scopes"]) == (True, None, [])
        assert {check["outcome"] for check in verdict["checks"]} == {"passed"}
        claims = verdict["claims"]
        assert (claims["sub"], claims["scope"]) == (await user_id(shared), "mcp:write")
        assert (claims["client_id"], claims["aud"]) == ("mcp-docker-server-default", [shared.url])
        assert 3500 < claims["expires_in"] <= 3600


@pytest.mark.requirement("RS-09", "RS-19")
async def test_missing_scopes_are_listed_with_the_hierarchy_in_mind(shared: Running, admin: Client[Any]) -> None:
    verdict = await _ask(admin, await token_for(shared, "mcp:write"), required_scopes="mcp:read mcp:admin openid")
    assert (verdict["valid"], verdict["failed_check"]) == (False, "scope")
    assert verdict["missing_scopes"] == ["mcp:admin", "openid"]
    assert verdict["claims"]["scope"] == "mcp:write"


@pytest.mark.requirement("RS-09", "RS-13", "attack-62", "attack-63")
async def test_the_failed_check_is_named_and_those_after_it_are_not_run(shared: Running, admin: Client[Any]) -> None:
    kid, _ = await private_key(shared, "access")
    claims, now = good_claims(shared, await user_id(shared)), int(shared.clock())
    forged = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
    good = await _signed(shared)
    cases = {
        "format": ["", "nonsense", "a.b.c", f"{good}="],
        "type": [await _signed(shared, {"typ": "JWT"})],
        "critical": [await _signed(shared, {"crit": ["exp"]})],
        "key": [await _signed(shared, {"kid": "unknown"}), compact({"alg": "none", "typ": "at+jwt"}, claims, unsigned)],
        "algorithm": [compact({**forged, "alg": "HS256"}, claims, hs256(b"x")), compact({**forged, "alg": "none"}, claims, unsigned)],
        "signature": [compact(forged, claims, hs256(b"x")), good[:-4] + "AAAA"],
        "issuer": [await _signed(shared, iss="https://evil.example")],
        "claims": [await _signed(shared, exp=...), await _signed(shared, sub=1), await _signed(shared, aud=[])],
        "expiry": [await _signed(shared, exp=now - 120)],
        "not_before": [await _signed(shared, nbf=now + 3000)],
        "audience": [await _signed(shared, aud="https://other.example"), await _signed(shared, aud=f"{shared.url}.evil.example")],
    }  # fmt: skip
    order = [check["name"] for check in (await _ask(admin, good))["checks"]]
    assert order == [*cases, "revocation", "scope"]
    for name, tokens in cases.items():
        for token in tokens:
            verdict = (await admin.call_tool(TOOL, {"token": token})).structured_content
            assert (verdict["valid"], verdict["failed_check"], verdict["claims"]) == (False, name, None), token[:60]
            outcomes = [check["outcome"] for check in verdict["checks"]]
            place = order.index(name)
            assert outcomes == ["passed"] * place + ["failed"] + ["not run"] * (len(order) - place - 1)
            assert verdict["checks"][place]["detail"] == verdict["reason"] != ""


@pytest.mark.requirement("RS-09", "RS-10")
async def test_the_resource_can_be_named(shared: Running, admin: Client[Any]) -> None:
    token = await token_for(shared, "mcp:read", audience=[f"{shared.url}/mcp"])
    for resource, valid in (("", True), (f"{shared.url}/mcp", True), (shared.url, False)):
        verdict = await _ask(admin, token, resource=resource)
        assert (verdict["valid"], verdict["failed_check"]) == (valid, None if valid else "audience")


@pytest.mark.requirement("attack-64", "RS-09")
async def test_a_revoked_token_fails_the_revocation_check_in_every_process(shared: Running, admin: Client[Any]) -> None:
    grant = f"grant-{id(admin)}"
    token = await token_for(shared, "mcp:read", grant_id=grant)
    assert (await _ask(admin, token))["valid"]
    now = shared.clock()
    await shared.services.store.write(revocations.revoke, [Revocation("grant", grant, now, now + 86_400)])
    with anyio.fail_after(3):
        while (verdict := await _ask(admin, token))["valid"]:  # noqa: ASYNC110 - polled from outside
            await anyio.sleep(0.05)
    assert verdict["failed_check"] == "revocation"


@pytest.mark.requirement("attack-47", "regression-4")
async def test_an_id_token_fails_by_its_type(shared: Running, admin: Client[Any]) -> None:
    token = shared.services.tokens.issue_id(
        subject="s", client_id="c", auth_time=0, nonce=None, access_token=await token_for(shared, "mcp:read")
    )
    assert (await _ask(admin, token))["failed_check"] == "type"
