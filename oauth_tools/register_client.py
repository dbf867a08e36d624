"""mcp_oauth_register_client: the registration of /oauth/register, as a tool (RFC 7591)."""

from typing import Annotated, Any, Final

from fastmcp import FastMCP
from fastmcp.tools import ToolResult
from mcp_types import ToolAnnotations
from pydantic import Field

from oauth_server.core.errors import OAuthError
from oauth_server.core.scopes import ADMIN, missing
from oauth_server.core.services import Runtime
from oauth_tools.common import Answer, admit, refusal, reply, schema

NAME = "mcp_oauth_register_client"
_DESCRIPTION: Final = """\
Register a new OAuth client at this server (RFC 7591), as POST /oauth/register does.

Use it to get a client_id for an application that cannot register itself. A client secret, when the method
asks for one, and a registration access token, with which the client changes its registration, are returned
once and cannot be shown again: store them at once."""


class ClientInformation(Answer):
    """The client information response (RFC 7591 section 3.2.1)."""

    client_id: str
    client_id_issued_at: int
    client_secret: str | None = None
    client_secret_expires_at: int | None = None
    registration_client_uri: str | None = None
    registration_access_token: str | None = None
    redirect_uris: list[str]
    token_endpoint_auth_method: str
    grant_types: list[str]
    response_types: list[str]
    application_type: str


def register(mcp: FastMCP, runtime: Runtime) -> None:
    """Add the tool."""

    @mcp.tool(
        name=NAME,
        title="Register an OAuth client",
        description=_DESCRIPTION,
        annotations=ToolAnnotations(
            title="Register an OAuth client",
            read_only_hint=False,
            destructive_hint=False,
            idempotent_hint=False,
            open_world_hint=False,
        ),
        output_schema=schema(ClientInformation),
    )
    async def register_client(  # noqa: PLR0917 - RFC 7591 has these members
        redirect_uris: Annotated[
            list[str],
            Field(description="Where the browser returns to: https, or http on localhost, 127.0.0.1 or [::1]."),
        ],
        client_name: Annotated[str | None, Field(description="Shown to people when they consent.")] = None,
        token_endpoint_auth_method: Annotated[
            str | None,
            Field(description="none (default, with PKCE), client_secret_basic or client_secret_post."),
        ] = None,
        grant_types: Annotated[
            list[str] | None, Field(description="Default: authorization_code and refresh_token.")
        ] = None,
        response_types: Annotated[list[str] | None, Field(description="Only code exists.")] = None,
        scope: Annotated[str | None, Field(description="Default scopes, separated by blanks.")] = None,
        application_type: Annotated[str | None, Field(description="native or web.")] = None,
        client_uri: Annotated[str | None, Field(description="The application's home page.")] = None,
        logo_uri: Annotated[str | None, Field(description="The application's logo.")] = None,
        tos_uri: Annotated[str | None, Field(description="Terms of service.")] = None,
        policy_uri: Annotated[str | None, Field(description="Privacy policy.")] = None,
        contacts: Annotated[list[str] | None, Field(description="People to ask, as e-mail addresses.")] = None,
        software_id: Annotated[str | None, Field(description="Identifier of the client software.")] = None,
        software_version: Annotated[str | None, Field(description="Version of the client software.")] = None,
        post_logout_redirect_uris: Annotated[
            list[str] | None, Field(description="Where the browser may return to after signing out.")
        ] = None,
    ) -> ToolResult:
        metadata: dict[str, Any] = {
            name: value
            for name, value in {
                "redirect_uris": redirect_uris,
                "client_name": client_name,
                "token_endpoint_auth_method": token_endpoint_auth_method,
                "grant_types": grant_types,
                "response_types": response_types,
                "scope": scope,
                "application_type": application_type,
                "client_uri": client_uri,
                "logo_uri": logo_uri,
                "tos_uri": tos_uri,
                "policy_uri": policy_uri,
                "contacts": contacts,
                "software_id": software_id,
                "software_version": software_version,
                "post_logout_redirect_uris": post_logout_redirect_uris,
            }.items()
            if value is not None
        }
        services, principal = admit(runtime, NAME, {})
        try:
            answer = await services.registration.register(
                metadata, by_administrator=not missing((ADMIN,), principal.scope)
            )
        except OAuthError as error:
            raise refusal(f"{error.error}: {error.description}") from None
        once = " and ".join(name for name in ("client_secret", "registration_access_token") if name in answer)
        shown = f" Its {once} is in the structured result, and shown only this once." if once else ""
        return reply(
            answer, f"Registered client {answer['client_id']} for {', '.join(answer['redirect_uris'])}.{shown}"
        )
