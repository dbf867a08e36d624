"""Clients that sign assertions (private_key_jwt), and the keys they sign with."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from oauth_server.core.capabilities import GRANT_TYPES
from tests.support.forging import Signer, compact
from tests.support.oauth import CALLBACK, OAuthClient
from tests.support.server import Running

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True)
class AssertionKey:
    """A client's key pair, for one algorithm."""

    alg: str
    key: Any

    @property
    def kid(self) -> str:
        """The kid of both halves."""
        return str(self.key.kid)

    def public(self, **members: Any) -> dict[str, Any]:
        """The public JWK; a member given as ... is left out."""
        found = {**self.key.as_dict(private=False), "use": "sig", "alg": self.alg, **members}
        return {name: value for name, value in found.items() if value is not ...}

    @property
    def sign(self) -> Signer:
        """The JWS signature, made by another library than the server's."""
        algorithm = jws.JWSRegistry.algorithms[self.alg]
        return lambda data: bytes(algorithm.sign(data, self.key))


@cache
def key_of(name: str, alg: str = "ES256") -> AssertionKey:
    """The key pair of that name, made once for all tests."""
    parameters = {"kid": f"{name}-{alg}"}
    if alg in _CURVES:
        return AssertionKey(alg, ECKey.generate_key(_CURVES[alg], parameters))
    return AssertionKey(alg, RSAKey.generate_key(2048, parameters))


def jwks(*keys: AssertionKey, **members: Any) -> dict[str, Any]:
    """A JWK Set of public keys."""
    return {"keys": [key.public(**members) for key in keys]}


class KeyedClient(OAuthClient):
    """A client that authenticates by private_key_jwt."""

    def __init__(
        self, server: Running, client_id: str, key: AssertionKey | None = None, redirect_uri: str = CALLBACK
    ) -> None:
        super().__init__(server, client_id, redirect_uri, method="private_key_jwt")
        self.key = key or key_of("client")

    def assertion(
        self,
        header: dict[str, Any] | None = None,
        *,
        key: AssertionKey | None = None,
        sign: Callable[[bytes], bytes] | None = None,
        **claims: Any,
    ) -> str:
        """An assertion as RFC 7523 section 3 wants it, but for what is given; ... leaves a member or claim out."""
        key, now = key or self.key, int(self.server.clock())
        usual = {"iss": self.client_id, "sub": self.client_id, "aud": self.server.url}
        usual |= {"exp": now + 60, "iat": now, "jti": secrets.token_urlsafe(12)}  # type: ignore[dict-item]
        members = {"alg": key.alg, "kid": key.kid, "typ": "JWT", **(header or {})}
        return compact(_without(members), _without({**usual, **claims}), sign or key.sign)

    def signed(self, assertion: str | None = None, **form: Any) -> dict[str, Any]:
        """The form with an assertion, a good one unless it is given."""
        assertion = self.assertion() if assertion is None else assertion
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **form}

    async def token(self, **form: str | list[str] | None) -> httpx2.Response:
        data = {name: value for name, value in form.items() if value is not None}
        return await self.http.post("/oauth/token", data=data if "client_assertion" in data else self.signed(**data))

    async def own_token(self, assertion: str | None = None, **form: Any) -> httpx2.Response:
        """Ask for a token of its own."""
        data = self.signed(assertion, grant_type="client_credentials", **form)
        return await self.http.post("/oauth/token", data=data)


def _without(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not ...}


async def operators(
    closing: AsyncExitStack,
    server: Running,
    *,
    method: str = "client_secret_basic",
    resources: tuple[str, ...] = (),
    **metadata: Any,
) -> OAuthClient:
    """A client that the operator added, with the client credentials grant unless `metadata` says otherwise."""
    asked = {"client_name": "The machine", "grant_types": ["client_credentials"], "token_endpoint_auth_method": method}
    if method == "private_key_jwt" and "jwks_uri" not in metadata:
        asked["jwks"] = jwks(key_of("client"))  # type: ignore[assignment]
    made = await server.services.registration.add({**asked, **metadata}, grant_types=GRANT_TYPES, resources=resources)
    client_id, uri = made["client_id"], (made["redirect_uris"] or [CALLBACK])[0]
    client = (
        KeyedClient(server, client_id, redirect_uri=uri)
        if method == "private_key_jwt"
        else OAuthClient(server, client_id, uri, made.get("client_secret"), method)
    )
    closing.push_async_callback(client.close)
    return client


async def keyed(closing: AsyncExitStack, server: Running, **metadata: Any) -> KeyedClient:
    """A client that the operator added, which signs assertions and has the client credentials grant."""
    client = await operators(closing, server, method="private_key_jwt", **metadata)
    assert isinstance(client, KeyedClient)
    return client


async def posted(client: OAuthClient, path: str, **form: Any) -> httpx2.Response:
    """POST to an endpoint, authenticated as registered."""
    if isinstance(client, KeyedClient):
        return await client.http.post(path, data=client.signed(**form))
    if client.method == "client_secret_basic":
        return await client.http.post(path, data=form, auth=(client.client_id, client.secret or ""))
    credentials = {"client_id": client.client_id} | ({"client_secret": client.secret} if client.secret else {})
    return await client.http.post(path, data=credentials | form)
