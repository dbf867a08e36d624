"""Where people arrive: the start page, a browser at an address for programs, an address where nothing is."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from oauth_server.core import documents as d
from oauth_server.core.capabilities import capabilities
from oauth_server.core.deployment import Deployment
from oauth_server.core.errors import MethodNotAllowedError, NotFoundError, OAuthError
from oauth_server.flow import pages
from oauth_server.flow.http import NO_STORE, error_reply, json_reply, log_refusal, navigated, page_reply
from oauth_server.flow.pages import Snippet, StartView

SERVER_NAME: Final = "oauth"  # what clients call the connection
SWITCHED_OFF: Final = ("/oauth/", "/.well-known/", "/s/", d.ACCOUNT_PATH)
DEFAULTS: Final = (d.DEFAULT_AUTHORIZE_PATH, d.DEFAULT_TOKEN_PATH, d.DEFAULT_REGISTER_PATH)


class Front:
    """The start page, and the answers to those who meant another address."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    async def get(self, request: Request) -> Response:
        """Show the start page; a client that looks for a stream of events is told where MCP is."""
        accepted = request.headers.get("accept", "*/*")
        if "text/event-stream" in accepted and "text/html" not in accepted:
            return error_reply(self._elsewhere())
        return page_reply(self._page)

    @cached_property
    def _page(self) -> str:
        return pages.start(_start_view(self._deployment))

    async def post(self, request: Request) -> Response:
        """Refuse: whoever posts to the origin is an MCP client that was given the address without its path."""
        error = MethodNotAllowedError(self._elsewhere().description)
        log_refusal(request, error)
        return json_reply(error.body(), error.status, {**NO_STORE, "Allow": "GET, HEAD"})

    def at_mcp(self, scope: Scope, error: OAuthError) -> Response | None:
        """The page for a person who opens the MCP endpoint in a browser, with the status of the refusal; else None."""
        if not navigated(Request(scope)):
            return None
        html = pages.message(
            title="This is the MCP endpoint",
            text="An MCP client connects to this address; a browser cannot.",
            hint=f"Add {self._deployment.endpoint} to your MCP client. The start page shows how.",
            home=True,
        )
        return page_reply(html, error.status)

    async def nowhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for every path at which nothing is."""
        request = Request(scope, receive)
        error = self._switched_off() if self._was_switched_off(scope["path"]) else self._elsewhere()
        log_refusal(request, error)
        if navigated(request):
            html = pages.message(title="There is nothing here", text=error.description, home=True)
            reply = page_reply(html, error.status)
        else:
            reply = error_reply(error)
        await reply(scope, receive, send)

    def _was_switched_off(self, path: str) -> bool:
        return not self._deployment.settings.enabled and (path.startswith(SWITCHED_OFF) or path in DEFAULTS)

    def _elsewhere(self) -> NotFoundError:
        return NotFoundError(f"There is nothing at this address. The MCP endpoint is {self._deployment.endpoint}")

    @staticmethod
    def _switched_off() -> NotFoundError:
        return NotFoundError("OAuth is switched off at this server (ENABLE_MCP_OAUTH=false); its MCP endpoint is open.")


def _start_view(deployment: Deployment) -> StartView:
    settings = deployment.settings
    return StartView(
        endpoint=deployment.endpoint,
        access=_access(deployment),
        snippets=snippets(deployment.endpoint),
        addresses=tuple((name, deployment.url(path)) for name, path in _paths(deployment).items()),
        account=d.ACCOUNT_PATH if settings.enabled else None,
    )


def _access(deployment: Deployment) -> str:
    settings = deployment.settings
    if not settings.enabled:
        return "OAuth is switched off: whoever reaches this address may use it."
    if not settings.require_auth:
        return "Callers without an access token may read; anything more needs one."
    return "Every call needs an access token. Your client gets one by sending you here to sign in and consent."


def _paths(deployment: Deployment) -> Mapping[str, str]:
    if not deployment.settings.enabled:
        return {}
    paths = {
        "Protected resource metadata": f"{d.PROTECTED_RESOURCE_PATH}/mcp",
        "Authorization server metadata": d.AUTHORIZATION_SERVER_PATH,
        "OpenID Connect discovery": d.OPENID_CONFIGURATION_PATH,
        "Signing keys": d.JWKS_PATH,
        "Authorization endpoint": d.AUTHORIZE_PATH,
        "Token endpoint": d.TOKEN_PATH,
    }
    if capabilities(deployment.settings).registration:
        paths["Client registration"] = d.REGISTER_PATH
    return paths


def snippets(endpoint: str) -> tuple[Snippet, ...]:
    """How the clients that connect over HTTP are told of the endpoint, each as its own documentation says."""
    return (
        Snippet("Claude Code", "", f"claude mcp add --transport http {SERVER_NAME} {endpoint}"),
        Snippet("VS Code", ".vscode/mcp.json", _json({"servers": {SERVER_NAME: {"type": "http", "url": endpoint}}})),
        Snippet("Cursor", "~/.cursor/mcp.json", _json({"mcpServers": {SERVER_NAME: {"url": endpoint}}})),
        Snippet(
            "Claude Desktop",
            "claude_desktop_config.json",
            _json({"mcpServers": {SERVER_NAME: {"command": "npx", "args": ["-y", "mcp-remote", endpoint]}}}),
        ),
        Snippet("MCP Inspector", "", f"npx @modelcontextprotocol/inspector --cli {endpoint} --method tools/list"),
    )


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2)
