"""A secret where it does not belong: in every parameter, path, header and body that an error might repeat."""

from typing import Any

import httpx2

from tests.support.canary_flows import MCP, rpc
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT

_AUTHORIZE = {
    "client_id": DEFAULT_CLIENT,
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": "x" * 43,
    "code_challenge_method": "S256",
}
_TOKEN = {"grant_type": "authorization_code", "client_id": DEFAULT_CLIENT, "code": "c", "code_verifier": "v" * 43}
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def provoke(http: httpx2.AsyncClient, unwatched: httpx2.AsyncClient, tokens: dict[str, Any], secret: str) -> None:
    """Send the secret to everything, the wrong way."""
    await _in_addresses(http, secret)
    await _in_forms(http, secret)
    await _in_bodies(http, secret)
    await _in_headers(http, secret)
    await _in_messages(http, tokens, secret)
    await _repeated(unwatched, tokens, secret)


async def _repeated(http: httpx2.AsyncClient, tokens: dict[str, Any], secret: str) -> None:
    """What the answer may repeat to whoever asked, and nothing else may: names, and a form's own address."""
    for name in ("code_challenge", "id_token_hint", "claims", "state"):
        await http.get(
            "/oauth/authorize",
            params={**_AUTHORIZE, name: secret.ljust(43, "-")[:43] if name == "code_challenge" else secret},
        )
    await http.post("/oauth/register", json={"redirect_uris": [f"http://evil.example/?{secret}", secret]})
    await http.post("/oauth/register", json={"redirect_uris": [secret]})
    await rpc(http, tokens, "tools/call", name="mcp_oauth_validate_token", arguments={secret: secret})
    await rpc(http, tokens, "tools/call", name=secret, arguments={})
    await rpc(http, tokens, "mcp_oauth_register_client", redirect_uris=[secret])
    await rpc(http, tokens, secret)
    for uri in (secret, f"oauth://clients/{secret}", f"oauth://{secret}"):
        await rpc(http, tokens, "resources/read", uri=uri)
    await rpc(http, tokens, "prompts/get", name=secret, arguments={secret: secret})


async def _in_addresses(http: httpx2.AsyncClient, secret: str) -> None:
    for path in (
        "/oauth/token",
        "/oauth/register",
        "/mcp",
        "/oauth/test",
        "/healthz",
        "/nowhere",
        "/",
        "/account",
        "/oauth/introspect",
    ):
        for name in ("client_secret", "access_token", "code", secret):
            await http.get(path, params={name: secret})
    for path in ("/{}", "/oauth/token/{}", "/oauth/register/{}", "/.well-known/{}", "/mcp/{}", "/oauth/{}/x"):
        for method in ("GET", "POST", "DELETE"):
            await http.request(method, path.format(secret))
    for name in (
        "client_id",
        "response_type",
        "redirect_uri",
        "scope",
        "resource",
        "code_challenge_method",
    ):
        await http.get("/oauth/authorize", params={**_AUTHORIZE, name: secret})
    for name in (
        "request",
        "request_uri",
        "prompt",
        "max_age",
        "response_mode",
        "registration",
    ):
        await http.get("/oauth/authorize", params={**_AUTHORIZE, name: secret})
    for name in ("id_token_hint", "post_logout_redirect_uri", "client_id", "logout_hint"):
        await http.get("/oauth/logout", params={name: secret})


async def _in_forms(http: httpx2.AsyncClient, secret: str) -> None:
    for name in (
        *_TOKEN,
        "client_secret",
        "refresh_token",
        "redirect_uri",
        "resource",
        "scope",
        "client_assertion",
        secret,
    ):
        await http.post("/oauth/token", data={**_TOKEN, name: secret})
    for name in ("client_assertion", "client_assertion_type"):
        form = {**_TOKEN, "client_assertion_type": _ASSERTION, "client_assertion": "a.b.c", name: secret}
        await http.post("/oauth/token", data=form)
    for grant in ("refresh_token", "client_credentials", "password"):
        form = {"grant_type": grant, "refresh_token": secret, "username": secret, "password": secret, "scope": secret}
        await http.post("/oauth/token", data=form, auth=(DEFAULT_CLIENT, secret))
        await http.post("/oauth/token", data=form, auth=(secret, secret))
    for path in ("/oauth/introspect", "/oauth/revoke"):
        await http.post(path, data={"token": secret, "token_type_hint": secret, "client_id": secret})
        await http.post(path, data={"token": secret}, auth=(secret, secret))
        await http.post(path, headers={"Authorization": f"Bearer {secret}"}, data={"token": secret})
    for path in ("/oauth/authorize", "/oauth/logout", "/account"):
        await http.post(path, data={"csrf": secret, "username": secret, "password": secret, secret: secret})


async def _in_bodies(http: httpx2.AsyncClient, secret: str) -> None:
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in (
        "/oauth/token",
        "/oauth/register",
        "/oauth/revoke",
        "/oauth/introspect",
        "/oauth/authorize",
        "/mcp",
        "/account",
    ):
        await http.post(path, json={"client_secret": secret, "code": secret, "grant_type": secret})
        await http.post(path, content=f'{{"client_secret": "{secret}', headers={"Content-Type": "application/json"})
        await http.post(path, content=f"code={secret}&code={secret}&x=%ff%00{secret}".encode(), headers=urlencoded)
        await http.post(path, content=f"{secret}={'x' * 70_000}{secret}", headers=urlencoded)
        await http.post(path, files={"code": ("a.txt", secret)})
    for name in ("redirect_uris", "token_endpoint_auth_method", "grant_types", "scope", "jwks", "jwks_uri", "contacts"):
        await http.post("/oauth/register", json={"redirect_uris": [CALLBACK], name: secret})
    for name in ("software_statement", "client_uri", "application_type", "response_types"):
        await http.post("/oauth/register", json={"redirect_uris": [CALLBACK], name: [secret]})


async def _in_headers(http: httpx2.AsyncClient, secret: str) -> None:
    fields = (
        "Cookie",
        "Referer",
        "User-Agent",
        "X-Request-Id",
        "X-Forwarded-For",
        "Content-Type",
        "Accept",
        "Accept-Language",
    )
    fields += ("Mcp-Session-Id", "MCP-Protocol-Version", "If-None-Match", "X-Api-Key", "Traceparent", "Baggage", "DPoP")
    for path in ("/mcp", "/oauth/token", "/oauth/test", "/.well-known/jwks.json", "/nowhere"):
        for name in fields:
            await http.request("POST" if path in ("/mcp", "/oauth/token") else "GET", path, headers={name: secret})
        for scheme in ("Bearer", "Basic", "Digest", ""):
            await http.post(path, headers={"Authorization": f"{scheme} {secret}".strip()}, data=_TOKEN)
    await http.options(
        "/mcp", headers={"Origin": str(http.base_url).rstrip("/"), "Access-Control-Request-Method": secret}
    )


async def _in_messages(http: httpx2.AsyncClient, tokens: dict[str, Any], secret: str) -> None:
    validate = "mcp_oauth_validate_token"
    for arguments in (
        {"token": [secret]},
        {"token": {"x": secret}},
        {"token": secret, "resource": secret, "required_scopes": secret},
        {"token": secret, "required_scopes": [secret]},
    ):
        await rpc(http, tokens, "tools/call", name=validate, arguments=arguments)
    register = {"redirect_uris": [secret], "token_endpoint_auth_method": secret}
    await rpc(http, tokens, "tools/call", name="mcp_oauth_register_client", arguments=register)
    check = {"server_url": secret, "access_token": secret, "depth": secret}
    await rpc(http, tokens, "tools/call", name="mcp_oauth_check_compliance", arguments=check)
    await rpc(http, tokens, "tools/call", name=validate, arguments=secret)
    await rpc(http, tokens, "prompts/get", name="debug_oauth", arguments={"server_url": [secret]})
    await rpc(http, tokens, "logging/setLevel", level=secret)
    await rpc(
        http,
        tokens,
        "initialize",
        protocolVersion=secret,
        capabilities=secret,
        clientInfo={"name": secret, "version": secret},
    )
    await rpc(
        http,
        tokens,
        "completion/complete",
        ref={"type": "ref/prompt", "name": secret},
        argument={"name": secret, "value": secret},
    )
    await http.post(
        "/mcp",
        content=f'{{"jsonrpc": "2.0", "{secret}',
        headers={**MCP, "Authorization": f"Bearer {tokens['access_token']}"},
    )
