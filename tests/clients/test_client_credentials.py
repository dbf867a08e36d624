"""The SDK's clients of io.modelcontextprotocol/oauth-client-credentials find their way from the endpoint alone."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import mcp
import pytest
from authlib.common.errors import AuthlibBaseError as OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client

from tests.support.assertions import key_of, operators
from tests.support.mcp_clients import ERAS, Era, Keychain
from tests.support.server import Running


@pytest.mark.requirement("AS-01", "AS-02", "RS-04")
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
async def test_client_signs_in_for_itself_and_calls_a_tool(
    server: Running, closing: AsyncExitStack, method: Any, era: Era
) -> None:
    client = await operators(closing, server, method=method, scope="mcp:read mcp:write")
    url = f"http://localhost:{server.port}/mcp"
    known = {"server_url": url, "storage": Keychain(), "client_id": client.client_id, "issuer": server.url}
    auth: Any
    if method == "private_key_jwt":
        pem = key_of("client").key.as_pem(private=True).decode()
        signing = SignedJWTParameters(
            issuer=client.client_id, subject=client.client_id, signing_key=pem, signing_algorithm="ES256"
        )
        auth = PrivateKeyJWTOAuthProvider(**known, assertion_provider=signing.create_assertion_provider())
    else:
        auth = ClientCredentialsOAuthProvider(
            **known, client_secret=client.secret or "", token_endpoint_auth_method=method
        )
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        mcp.Client(streamable_http_client(url, http_client=http), mode=era) as connected,
    ):
        assert len((await connected.list_tools()).tools) == 6
        called = await connected.call_tool("mcp_oauth_get_configuration", {})
        assert not called.is_error, called.content


@pytest.mark.requirement("AS-01")
async def test_authlib_signs_the_issuer_as_the_documentation_says(server: Running, closing: AsyncExitStack) -> None:
    client = await operators(closing, server, method="private_key_jwt", scope="mcp:read")
    key = key_of("client")

    def asked(audience: str) -> dict[str, Any]:
        now, header = int(server.clock()), {"kid": key.kid}
        session = OAuth2Session(client.client_id, key.key, token_endpoint_auth_method="private_key_jwt")

        def signed(*request: Any) -> Any:
            return PrivateKeyJWT(audience, claims={"iat": now, "exp": now + 60}, headers=header, alg="ES256")(*request)

        session.register_client_auth_method(("private_key_jwt", signed))
        try:
            found: dict[str, Any] = session.fetch_token(f"{server.url}/oauth/token", grant_type="client_credentials")
        except OAuthError as error:
            found = {"error": error.error, "error_description": error.description}
        finally:
            session.close()
        return found

    metadata = (await client.http.get("/.well-known/oauth-authorization-server")).json()
    for _ in range(2):
        assert (await asyncio.to_thread(asked, metadata["issuer"]))["scope"] == "mcp:read"
    refused = await asyncio.to_thread(asked, metadata["token_endpoint"])
    assert refused["error"] == "invalid_client"
    assert f"aud must be the issuer alone, as one string: {metadata['issuer']}" in refused["error_description"]
