"""Results that were wrong: a null for a secret, an empty key set, and metadata where no client looks for it."""

import json

import httpx2
import pytest
from flawed_odd import BASE, judged, result, same

from oauth_server.compliance import audit
from oauth_server.outbound import Outbound


async def test_a_null_is_no_issued_secret_and_is_named_as_a_null() -> None:
    report, _ = await judged(same, "register-null-secret")
    assert result(report, "register-public-no-secret").status == "pass"
    assert result(report, "register-types").summary == "Of another type: client_secret is null"


async def test_an_empty_key_set_is_called_empty() -> None:
    report, _ = await judged(same, "jwks-empty")
    assert result(report, "jwks-readable").summary == "`keys` is empty, so no signature can be verified"


@pytest.mark.parametrize(
    ("flaw", "name", "said"),
    [
        ("token-types", "token-types", "Of another type: scope is list"),
        ("token-null-refresh", "token-types", "Of another type: refresh_token is null"),
        ("register-types", "register-types", "Of another type: logo_uri is null"),
        ("register-list-scope", "register-types", "Of another type: scope is list"),
        ("prm-types", "prm-types", "Of another type: resource_documentation is null"),
    ],
)
async def test_what_is_of_another_type_is_named(flaw: str, name: str, said: str) -> None:
    report, _ = await judged(same, flaw)
    assert (result(report, name).status, result(report, name).summary) == ("fail", said)


async def test_a_refusal_without_a_challenge_fails() -> None:
    report, _ = await judged(same, "bearer-challenge")
    found = result(report, "bearer-challenge")
    assert (found.status, found.summary) == ("fail", "The answer carries no Bearer challenge")


@pytest.mark.parametrize(
    ("stored", "status"),
    [
        ({"jwks": None, "token_endpoint_auth_method": "none"}, "pass"),  # the method was replaced (RFC 7591 section 2)
        ({"jwks": {"keys": []}}, "pass"),
        ({"jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, 1]}}, "pass"),
        ({"jwks": None}, "warn"),  # not told again, though the method is as asked
    ],
)
async def test_large_keys_that_a_server_leaves_out_are_not_registered(stored: dict[str, object], status: str) -> None:
    def change(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        if request.url.path != "/register" or request.content.count(b'"kty"') < 3:
            return response
        members = {**response.json(), **stored}
        return httpx2.Response(201, json={name: value for name, value in members.items() if value is not None})

    report, _ = await judged(change, "assertion-large-keys")
    assert result(report, "assertion-large-keys").status == status


@pytest.mark.parametrize(
    ("answer", "status"), [(400, "pass"), (401, "skip"), (403, "skip"), (429, "skip"), (500, "warn")]
)
async def test_only_a_refusal_of_the_large_keys_themselves_is_one(answer: int, status: str) -> None:
    def change(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        large = request.url.path == "/register" and request.content.count(b'"kty"') > 2
        return httpx2.Response(answer, json={"error": "invalid_client_metadata"}) if large else response

    report, _ = await judged(change, "assertion-large-keys")
    assert result(report, "assertion-large-keys").status == status


async def test_metadata_at_the_appended_path_is_told() -> None:
    issuer = f"{BASE}/tenant"
    appended = {
        "/mcp/.well-known/oauth-protected-resource": {"resource": f"{BASE}/mcp", "authorization_servers": [issuer]},
        "/tenant/.well-known/oauth-authorization-server": {"issuer": issuer},
    }
    inserted = {"/.well-known/oauth-protected-resource/mcp": appended["/mcp/.well-known/oauth-protected-resource"]}

    def server(documents: dict[str, dict[str, object]]) -> Outbound:
        def answer(request: httpx2.Request) -> httpx2.Response:
            found = documents.get(request.url.path)
            return httpx2.Response(200 if found else 404, json=found or {})

        return Outbound(transport=httpx2.MockTransport(answer))

    report = await audit(f"{BASE}/mcp", outbound=server(appended))
    found = result(report, "prm-found")
    assert found.status == "fail"
    assert found.summary.startswith(f"There is one at {BASE}/mcp/.well-known/oauth-protected-resource, where no client")
    report = await audit(f"{BASE}/mcp", outbound=server(appended | inserted))
    assert result(report, "prm-found").status == "pass"
    found = result(report, "asm-found")
    assert found.status == "fail"
    assert found.summary.startswith(f"There is one at {issuer}/.well-known/oauth-authorization-server, where no client")
    report = await audit(f"{BASE}/mcp", outbound=server(inserted))
    assert "There is one" not in json.dumps(report.as_dict())
