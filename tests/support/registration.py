"""Registering by every way there is, and managing a registration (RFC 7591, RFC 7592)."""

from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec

from oauth_server.core.administration import Administration
from oauth_server.core.initial_access_tokens import InitialAccessTokens
from tests.support.oauth import CALLBACK, OAuthClient, b64
from tests.support.outside import bearer
from tests.support.server import Running

PATH = "/oauth/register"


async def register(client: OAuthClient, token: str | None = None, /, **metadata: Any) -> httpx2.Response:
    """POST a registration; `token` is an initial access token."""
    body = {"redirect_uris": [CALLBACK], **metadata}
    return await client.http.post(PATH, json=body, headers={} if token is None else bearer(token))


async def made(client: OAuthClient, token: str | None = None, /, **metadata: Any) -> dict[str, Any]:
    """The reply to a registration that is granted."""
    reply = await register(client, token, **metadata)
    assert reply.status_code == 201, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def managed(
    client: OAuthClient, registered: dict[str, Any], method: str = "GET", json: Any = None, token: str | None = None
) -> httpx2.Response:
    """A request to a registration's own address, with its own token or another."""
    place = registered["registration_client_uri"]
    headers = bearer(token or registered["registration_access_token"])
    return await client.http.request(method, place, headers=headers, json=json)


def as_sent(registered: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of an update: what was registered, with changes; None leaves a member out."""
    servers = (
        "registration_access_token",
        "registration_client_uri",
        "client_secret_expires_at",
        "client_id_issued_at",
    )
    body = {name: value for name, value in registered.items() if name not in servers}
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def client_of(server: Running, registered: dict[str, Any]) -> OAuthClient:
    """The client that a reply to a registration describes."""
    method, secret = registered["token_endpoint_auth_method"], registered.get("client_secret")
    return OAuthClient(server, registered["client_id"], registered["redirect_uris"][0], secret, method)


async def initial_token(server: Running, uses: int = 1, lifetime: int = 3600) -> str:
    """An initial access token, as the operator makes one."""
    token, _ = await InitialAccessTokens(server.services.store, server.clock).create(uses, lifetime)
    return token


def public_jwk() -> dict[str, str]:
    """The public half of a new P-256 key."""
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}


def operator(server: Running) -> Administration:
    """The operator's side of this server's store."""
    services = server.services
    return Administration(services.deployment.settings, server.url, services.store, server.clock)


def assert_challenged(reply: httpx2.Response, *, error: bool = True) -> None:
    """Require the bearer error of RFC 6750 section 3: 401, and a challenge with the error where one was sent."""
    assert reply.status_code == 401, (reply.status_code, reply.text)
    assert reply.json()["error"] == "invalid_token"
    assert reply.headers["cache-control"] == "no-store"
    challenge = reply.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="client registration"')
    assert ('error="invalid_token"' in challenge) is error, challenge
