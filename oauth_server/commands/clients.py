"""`clients`: the applications that may ask people for access."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from oauth_server.commands.errors import CommandError, MistakeError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json, Limit, Yes
from oauth_server.commands.output import count, fields, json_line, moment, remark, say, table
from oauth_server.commands.terminal import confirm

if TYPE_CHECKING:
    from oauth_server.core.administration import Administration
    from oauth_server.store.records import Client

# One id in 64 begins with a hyphen.
ClientId = Annotated[str, Parameter(help="The client's id.", allow_leading_hyphen=True)]

_EXAMPLES = {
    "list": """\
Examples:
  server.py clients list
  server.py clients list --json | jq -r .client_id""",
    "show": """\
Example:
  server.py clients show mcp-docker-server-default""",
    "add": """\
Examples:
  server.py clients add --name "My app" --redirect-uri http://localhost/cb
  server.py clients add --redirect-uri https://portal.example/cb \\
      --name Portal --auth-method client_secret_basic
  server.py clients add --name Robot --auth-method client_secret_basic \\
      --grant-type client_credentials --scope mcp:read
  server.py clients add --name "Another API" --auth-method client_secret_basic \\
      --grant-type client_credentials --resource https://api.example""",
    "delete": """\
Examples:
  server.py clients delete pxGrFs3xnGtFmmFZC3VTKA
  server.py clients delete pxGrFs3xnGtFmmFZC3VTKA --yes""",
}


def clients(local: GetLocal) -> App:
    """The commands about clients."""
    commands = _Clients(local)
    app = App(name="clients", help="List clients, register them and delete them.")
    app.command(commands.list_newest, name="list", help_epilogue=_EXAMPLES["list"])
    app.command(commands.show, name="show", help_epilogue=_EXAMPLES["show"])
    app.command(commands.add, name="add", help_epilogue=_EXAMPLES["add"])
    app.command(commands.delete, name="delete", help_epilogue=_EXAMPLES["delete"])
    return app


class _Clients:
    def __init__(self, local: GetLocal) -> None:
        self._local = local

    async def list_newest(self, *, limit: Limit = 200, json: Json = False) -> None:
        """List clients, the one registered last first."""
        if limit < 1:
            raise MistakeError("--limit: give 1 or more.")
        from oauth_server.core.client_descriptions import described  # noqa: PLC0415

        async with self._local().administration() as admin:
            found = await admin.clients.newest(limit + 1)
        shown = found[:limit]
        if json:
            for client in shown:
                json_line(described(client))
        elif shown:
            header = ("CLIENT ID", "NAME", "TYPE", "REGISTERED", "BY", "LAST USED", "REDIRECT URIS")
            table(header, (_row(client) for client in shown))
        else:
            remark(f"No clients in {admin.location}.")
        if len(found) > limit:
            remark(f"There are more: these are the newest {limit}; --limit shows others.")

    async def show(self, client_id: ClientId, /, *, json: Json = False) -> None:
        """Show all that is registered of a client; its secret is not among it, since only a hash of it is kept."""
        from oauth_server.core.client_descriptions import described  # noqa: PLC0415

        async with self._local().administration() as admin:
            client = await _client(admin, client_id)
            grants = await admin.grants_of_client(client)
        record = described(client) | {"live_grants": grants}
        if json:
            json_line(record)
        else:
            times = {name: moment(record[name]) if record[name] else "never" for name in ("created_at", "last_used_at")}
            fields(record | times)

    async def add(
        self,
        *,
        redirect_uri: Annotated[
            list[str] | None,
            Parameter(help="Where the browser returns to: https, or http on this computer. Repeatable."),
        ] = None,
        name: Annotated[str | None, Parameter(help="The name that people see when they consent.")] = None,
        auth_method: Annotated[
            Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
            Parameter(help="How it authenticates at the token endpoint; `none`: a public client, with PKCE alone."),
        ] = "none",
        jwks_uri: Annotated[str | None, Parameter(help="For private_key_jwt: where its public keys are.")] = None,
        grant_type: Annotated[
            list[Literal["authorization_code", "refresh_token", "client_credentials"]] | None,
            Parameter(help="What it may use; by default authorization_code and refresh_token. Repeatable."),
        ] = None,
        resource: Annotated[
            list[str] | None, Parameter(help="A resource whose access tokens it may introspect. Repeatable.")
        ] = None,
        scope: Annotated[str | None, Parameter(help="What it is granted when it asks for nothing particular.")] = None,
        post_logout_redirect_uri: Annotated[
            list[str] | None, Parameter(help="Where the browser may return to after signing out. Repeatable.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Register a client by the rules of /oauth/register, also where open registration is off.

        A client secret is printed once, and cannot be shown again.
        """
        from oauth_server.core.capabilities import GRANT_TYPES  # noqa: PLC0415
        from oauth_server.core.errors import OAuthError  # noqa: PLC0415

        asked = {
            "redirect_uris": redirect_uri,
            "client_name": name,
            "token_endpoint_auth_method": auth_method,
            "jwks_uri": jwks_uri,
            "grant_types": grant_type,
            "scope": scope,
            "post_logout_redirect_uris": post_logout_redirect_uri,
        }
        async with self._local().administration() as admin:
            try:
                answer = await admin.registration.add(asked, grant_types=GRANT_TYPES, resources=resource or ())
            except OAuthError as error:
                raise MistakeError(f"{error.error}: {error.description}") from None
        if json:
            json_line(answer)
        else:
            fields({name: value for name, value in answer.items() if name != "client_secret_expires_at"})
        if "client_secret" in answer:
            remark("The client_secret is shown only now: keep it where the client finds it.")

    async def delete(self, client_id: ClientId, /, *, yes: Yes = False) -> None:
        """Delete a client; its grants and all its tokens end at once."""
        from oauth_server.core.client_descriptions import name_of  # noqa: PLC0415

        async with self._local().administration() as admin:
            client = await _client(admin, client_id)
            if client.source == "configured":
                raise CommandError(
                    f"{client.client_id} is the pre-registered client, which the server makes anew at every start: "
                    "set MCP_OAUTH_CLIENT_ID to another id, and the next start removes this one."
                )
            named = f"{client.client_id} ({name_of(client)})" if client.name else client.client_id
            grants = count(await admin.grants_of_client(client), "grant")
            confirm(f"Delete {named}, and end {grants} for good?", yes=yes)
            ended = await admin.delete_client(client)
            if ended is None:
                raise _unknown(admin, client_id)
        say(f"{named} is deleted. Ended {count(ended, 'grant')}, with all tokens.")


async def _client(admin: Administration, client_id: str) -> Client:
    client = await admin.clients.find(client_id)
    if client is None:
        raise _unknown(admin, client_id)
    return client


def _unknown(admin: Administration, client_id: str) -> CommandError:
    return CommandError(f"No client {client_id} in {admin.location}; `clients list` shows them.")


def _row(client: Client) -> tuple[str, ...]:
    from oauth_server.core.client_descriptions import name_of  # noqa: PLC0415

    return (
        client.client_id,
        name_of(client),
        "confidential" if client.confidential else "public",
        moment(client.created_at),
        "configuration" if client.source == "configured" else "registration",
        moment(client.last_used_at) if client.last_used_at else "never",
        str(len(client.redirect_uris)),
    )
