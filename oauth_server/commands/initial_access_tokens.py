"""`initial-access-tokens`: who may register clients where not everybody may."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from oauth_server.commands.errors import CommandError, MistakeError
from oauth_server.commands.local import GetLocal
from oauth_server.commands.options import Json
from oauth_server.commands.output import fields, json_line, moment, remark, say, table
from oauth_server.commands.values import given, span
from oauth_server.core.settings_rules import RefusedError

_EXAMPLES = {
    "create": """\
Examples:
  server.py initial-access-tokens create
  server.py initial-access-tokens create --uses 20 --expires-in 7d""",
    "list": """\
Example:
  server.py initial-access-tokens list""",
    "delete": """\
Example:
  server.py initial-access-tokens delete 5a0e8b0f2c7d4e61""",
}


def initial_access_tokens(local: GetLocal) -> App:
    """The commands about initial access tokens."""
    app = App(name="initial-access-tokens", help="Let somebody register clients where open registration is off.")

    @app.command(help_epilogue=_EXAMPLES["create"])
    async def create(
        *,
        uses: Annotated[int, Parameter(help="How many clients it registers.")] = 1,
        expires_in: Annotated[str, Parameter(help="How long it can be used: 30m, 12h, 7d.")] = "24h",
        json: Json = False,
    ) -> None:
        """Create a token, to be sent to /oauth/register as `Authorization: Bearer`. It is printed once."""
        seconds = given("--expires-in", span, expires_in)
        async with local().administration() as admin:
            try:
                text, token = await admin.initial_access_tokens.create(uses, seconds)
            except RefusedError as error:
                raise MistakeError(f"{error.problem}; accepted: {error.accepted}") from None
        shown = {"initial_access_token": text, "id": token.token_id, "uses_left": token.uses_left}
        if json:
            json_line(shown | {"expires_at": token.expires_at})
        else:
            fields(shown | {"expires_at": moment(token.expires_at)})
            remark("The initial_access_token is shown only now.")

    @app.command(name="list", help_epilogue=_EXAMPLES["list"])
    async def show(*, json: Json = False) -> None:
        """List the tokens that can still be used, the newest first; not their text, of which only a hash is kept."""
        async with local().administration() as admin:
            found = await admin.initial_access_tokens.listed()
        if json:
            for t in found:
                record = {"id": t.token_id, "uses_left": t.uses_left}
                json_line(record | {"created_at": t.created_at, "expires_at": t.expires_at})
        elif found:
            rows = ((t.token_id, str(t.uses_left), moment(t.created_at), moment(t.expires_at)) for t in found)
            table(("ID", "USES LEFT", "CREATED", "EXPIRES"), rows)
        else:
            remark(f"No initial access tokens in {admin.location}.")

    @app.command(help_epilogue=_EXAMPLES["delete"])
    async def delete(token_id: Annotated[str, Parameter(help="The id that `list` shows.")], /) -> None:
        """Delete a token; the clients registered with it stay."""
        async with local().administration() as admin:
            if not await admin.initial_access_tokens.delete(token_id):
                raise CommandError(f"No initial access token {token_id} in {admin.location}; `list` shows them.")
        say(f"{token_id} is deleted.")

    return app
