"""FastMCP without this project's authorization. Takes what stands in front of the tools, and a port.

`plain`: six tools of its own, nothing of ours imported; stdio instead of HTTP for port 0. `tools`: our six tools on a
bare FastMCP server, each caller trusted with mcp:read. `jwt`: the same behind FastMCP's JWTVerifier, which learns our
keys from the address in BENCH_JWKS. `in-memory`: FastMCP's in-memory OAuth provider in front of the plain tools.
GET and POST /constant are bare routes.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastmcp import FastMCP
from fastmcp.exceptions import ToolError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse

OPTIONS = {"loop": "uvloop", "http": "httptools", "access_log": False}


def six_tools(mcp: FastMCP[Any]) -> None:
    """Tools with as many parameters as ours."""

    @mcp.tool
    def protected_resource_metadata(server_url: str = "") -> dict[str, Any]:
        """Say where the metadata is."""
        return {"resource": server_url or "here"}

    @mcp.tool
    def authorization_server_metadata(server_url: str = "") -> dict[str, Any]:
        """Say where the metadata is."""
        return {"issuer": server_url or "here"}

    @mcp.tool
    def validate_token(token: str, required_scopes: str = "", resource: str = "") -> dict[str, Any]:
        """Judge a token."""
        return {"valid": bool(token), "scopes": required_scopes, "resource": resource}

    @mcp.tool
    def get_configuration() -> dict[str, Any]:
        """Say how this is configured."""
        return {"settings": []}

    @mcp.tool
    def register_client(redirect_uris: list[str], client_name: str = "", scope: str = "") -> dict[str, Any]:
        """Register."""
        return {"redirect_uris": redirect_uris, "client_name": client_name, "scope": scope}

    @mcp.tool
    def check_compliance(server_url: str = "", depth: str = "passive", spec_version: str = "") -> dict[str, Any]:
        """Check."""
        return {"server_url": server_url, "depth": depth, "spec_version": spec_version}


class Trusting:
    """Leaves in the scope what our gate would leave there, without judging anything."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        from oauth_server.core.access import ANONYMOUS, SCOPE_KEY  # noqa: PLC0415 - the plain server has none of ours

        await self._app({**scope, SCOPE_KEY: ANONYMOUS}, receive, send)


def with_our_tools(auth: Any) -> FastMCP[Any]:
    """Our tools and services on FastMCP's own server."""
    from oauth_server.app.compose import open_services  # noqa: PLC0415 - the plain server has none of ours
    from oauth_server.core.deployment import deploy  # noqa: PLC0415
    from oauth_server.core.services import Runtime  # noqa: PLC0415
    from oauth_server.core.settings import load  # noqa: PLC0415
    from oauth_tools import authorization_server_metadata as first  # noqa: PLC0415
    from oauth_tools import check_compliance, get_configuration, newest_reports, register_client  # noqa: PLC0415
    from oauth_tools import protected_resource_metadata as second  # noqa: PLC0415
    from oauth_tools import validate_token as third  # noqa: PLC0415

    settings, runtime = load(), Runtime()

    @asynccontextmanager
    async def services(_server: FastMCP[Any]) -> AsyncIterator[None]:
        opening = open_services(settings, lambda _: deploy(settings, "127.0.0.1", settings.port), serves_http=False)
        async with opening as opened:
            runtime.start(opened.services)
            yield

    mcp = FastMCP("Bare", auth=auth, lifespan=services)
    for module in (second, first, third, get_configuration, register_client):
        module.register(mcp, runtime)
    check_compliance.register(mcp, runtime, no_inspection, newest_reports.NewestReports())
    return mcp


async def no_inspection(*_: Any, **__: Any) -> Any:
    """Refuse: a yardstick is measured, and has nobody to check."""
    raise ToolError("This server is a yardstick, and checks nobody.")


def made(kind: str, port: int) -> FastMCP[Any]:
    """The server of a kind."""
    if kind == "tools":
        return with_our_tools(None)
    if kind == "jwt":
        from fastmcp.server.auth.providers.jwt import JWTVerifier  # noqa: PLC0415

        issuer = os.environ["BENCH_ISSUER"]
        return with_our_tools(JWTVerifier(jwks_uri=os.environ["BENCH_JWKS"], issuer=issuer, algorithm="ES256"))
    if kind == "in-memory":
        from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider  # noqa: PLC0415
        from mcp.server.auth.settings import ClientRegistrationOptions  # noqa: PLC0415

        registration = ClientRegistrationOptions(enabled=True)
        mcp = FastMCP(
            "Provider",
            auth=InMemoryOAuthProvider(
                base_url=f"http://localhost:{port}", client_registration_options=registration, required_scopes=["mcp"]
            ),
        )
    else:
        mcp = FastMCP("Bare")
    six_tools(mcp)
    return mcp


def main() -> None:
    """Serve."""
    kind, port = sys.argv[1], int(sys.argv[2])
    if not port:
        made(kind, port).run(transport="stdio", show_banner=False)
        return
    mcp = made(kind, port)

    @mcp.custom_route("/constant", methods=["GET", "POST"])
    async def constant(request: Request) -> JSONResponse:
        """Answer a constant; a form is read first."""
        if request.method == "POST" and not (await request.form()).get("grant_type"):
            return JSONResponse({"status": "no form"}, status_code=400)
        return JSONResponse({"status": "ok"})

    trusted = [Middleware(Trusting)] if kind in {"tools", "jwt"} else None
    mcp.run(
        transport="http",
        host="127.0.0.1",
        port=port,
        show_banner=False,
        log_level="error",
        uvicorn_config=OPTIONS,
        middleware=trusted,
    )


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    main()
