"""Whatever arrives, the standard's error is the answer and nothing is stored (RFC 6749 sections 3.1, 3.2 and 5.2)."""

from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

import httpx2
import pytest

from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.outside import MCP_HEADERS, assert_error, bearer, rows
from tests.support.server import Running

FORM = "application/x-www-form-urlencoded"
LIMIT = 64 * 1024
REGISTRATION_LIMIT = 16 * 1024
FORM_ENDPOINTS = ["/oauth/token", "/oauth/revoke", "/oauth/introspect"]
PAGES = ["/oauth/authorize", "/oauth/logout", "/account"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "QUERY"]
ALLOWED = {
    "/oauth/authorize": {"GET", "POST"},
    "/oauth/token": {"POST"},
    "/oauth/register": {"POST"},
    "/oauth/register/some-client": {"GET", "HEAD", "PUT", "DELETE"},
    "/oauth/revoke": {"POST"},
    "/oauth/introspect": {"POST"},
    "/oauth/userinfo": {"GET", "HEAD", "POST"},
    "/oauth/logout": {"GET", "POST"},
    "/account": {"GET", "POST"},
    "/oauth/test": {"GET", "HEAD"},
    "/mcp": {"POST"},
}


def assert_page(reply: httpx2.Response, status: int) -> None:
    """An error that a person reads, and that sends nobody anywhere."""
    assert reply.status_code == status, (reply.status_code, reply.text)
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert "location" not in reply.headers
    assert "set-cookie" not in reply.headers


def assert_refused(path: str, reply: httpx2.Response, status: int = 400, error: str = "invalid_request") -> None:
    """Require the error as the endpoint shows it."""
    if path in PAGES:
        assert_page(reply, status)
    else:
        assert_error(reply, status, error)


@pytest.fixture
async def unchanged(server: Running) -> AsyncIterator[None]:
    """At the end every row is as it was, and the server still answers."""
    before = rows(server)
    yield
    assert rows(server) == before
    async with server.client() as http:
        assert (await http.get("/readyz")).status_code == 200


def token_form(**form: str) -> dict[str, str]:
    """A redemption that is well-formed, of a code that does not exist."""
    return {
        "grant_type": "authorization_code",
        "client_id": DEFAULT_CLIENT,
        "code": "unknown",
        "redirect_uri": CALLBACK,
        "code_verifier": Pkce.new().verifier,
        **form,
    }


@pytest.mark.parametrize("path", ALLOWED)
@pytest.mark.requirement("attack-41", "TR-08")
async def test_a_wrong_method_is_told_which_ones_are_right(
    server: Running, browser: Browser, client: OAuthClient, path: str
) -> None:
    headers = {**MCP_HEADERS, **bearer((await client.tokens(browser))["access_token"])}
    before = rows(server)
    for method in METHODS:
        if method in ALLOWED[path]:
            continue
        reply = await client.http.request(method, path, headers=headers)
        assert reply.status_code == 405, (method, reply.status_code)
        assert {word.strip() for word in reply.headers["allow"].split(",")} == ALLOWED[path], method
        if method != "HEAD":
            assert path in PAGES or reply.json()["error"]
    assert rows(server) == before


@pytest.mark.parametrize("path", [*FORM_ENDPOINTS, *PAGES])
@pytest.mark.requirement("attack-40")
@pytest.mark.usefixtures("unchanged")
async def test_a_form_of_another_content_type_is_refused(client: OAuthClient, path: str) -> None:
    for content_type in ("application/json", "text/plain", "multipart/form-data; boundary=x", "", "x", f"{FORM}x"):
        headers = {"Content-Type": content_type} if content_type else {}
        for body in (urlencode(token_form(token="x")).encode(), b'{"grant_type": "authorization_code"}', b""):
            assert_refused(path, await client.http.post(path, content=body, headers=headers))


@pytest.mark.requirement("attack-40")
@pytest.mark.usefixtures("unchanged")
async def test_a_registration_of_another_content_type_is_refused(client: OAuthClient) -> None:
    body = f'{{"redirect_uris": ["{CALLBACK}"]}}'.encode()
    for content_type in (FORM, "text/plain", "text/json", "multipart/form-data; boundary=x", ""):
        headers = {"Content-Type": content_type} if content_type else {}
        assert_refused("", await client.http.post("/oauth/register", content=body, headers=headers))


@pytest.mark.parametrize("path", FORM_ENDPOINTS)
@pytest.mark.requirement("attack-40", "attack-6")
@pytest.mark.usefixtures("unchanged")
async def test_every_parameter_but_resource_comes_once(client: OAuthClient, path: str) -> None:
    form = token_form(token="unknown", client_secret="x", scope="mcp:read", state="x", unheard_of="x")
    for name, value in form.items():
        for again in (value, "another"):
            body = f"{urlencode(form)}&{urlencode({name: again})}"
            reply = await client.http.post(path, content=body, headers={"Content-Type": FORM})
            assert_error(reply, 400, "invalid_request")
            assert name in reply.json()["error_description"]


@pytest.mark.requirement("attack-6", "attack-40")
@pytest.mark.usefixtures("unchanged")
async def test_a_repeated_parameter_of_a_page_never_redirects(client: OAuthClient) -> None:
    query = client.url(Pkce.new()).partition("?")[2]
    for name in ("client_id", "redirect_uri", "state", "scope", "code_challenge", "response_type", "prompt"):
        for value in ("another", CALLBACK):
            first = f"{name}=x&" if f"{name}=" not in query else ""
            assert_page(await client.http.get(f"/oauth/authorize?{first}{query}&{name}={quote(value)}"), 400)
    assert_page(await client.http.get("/oauth/logout?state=a&state=b"), 400)


@pytest.mark.parametrize("path", [*FORM_ENDPOINTS, *PAGES, "/oauth/register"])
@pytest.mark.requirement("attack-40", "attack-53")
@pytest.mark.usefixtures("unchanged")
async def test_a_body_over_its_limit_is_too_large(client: OAuthClient, path: str) -> None:
    registers = path == "/oauth/register"
    headers = {"Content-Type": "application/json" if registers else FORM}
    limit = REGISTRATION_LIMIT if registers else LIMIT

    async def chunks(size: int) -> AsyncIterator[bytes]:
        for start in range(0, size, 4096):
            yield b"a" * min(4096, size - start)

    assert_refused(path, await client.http.post(path, content=b"a" * (limit + 1), headers=headers), 413)
    assert_refused(path, await client.http.post(path, content=chunks(limit + 1), headers=headers), 413)
    within = await client.http.post(path, content=chunks(limit), headers=headers)
    assert within.status_code in (303, 400, 401, 403)
    huge = await client.http.post(path, content=b"a" * 10_000_000, headers=headers)
    assert_refused(path, huge, 413)


@pytest.mark.parametrize("path", FORM_ENDPOINTS)
@pytest.mark.requirement("attack-40")
@pytest.mark.usefixtures("unchanged")
async def test_ten_thousand_fields_are_too_many(client: OAuthClient, path: str) -> None:
    for body in ("&".join(f"{i:x}=" for i in range(10_000)), "&" * 10_000, "=&" * 10_000):
        reply = await client.http.post(path, content=body, headers={"Content-Type": FORM})
        assert_error(reply, 400, "invalid_request")


HOSTILE = {
    "NUL": "%00",
    "NUL inside": "a%00b",
    "invalid UTF-8": "%FF%FE",
    "overlong UTF-8": "%C0%AF",
    "truncated UTF-8": "%E2%82",
    "lone surrogate": "%ED%A0%80",
}
ABSURD = {
    "right to left": quote("\u202e\u200b\ufeff"),
    "many marks": quote("Z" + "\u0301" * 500),
    "astral": quote("\U0001f600\U0010ffff\ufffe"),
    "controls": "%01%1B%7F%C2%85",
    "line ends": "a%0D%0ALocation:%20https://evil.example",
    "broken escapes": "%ZZ%",
    "markup": quote("<script>alert(1)</script>'\"--"),
    "long": "a" * 20_000,
}


@pytest.mark.parametrize("value", [*HOSTILE.values(), *ABSURD.values()], ids=[*HOSTILE, *ABSURD])
@pytest.mark.requirement("attack-40", "attack-12")
@pytest.mark.usefixtures("unchanged")
async def test_hostile_text_in_any_parameter_is_refused(client: OAuthClient, value: str) -> None:
    hostile = value in HOSTILE.values()
    base = token_form()
    for name in ("grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "resource"):
        body = urlencode({k: v for k, v in base.items() if k != name}) + f"&{name}={value}"
        reply = await client.http.post("/oauth/token", content=body, headers={"Content-Type": FORM})
        assert_error(reply, reply.status_code, "invalid_request" if hostile else reply.json()["error"])
        assert reply.status_code in ({400} if hostile else {400, 401})
    for name in ("client_id", "token"):
        body = urlencode({"client_id": "x", "token": "x"}) + f"&other={value}&{name}1={value}"
        reply = await client.http.post("/oauth/revoke", content=body, headers={"Content-Type": FORM})
        assert_error(reply, reply.status_code, "invalid_request" if hostile else "invalid_client")
    assert_page(await client.http.get(f"/oauth/authorize?client_id={value}"), 400)
    body = f"csrf={value}&username={value}&password={value}"
    query = f"client_id={DEFAULT_CLIENT}&redirect_uri={quote(CALLBACK)}&client_id={value}"
    for path in (f"/oauth/authorize?{query}", f"/oauth/logout?id_token_hint={value[:8000]}"):
        reply = await client.http.post(path, content=body, headers={"Content-Type": FORM})
        assert_page(reply, reply.status_code)
        assert reply.status_code in (400, 403)


NESTED = 16_000
JSON_BODIES: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  ",
    "cut off": b'{"redirect_uris": [',
    "not JSON": b"redirect_uris=x",
    "trailing": b"{} {}",
    "array": b"[]",
    "string": b'"x"',
    "number": b"1",
    "null": b"null",
    "deep arrays": b"[" * NESTED,
    "deep objects": b'{"a":' * (NESTED // 6),
    "deep and closed": b'{"a":' + b"[" * 8_000 + b"]" * 8_000 + b"}",
    "huge number": b'{"a": ' + b"9" * 16_000 + b"}",
    "invalid UTF-8": b'{"client_name": "\xff"}',
    "raw surrogate": b'{"client_name": "\xed\xa0\x80"}',
    "UTF-16": '{"redirect_uris": []}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "control character": b'{"client_name": "\x00"}',
}


@pytest.mark.requirement("attack-40", "attack-53")
@pytest.mark.usefixtures("unchanged")
async def test_a_registration_that_is_no_json_object_is_refused(client: OAuthClient) -> None:
    for body in JSON_BODIES.values():
        reply = await client.http.post("/oauth/register", content=body, headers={"Content-Type": "application/json"})
        assert_error(reply, 400, "invalid_request")


UNSTORABLE = (r"\ud800", r"\udfff\ud800", r"\u0000")
GOOD = '"redirect_uris": ["https://a.example/"]'


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ('{"redirect_uris": ["%s"]}', "invalid_redirect_uri"),
        (f'{{{GOOD}, "post_logout_redirect_uris": ["https://a.example/%s"]}}', "invalid_redirect_uri"),
        (f'{{{GOOD}, "client_name": "%s"}}', "invalid_client_metadata"),
        (f'{{{GOOD}, "client_uri": "https://a.example/%s"}}', "invalid_client_metadata"),
        (f'{{{GOOD}, "contacts": ["%s"]}}', "invalid_client_metadata"),
        (f'{{{GOOD}, "software_id": "%s"}}', "invalid_client_metadata"),
        (f'{{{GOOD}, "scope": "%s"}}', "invalid_client_metadata"),
        (f'{{{GOOD}, "application_type": "%s"}}', "invalid_client_metadata"),
        (f'{{{GOOD}, "token_endpoint_auth_method": "%s"}}', "invalid_client_metadata"),
        (f'{{{GOOD}, "grant_types": ["%s"]}}', "invalid_client_metadata"),
    ],
    ids=lambda value: value[:60],
)
@pytest.mark.requirement("attack-53", "attack-40")
@pytest.mark.usefixtures("unchanged")
async def test_text_that_no_database_stores_is_refused_in_every_member(
    client: OAuthClient, document: str, error: str
) -> None:
    for escape in UNSTORABLE:
        reply = await client.http.post(
            "/oauth/register", content=document % escape, headers={"Content-Type": "application/json"}
        )
        assert_error(reply, 400, error)
