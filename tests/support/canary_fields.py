"""Every field of every request, one at a time: what stands there may be a secret in the wrong place."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx2

from tests.support.assertions import ASSERTION_TYPE
from tests.support.forging import compact
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, b64

AUTHORIZE = {
    "client_id": DEFAULT_CLIENT,
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": "x" * 43,
    "code_challenge_method": "S256",
    "scope": "mcp:read",
}
TOKEN = {"grant_type": "authorization_code", "client_id": DEFAULT_CLIENT, "code": "c", "code_verifier": "v" * 43}
OPENID = ("nonce", "display", "prompt", "max_age", "ui_locales", "login_hint", "acr_values", "id_token_hint", "claims")
HEADERS = (
    *(
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Access-Control-Request-Headers",
        "Access-Control-Request-Method",
    ),
    *("Baggage", "Content-Type", "Cookie", "DPoP", "Forwarded", "From", "If-None-Match", "Last-Event-ID", "Mcp-Method"),
    *("Mcp-Name", "Mcp-Protocol-Version", "Mcp-Session-Id", "Origin", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode"),
    *("Sec-Fetch-Site", "Traceparent", "Tracestate", "User-Agent", "Via", "X-Api-Key", "X-Forwarded-For"),
    *("X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "X-Request-Id"),
)
PATHS = (
    *("/{}", "/oauth/{}", "/oauth/token/{}", "/oauth/register/{}", "/.well-known/{}", "/mcp/{}", "/account/{}"),
    *("/.well-known/oauth-protected-resource/{}", "/oauth/authorize/{}", "/s/{}/account"),
)


class Sent(NamedTuple):
    """A request, and the name of the field in which the secret is."""

    field: str
    method: str
    path: str
    options: dict[str, Any]


def requests(secret: str, token: str) -> Iterator[Sent]:
    """A request for each field; `token` is an access token that opens /mcp."""
    yield from _queries(secret)
    yield from _forms(secret)
    yield from _authorizations(secret)
    yield from _registrations(secret)
    yield from _headers(secret)
    yield from _forms_of_pages(secret)
    for path in PATHS:
        for method in ("GET", "PUT", "DELETE"):
            bearer = {"Authorization": f"Bearer {secret}"}
            yield Sent(f"path {path}", method, path.format(quote(secret, safe="")), {"headers": bearer})
    yield Sent("method", _token(secret), "/oauth/token", {})


def _token(secret: str) -> str:
    """The secret as a method: of its characters, those that a method may have."""
    return "".join(character for character in secret if character.isalnum() or character in "-_.")


def _queries(secret: str) -> Iterator[Sent]:
    for name in (
        *AUTHORIZE,
        *OPENID,
        "state",
        "resource",
        "request",
        "request_uri",
        "registration",
        "response_mode",
        secret,
    ):
        yield Sent(f"authorize {name}", "GET", "/oauth/authorize", {"params": {**AUTHORIZE, name: secret}})
    for path in ("/oauth/authorize", "/oauth/logout"):
        yield Sent(f"name that occurs twice at {path}", "GET", path, {"params": {**AUTHORIZE, secret: ["x", "y"]}})
    url = {**AUTHORIZE, "client_id": f"https://client.example/{quote(secret, safe='')}"}
    yield Sent("authorize client_id URL", "GET", "/oauth/authorize", {"params": url})
    for name in (
        "id_token_hint",
        "logout_hint",
        "client_id",
        "post_logout_redirect_uri",
        "state",
        "ui_locales",
        secret,
    ):
        yield Sent(f"logout {name}", "GET", "/oauth/logout", {"params": {name: secret}})
    for path in ("/oauth/token", "/oauth/register", "/mcp", "/oauth/test", "/account", "/nowhere"):
        for name in ("access_token", "client_secret", secret):
            yield Sent(f"query of {path}", "GET", path, {"params": {name: secret}})


def _forms(secret: str) -> Iterator[Sent]:
    token = (
        *TOKEN,
        "redirect_uri",
        "refresh_token",
        "scope",
        "resource",
        "client_secret",
        "username",
        "password",
        secret,
    )
    for name in token:
        yield Sent(f"token {name}", "POST", "/oauth/token", {"data": {**TOKEN, name: secret}})
    yield Sent("name that occurs twice in a form", "POST", "/oauth/token", {"data": {**TOKEN, secret: ["x", "y"]}})
    for grant in ("refresh_token", "client_credentials", "password"):
        form = {"grant_type": grant, "refresh_token": secret, "client_id": secret}
        yield Sent(f"token client_id of {grant}", "POST", "/oauth/token", {"data": form})
    for name in ("client_assertion", "client_assertion_type", "client_id"):
        form = {**TOKEN, "client_assertion_type": ASSERTION_TYPE, "client_assertion": "a.b.c", name: secret}
        yield Sent(f"token {name} beside an assertion", "POST", "/oauth/token", {"data": form})
    for header, claims in (
        ({"alg": secret}, {"sub": "x"}),
        ({"typ": secret}, {"sub": "x"}),
        ({"kid": secret}, {"sub": secret}),
    ):
        made = compact({"alg": "ES256", **header}, claims, lambda _: b"x" * 64)
        form = {**TOKEN, "client_assertion_type": ASSERTION_TYPE, "client_assertion": made}
        del form["client_id"]
        yield Sent(f"assertion {header or claims}", "POST", "/oauth/token", {"data": form})
    for path in ("/oauth/revoke", "/oauth/introspect"):
        for name in ("token", "token_type_hint", "client_id", "client_secret", secret):
            form = {"token": "x", "client_id": DEFAULT_CLIENT, name: secret}
            yield Sent(f"{path} {name}", "POST", path, {"data": form})
    for path in ("/oauth/authorize", "/oauth/logout", "/account"):
        for name in (
            "csrf",
            "username",
            "password",
            "new_password",
            "decision",
            "action",
            "scope",
            "client_id",
            secret,
        ):
            yield Sent(f"{path} {name}", "POST", path, {"data": {name: secret}})


def _authorizations(secret: str) -> Iterator[Sent]:
    paths = (
        "/oauth/token",
        "/oauth/revoke",
        "/oauth/introspect",
        "/oauth/register",
        "/mcp",
        "/oauth/test",
        "/oauth/userinfo",
    )
    jwt = f"{b64(json.dumps({'alg': secret, 'typ': secret, 'kid': secret}).encode())}.e30.AA"
    for path in paths:
        for value in (
            *(
                f"Bearer {secret}",
                f"Bearer {jwt}",
                f"Basic {secret}",
                f"Digest {secret}",
                secret,
                f"{_token(secret)} x",
            ),
            *(f"Basic {b64(pair.encode())}" for pair in (secret, f"{secret}:{secret}", f"{secret}:", f"x:{secret}")),
        ):
            method = "GET" if path in ("/oauth/test", "/oauth/userinfo") else "POST"
            form = {"token": "x", "grant_type": "refresh_token", "refresh_token": "x"}
            body = {"data": form} if method == "POST" and path.startswith("/oauth") else {}
            yield Sent(f"Authorization at {path}", method, path, {"headers": {"Authorization": value}, **body})


def _registrations(secret: str) -> Iterator[Sent]:
    """What is refused or left out; the text that a client gives itself is stored, as it is meant to be."""
    members: dict[str, Any] = {"redirect_uris": [secret], "grant_types": [secret], "response_types": [secret]}
    members |= {"jwks": {"keys": [{"kty": secret}]}, "contacts": {secret: secret}, secret: secret}
    for name in (
        "token_endpoint_auth_method",
        "scope",
        "application_type",
        "jwks_uri",
        "client_uri",
        "software_statement",
    ):
        members[name] = secret
    for name in ("client_id", "client_secret", "registration_access_token", "initiate_login_uri"):
        members[name] = secret
    for name, value in members.items():
        body = {"redirect_uris": [CALLBACK], name: value}
        yield Sent(f"register {name}", "POST", "/oauth/register", {"json": body})
    body = {"redirect_uris": [f"http://elsewhere.example/?{quote(secret)}"]}
    yield Sent("register redirect URI", "POST", "/oauth/register", {"json": body})


def _headers(secret: str) -> Iterator[Sent]:
    for path in ("/mcp", "/oauth/token", "/oauth/authorize", "/oauth/test", "/nowhere", f"/s/{'A' * 22}/account"):
        for name in HEADERS:
            method = "POST" if path in ("/mcp", "/oauth/token") else "GET"
            yield Sent(f"{name} at {path}", method, path, {"headers": {name: secret}})
        yield Sent(f"Origin URL at {path}", "POST", path, {"headers": {"Origin": f"https://{_token(secret)}.example"}})
        yield Sent(f"Host at {path}", "GET", path, {"headers": {"Host": _token(secret)}})
        yield Sent(f"name of a header at {path}", "GET", path, {"headers": {_token(secret): "x"}})


def _forms_of_pages(secret: str) -> Iterator[Sent]:
    """Forms that reach the check of where they come from, with each field that it reads."""
    for path in ("/oauth/authorize", "/oauth/logout", "/account"):
        for name in ("Origin", "Referer", "Sec-Fetch-Site", "Cookie"):
            options = {"params": AUTHORIZE, "data": {"csrf": "x"}, "headers": {name: secret}}
            yield Sent(f"{name} of a form at {path}", "POST", path, options)


async def messages(http: httpx2.AsyncClient, secret: str, token: str) -> AsyncIterator[str]:
    """Send a JSON-RPC message for each member, in both eras; yields after each."""
    params: list[tuple[str, dict[str, Any]]] = [
        (secret, {}),
        ("tools/call", {"name": secret, "arguments": {}}),
        ("tools/call", {"name": "mcp_oauth_validate_token", "arguments": {"token": secret, "resource": secret}}),
        ("tools/call", {"name": "mcp_oauth_validate_token", "arguments": {"token": "x", "required_scopes": secret}}),
        ("tools/call", {"name": "mcp_oauth_validate_token", "arguments": {secret: secret}}),
        ("tools/call", {"name": "mcp_oauth_check_compliance", "arguments": {"server_url": secret, "depth": secret}}),
        ("tools/call", {"name": "mcp_oauth_register_client", "arguments": {"redirect_uris": [secret]}}),
        ("resources/read", {"uri": secret}),
        ("resources/read", {"uri": f"oauth://clients/{secret}"}),
        ("prompts/get", {"name": secret, "arguments": {secret: secret}}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": secret}, "argument": {"name": secret, "value": secret}},
        ),
        ("logging/setLevel", {"level": secret}),
        (
            "initialize",
            {"protocolVersion": secret, "capabilities": {}, "clientInfo": {"name": secret, "version": secret}},
        ),
        ("notifications/cancelled", {"requestId": secret, "reason": secret}),
        ("tools/list", {"cursor": secret, "_meta": {"progressToken": secret, secret: secret}}),
    ]
    for version in ("2025-11-25", "2026-07-28"):
        for method, values in params:
            message = {"jsonrpc": "2.0", "id": secret, "method": method, "params": values}
            headers = {
                "Accept": "application/json, text/event-stream",
                "Authorization": f"Bearer {token}",
                "MCP-Protocol-Version": version,
            }
            await http.post("/mcp", json=message, headers=headers)
            yield f"{method if method != secret else 'method'} {version}"
