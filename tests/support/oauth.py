"""An OAuth client written against the standard alone."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2

from tests.support.browser import Browser, query_of
from tests.support.server import Running

DEFAULT_CLIENT = "mcp-docker-server-default"
CALLBACK = "http://localhost:3000/callback"


def b64(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Pkce:
    """A verifier and its S256 challenge."""

    verifier: str
    challenge: str

    @classmethod
    def new(cls) -> "Pkce":
        verifier = b64(secrets.token_bytes(32))
        return cls(verifier, b64(hashlib.sha256(verifier.encode()).digest()))


class OAuthClient:
    """One registered client of one server, with everything it needs to walk the flow."""

    def __init__(
        self,
        server: Running,
        client_id: str = DEFAULT_CLIENT,
        redirect_uri: str = CALLBACK,
        secret: str | None = None,
        method: str = "none",
    ) -> None:
        self.server = server
        self.client_id = client_id
        self.redirect_uri = redirect_uri
        self.secret = secret
        self.method = method
        self.http = server.client()

    async def close(self) -> None:
        await self.http.aclose()

    @classmethod
    async def register(cls, server: Running, **metadata: Any) -> "OAuthClient":
        """Register dynamically and return the client."""
        body = {"client_name": "Test client", "redirect_uris": [CALLBACK], **metadata}
        async with server.client() as http:
            reply = await http.post("/oauth/register", json=body)
        assert reply.status_code == 201, reply.text
        found = reply.json()
        return cls(
            server,
            found["client_id"],
            found["redirect_uris"][0],
            found.get("client_secret"),
            found["token_endpoint_auth_method"],
        )

    def url(self, pkce: Pkce, **params: str | list[str] | None) -> str:
        """An authorization URL; a parameter given as None is left out, a list is repeated."""
        values: dict[str, str | list[str] | None] = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
            "scope": "mcp:read mcp:write",
            "state": "state-of-the-test",
            **params,
        }
        query = urlencode({k: v for k, v in values.items() if v is not None}, doseq=True)
        return f"{self.server.url}/oauth/authorize?{query}"

    async def code(
        self, browser: Browser, pkce: Pkce, *, consent: list[str] | None = None, **params: str | list[str] | None
    ) -> str:
        """Walk the browser through login and consent, and return the code."""
        answer = query_of(await browser.authorize(self.url(pkce, **params), consent))
        assert "code" in answer, answer
        return answer["code"]

    async def token(self, **form: str | list[str] | None) -> httpx2.Response:
        """POST to the token endpoint, authenticated as registered."""
        data: dict[str, Any] = {k: v for k, v in form.items() if v is not None}
        auth = None
        if self.method == "client_secret_basic":
            auth = (self.client_id, self.secret or "")
        else:
            data.setdefault("client_id", self.client_id)
            if self.method == "client_secret_post":
                data.setdefault("client_secret", self.secret)
        return await self.http.post("/oauth/token", data=data, auth=auth)

    async def redeem(self, code: str, pkce: Pkce, **form: str | None) -> httpx2.Response:
        """Exchange a code."""
        values: dict[str, str | list[str] | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": pkce.verifier,
            **form,
        }
        return await self.token(**values)

    async def refresh(self, refresh_token: str, **form: str | None) -> httpx2.Response:
        """Exchange a refresh token."""
        return await self.token(grant_type="refresh_token", refresh_token=refresh_token, **form)

    async def tokens(self, browser: Browser, **params: Any) -> dict[str, Any]:
        """The whole flow; returns the token response."""
        pkce = Pkce.new()
        reply = await self.redeem(await self.code(browser, pkce, **params), pkce)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found
