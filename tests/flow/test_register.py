"""A client registers itself and is told what it was registered as (RFC 7591)."""

import json
from typing import Any

import httpx2
import pytest

from tests.conftest import MakeServer
from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, OAuthClient, Pkce, b64
from tests.support.outside import assert_error, audited, opens, rows
from tests.support.publisher import Publisher
from tests.support.registration import public_jwk
from tests.support.server import Running

URL = "https://app.example/"


async def register(client: OAuthClient, **metadata: Any) -> httpx2.Response:
    return await client.http.post("/oauth/register", json={"redirect_uris": [CALLBACK], **metadata})


@pytest.mark.requirement("AS-21", "AS-01")
async def test_what_is_left_out_gets_the_documents_defaults(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    reply = await register(client)
    assert reply.status_code == 201
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["pragma"] == "no-cache"
    found = reply.json()
    client_id = found.pop("client_id")
    assert found == {
        "client_id_issued_at": int(server.clock()),
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
    }
    assert audited(server)[-1][:3] == ("client.registered", "success", client_id)
    registered = OAuthClient(server, client_id)
    tokens = await registered.tokens(browser)
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert (await registered.refresh(tokens["refresh_token"])).status_code == 200
    await registered.close()


@pytest.mark.requirement("AS-21")
async def test_members_that_are_null_count_as_omitted(client: OAuthClient) -> None:
    plain = (await register(client)).json()
    names = [
        "client_name",
        "client_uri",
        "logo_uri",
        "tos_uri",
        "policy_uri",
        "scope",
        "contacts",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "application_type",
        "software_id",
        "software_version",
        "post_logout_redirect_uris",
    ]
    reply = await register(client, **dict.fromkeys(names))
    assert reply.status_code == 201, reply.text
    assert {**reply.json(), "client_id": ""} == {**plain, "client_id": ""}


@pytest.mark.requirement("AS-21")
async def test_the_reply_states_what_was_registered(client: OAuthClient) -> None:
    sent = {
        "client_name": "Ünïcode 客户 🙂 <img src=x onerror=alert(1)>",
        "redirect_uris": [f"{URL}cb", f"{URL}other"],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "application_type": "web",
        "client_uri": URL,
        "logo_uri": f"{URL}logo.png",
        "tos_uri": f"{URL}tos",
        "policy_uri": f"{URL}policy",
        "contacts": ["ops@app.example"],
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
        "software_version": "2.0",
        "scope": "mcp:read openid",
        "post_logout_redirect_uris": [f"{URL}bye"],
    }
    reply = await register(client, **sent)
    assert reply.status_code == 201, reply.text
    found = reply.json()
    assert {name: found[name] for name in sent} == sent
    assert set(found) - set(sent) == {
        "client_id",
        "client_id_issued_at",
        "client_secret",
        "client_secret_expires_at",
        "registration_client_uri",
        "registration_access_token",
    }


@pytest.mark.requirement("AS-21")
async def test_unknown_members_are_ignored_and_repeated_redirect_uris_kept_once(client: OAuthClient) -> None:
    reply = await register(
        client,
        redirect_uris=[CALLBACK, CALLBACK],
        jwks_uri="http://169.254.169.254/",
        sector_identifier_uri="http://127.0.0.1:1/",
        request_uris=["javascript:alert(1)"],
        **{"client_name#de": "Ein Client", "": 1, "x" * 500: {"deep": [1]}},
    )
    assert reply.status_code == 201, reply.text
    assert reply.json()["redirect_uris"] == [CALLBACK]
    assert not {"jwks_uri", "sector_identifier_uri", "request_uris", "client_name#de", ""} & set(reply.json())


@pytest.mark.parametrize(
    ("registered", "requested", "granted"),
    [
        (None, None, "mcp:read"),
        ("mcp:write", None, "mcp:write"),
        ("mcp:write unheard-of", None, "mcp:write"),
        ("unheard-of", None, "mcp:read"),
        ("mcp:read", "mcp:write", "mcp:write"),
        ("mcp:read", "mcp:read openid unheard-of", "mcp:read openid"),
        (None, "mcp:admin", "mcp:admin"),
    ],
)
@pytest.mark.requirement("AS-21", "AS-39")
async def test_a_registered_scope_is_a_default_and_no_ceiling(
    server: Running, browser: Browser, registered: str | None, requested: str | None, granted: str
) -> None:
    client = await OAuthClient.register(server, scope=registered)
    assert (await client.tokens(browser, scope=requested))["scope"] == granted
    await client.close()


@pytest.mark.parametrize(
    "metadata",
    [
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": ["none"]},
        {"application_type": "desktop"},
        {"application_type": 1},
        {"client_name": 1},
        {"client_name": "a" * 513},
        {"client_name": "a\x00b"},
        {"software_id": {"a": 1}},
        {"software_version": "\x00"},
        {"contacts": "ops@app.example"},
        {"contacts": [1]},
        {"contacts": ["a" * 513]},
        {"contacts": ["\x00"]},
        {"scope": ["mcp:read"]},
        {"scope": 'mcp:read "'},
        {"scope": "mcp:read\tmcp:write"},
        {"scope": "mcp:read \\"},
        {"scope": "a" * 2049},
        {"post_logout_redirect_uris": URL},
        {"post_logout_redirect_uris": [f"{URL}{i}" for i in range(21)]},
    ],
    ids=lambda metadata: str(metadata)[:60],
)
@pytest.mark.requirement("AS-21")
async def test_members_that_cannot_be_honoured_are_refused(
    server: Running, client: OAuthClient, metadata: dict[str, Any]
) -> None:
    before = rows(server)
    assert_error(await register(client, **metadata), 400, "invalid_client_metadata")
    assert rows(server) == before


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.requirement("AS-21")
async def test_empty_members_count_as_absent(client: OAuthClient, empty: str | None) -> None:
    names = ("client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri", "scope", "software_id")
    names += ("token_endpoint_auth_method", "application_type", "software_statement", "contacts", "grant_types")
    names += ("response_types", "post_logout_redirect_uris", "software_version", "token_endpoint_auth_signing_alg")
    plain = await register(client, client_name=None)
    reply = await register(client, **dict.fromkeys(names, empty))
    assert (reply.status_code, reply.json()) == (201, plain.json())
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/jwks"}
    reply = await register(client, **keys, jwks=empty, token_endpoint_auth_signing_alg=empty)
    assert reply.status_code == 201, reply.text


def statement(header: dict[str, Any], claims: Any, signature: str = "AAAA") -> str:
    return ".".join((*(b64(json.dumps(part).encode()) for part in (header, claims)), signature))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            statement({"alg": "RS256"}, {"iss": "https://a.example", "client_name": "x"}),
            "unapproved_software_statement",
        ),
        (statement({"alg": "HS256", "typ": "JWT"}, {"iss": "a"}), "unapproved_software_statement"),
        (statement({"alg": "none"}, {"iss": "https://a.example"}, ""), "invalid_software_statement"),
        (statement({"alg": "none"}, {"iss": "https://a.example"}), "invalid_software_statement"),
        (statement({"alg": "RS256"}, {"iss": "https://a.example"}, ""), "invalid_software_statement"),
        (statement({}, {"iss": "https://a.example"}), "invalid_software_statement"),
        (statement({"alg": "RS256"}, {"sub": "no issuer"}), "invalid_software_statement"),
        (statement({"alg": "RS256"}, {"iss": 1}), "invalid_software_statement"),
        (statement({"alg": "RS256"}, ["iss"]), "invalid_software_statement"),
        ("not a JWT", "invalid_software_statement"),
        ("ä.ö.ü", "invalid_software_statement"),
        (1, "invalid_software_statement"),
        ({"iss": "a"}, "invalid_software_statement"),
        ([], "invalid_software_statement"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.requirement("AS-21")
async def test_a_software_statement_is_refused_as_not_approved_or_as_none_at_all(
    server: Running, client: OAuthClient, given: object, error: str
) -> None:
    before = rows(server)
    assert_error(await register(client, software_statement=given), 400, error)
    assert rows(server) == before


@pytest.mark.parametrize("broken", ["NaN", "Infinity", '"\\ud800"', "[" * 3000 + "]" * 3000])
@pytest.mark.requirement("attack-76")
async def test_keys_that_could_not_be_handed_back_are_refused(
    server: Running, client: OAuthClient, broken: str
) -> None:
    jwks = json.dumps({"keys": [public_jwk()]})
    text = f'{{"redirect_uris": ["{CALLBACK}"], "token_endpoint_auth_method": "private_key_jwt", "jwks": {jwks[:-1]}, "x": {broken}}}}}'
    before = rows(server)
    reply = await client.http.post("/oauth/register", content=text, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"] in ("invalid_client_metadata", "invalid_request")
    assert rows(server) == before


@pytest.mark.requirement("attack-59")
async def test_a_logo_is_stored_and_neither_fetched_nor_shown(
    server: Running, browser: Browser, publisher: Publisher
) -> None:
    pages = {name: f"https://logos.example/{name}.png" for name in ("logo_uri", "client_uri", "tos_uri", "policy_uri")}
    client = await OAuthClient.register(server, **pages)
    page = await browser.sign_in(await browser.http.get(client.url(Pkce.new())))
    assert "Test client" in page.text
    assert pages["logo_uri"] not in page.text
    assert "<img" not in page.text
    assert (await client.tokens(browser))["scope"]
    assert publisher.requests == []
    stored = await server.services.clients.find(client.client_id)
    assert stored is not None
    assert stored.metadata == pages
    await client.close()


@pytest.mark.requirement("AS-21", "regression-3")
async def test_a_registration_outlives_a_restart(make_server: MakeServer) -> None:
    async with make_server() as server:
        first = await OAuthClient.register(server, token_endpoint_auth_method="client_secret_basic")
        await first.close()
    async with make_server() as server:
        browser = Browser(server.url)
        again = OAuthClient(server, first.client_id, first.redirect_uri, first.secret, first.method)
        tokens = await again.tokens(browser)
        assert await opens(server, tokens["access_token"]) == (200, 200)
        await browser.close()
        await again.close()
