"""Arbitrary forms, JSON and headers at every endpoint: no failure of the server, and no refusal that stores anything."""

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient
from tests.support.outside import MCP_HEADERS, assert_printable, bearer, rows
from tests.support.server import Running

# The server is the same for all examples: what it must not do is to change.
bounded = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FORM = "application/x-www-form-urlencoded"
PARAMETERS = [
    "grant_type",
    "client_id",
    "client_secret",
    "code",
    "redirect_uri",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "resource",
    "nonce",
    "prompt",
    "max_age",
    "refresh_token",
    "token",
    "token_type_hint",
    "client_assertion",
    "client_assertion_type",
    "request",
    "request_uri",
    "registration",
    "csrf",
    "username",
    "password",
    "new_password",
    "new_password_again",
    "decision",
    "id_token_hint",
    "post_logout_redirect_uri",
    "login_hint",
]
MEMBERS = [
    "redirect_uris",
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
    "software_statement",
    "post_logout_redirect_uris",
    "jwks",
    "jwks_uri",
]
METHODS = ["ping", "tools/list", "tools/call", "resources/read", "resources/list", "initialize", "x"]
KNOWN = [
    DEFAULT_CLIENT,
    CALLBACK,
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "code",
    "S256",
    "a" * 43,
    "none",
    "login",
    "client_secret_post",
    "native",
    "mcp:read",
    "mcp:read mcp:admin openid",
    "https://app.example/cb",
    "javascript:alert(1)",
    "http://[",
    "a.b.c",
    "approve",
    "0",
    "",
]
texts = st.one_of(
    st.sampled_from(KNOWN), st.text(max_size=40), st.text(alphabet='\x00\ud800\udfffé\u202e%+&=\r\n"\\ .')
)
pairs = st.lists(st.tuples(st.one_of(st.sampled_from(PARAMETERS), st.text(max_size=10)), texts), max_size=12)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
header_bytes = st.binary(max_size=60).map(lambda raw: bytes(b for b in raw if b >= 0x20 and b != 0x7F).strip())


def encoded(fields: list[tuple[str, str]]) -> str:
    """The fields as a form; a lone surrogate goes out as the invalid UTF-8 that it would be."""
    return "&".join(f"{quote(k, errors='surrogatepass')}={quote(v, errors='surrogatepass')}" for k, v in fields)


def assert_decent(server: Running, reply: httpx2.Response, before: dict[str, Any]) -> None:
    """No failure of the server; a refusal is an error object or a page, and has stored nothing."""
    assert reply.status_code < 500, reply.text
    if reply.status_code < 400:
        return
    assert rows(server) == before
    assert "location" not in reply.headers
    assert reply.headers["cache-control"] == "no-store"
    if reply.headers["content-type"].startswith("text/html"):
        assert reply.text.startswith("<!doctype html>")
    else:
        assert reply.headers["content-type"] == "application/json"
        assert_printable(reply.json()["error_description"])
        assert isinstance(reply.json()["error"], str)


@pytest.mark.parametrize(
    "path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/authorize", "/oauth/logout", "/account"]
)
@pytest.mark.requirement("attack-40", "attack-76")
@bounded
@given(fields=pairs, in_query=pairs, basic=st.one_of(st.none(), header_bytes))
async def test_arbitrary_forms(
    server: Running,
    client: OAuthClient,
    path: str,
    fields: list[tuple[str, str]],
    in_query: list[tuple[str, str]],
    basic: bytes | None,
) -> None:
    before = rows(server)
    headers = [(b"Content-Type", FORM.encode())]
    if basic is not None:
        headers.append((b"Authorization", (b"Basic " + basic).strip()))
    url = f"{path}?{encoded(in_query)}"
    assert_decent(server, await client.http.post(url, content=encoded(fields), headers=headers), before)
    assert_decent(server, await client.http.get(url, headers=headers), before)


@pytest.mark.requirement("attack-40", "attack-76")
@bounded
@given(fields=st.lists(st.tuples(st.sampled_from(PARAMETERS), texts), max_size=3))
async def test_almost_good_requests(server: Running, client: OAuthClient, fields: list[tuple[str, str]]) -> None:
    good = {
        "grant_type": "authorization_code",
        "client_id": DEFAULT_CLIENT,
        "code": "unknown",
        "code_verifier": "a" * 43,
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "code_challenge": "a" * 43,
        "code_challenge_method": "S256",
        "refresh_token": "unknown",
        "token": "unknown",
    }
    form = encoded(list({**good, **dict(fields)}.items()))
    before = rows(server)
    headers = {"Content-Type": FORM}
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        assert_decent(server, await client.http.post(path, content=form, headers=headers), before)
    assert_decent(server, await client.http.get(f"/oauth/authorize?{form}"), before)
    assert_decent(server, await client.http.post(f"/oauth/authorize?{form}", content=form, headers=headers), before)


@pytest.mark.requirement("attack-40", "attack-53", "attack-76")
@bounded
@given(
    metadata=st.one_of(
        json_values,
        st.dictionaries(st.one_of(st.sampled_from(MEMBERS), st.text(max_size=8)), json_values, max_size=6),
        st.fixed_dictionaries(
            {"redirect_uris": st.lists(texts, min_size=1, max_size=3)},
            optional={member: st.one_of(json_values, st.lists(texts, max_size=3)) for member in MEMBERS[1:]},
        ),
        st.binary(max_size=60),
    )
)
async def test_arbitrary_registrations(server: Running, client: OAuthClient, metadata: Any) -> None:
    before = rows(server)
    body = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    reply = await client.http.post("/oauth/register", content=body, headers={"Content-Type": "application/json"})
    assert_decent(server, reply, before)
    if reply.status_code == 201:
        for uri in reply.json()["redirect_uris"]:
            assert uri.startswith(("https://", "http://localhost"))


@pytest.mark.requirement("attack-40", "attack-76")
@bounded
@given(authorization=header_bytes, cookie=header_bytes, scheme=st.sampled_from([b"Bearer ", b"", b"Basic ", b"bearer"]))
async def test_arbitrary_headers(
    server: Running, client: OAuthClient, authorization: bytes, cookie: bytes, scheme: bytes
) -> None:
    before = rows(server)
    session = f"mcp_session_{server.port}=".encode()
    headers = [(b"Authorization", (scheme + authorization).strip()), (b"Cookie", session + cookie)]
    for method, path in (
        ("GET", "/oauth/test"),
        ("GET", "/oauth/userinfo"),
        ("POST", "/oauth/userinfo"),
        ("POST", "/oauth/introspect"),
        ("POST", "/mcp"),
        ("GET", "/oauth/logout"),
        ("GET", "/account"),
        ("GET", "/oauth/authorize"),
    ):
        assert_decent(server, await client.http.request(method, path, headers=headers), before)


@pytest.fixture
async def token(browser: Browser, client: OAuthClient) -> str:
    """An access token."""
    found: str = (await client.tokens(browser))["access_token"]
    return found


@pytest.mark.requirement("attack-40", "attack-76", "RS-14")
@bounded
@given(
    message=st.one_of(
        json_values,
        st.binary(max_size=60),
        st.fixed_dictionaries(
            {"jsonrpc": st.just("2.0"), "id": st.integers(0, 9), "method": st.sampled_from(METHODS)},
            optional={"params": st.one_of(json_values, st.fixed_dictionaries({"name": texts, "uri": texts}))},
        ),
    )
)
async def test_arbitrary_messages(server: Running, client: OAuthClient, token: str, message: Any) -> None:
    before = rows(server)
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    headers = {"Content-Type": "application/json", **MCP_HEADERS, **bearer(token)}
    reply = await client.http.post("/mcp", content=body, headers=headers)
    assert reply.status_code < 500, reply.text
    if reply.status_code >= 400:
        assert reply.headers["content-type"] == "application/json"
        assert "error" in reply.json()
    assert rows(server) == before
